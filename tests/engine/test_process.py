"""Fronts and workers as processes over a real Valkey: killed, frozen, refused, and with an engine that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.valkey import Valkey

ROOT = Path(__file__).parents[2]

SCALING = ROOT / "docs" / "SCALING.md"

MOVED = 15.0
"""Seconds within which the job of a worker that was killed is elsewhere."""


class Program:
    """A command of the program as a process; its output is read line by line."""

    def __init__(self, folder: Path, *command: str, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "log").open("w+", encoding="utf-8")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("ATELIER", "COMFYUI"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", *command],
            cwd=folder,
            env=ours | {"PYTHONPATH": str(ROOT), "ATELIER_DATA": str(folder / "data")} | variables,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def line(self) -> str:
        """The next line of its output; "" if it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def event(self, *names: str) -> dict[str, object]:
        """The next event with one of these names, of a command that prints events."""
        while line := self.line():
            if (event := json.loads(line))["event"] in names:
                return event
        raise AssertionError(self.log())

    def log(self) -> str:
        """What it has logged."""
        return Path(self._log.name).read_text(encoding="utf-8")

    def logs(self, text: str, times: int = 1) -> None:
        """Wait until it has logged this so many times."""
        deadline = time.monotonic() + 30
        while self.log().count(text) < times:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def stop(self, signum: int = signal.SIGKILL) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code


class Machines:
    """Starts programs, and kills what is left at the end."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self._engine = engine
        self._programs: list[Program] = []

    def start(self, name: str, *command: str, **variables: str) -> Program:
        program = Program(self.folder / name, *command, **variables)
        self._programs.append(program)
        return program

    def comfyui(self, name: str, step_time: float) -> str:
        simulator = self.start(name, "simulate", "--port", "0", "--step-time", str(step_time))
        return simulator.line().split()[-1]

    def worker(self, name: str, url: str, folder: str = "", **variables: str) -> Program:
        options = ("--engine", self._engine, "--name", name, "--server", url)
        return self.start(folder or name, "work", *options, **variables)

    def front(self, count: int, steps: int, **variables: str) -> Program:
        command = ("generate", "txt2img", "prompt=a fox", f"steps={steps}", "--count", str(count), "--json")
        return self.start("front", *command, ATELIER_ENGINE=self._engine, **variables)

    def close(self) -> None:
        for program in self._programs:
            if program.process.poll() is None:
                program.process.send_signal(signal.SIGCONT)
            program.stop()


@contextmanager
def machines(folder: Path, engine: str) -> Generator[Machines]:
    """The programs of one test."""
    opened = Machines(folder, engine)
    try:
        yield opened
    finally:
        opened.close()


def test_the_jobs_of_a_worker_that_freezes_or_is_killed_are_made_elsewhere_and_once(
    valkey: Valkey, tmp_path: Path
) -> None:
    with machines(tmp_path, valkey.database().address) as all_of:
        attic_comfyui, cellar_comfyui = all_of.comfyui("one", 0.3), all_of.comfyui("two", 0.3)
        attic = all_of.worker("attic", attic_comfyui)
        attic.logs("the worker is ready")
        front = all_of.front(1, 60)
        assert front.event("started")["server"] == "attic"
        cellar = all_of.worker("cellar", cellar_comfyui)
        cellar.logs("the worker is ready")

        attic.process.send_signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        while (event := front.event("queued", "started"))["server"] != "cellar":
            pass
        assert time.monotonic() - frozen_at < MOVED
        attic.process.send_signal(signal.SIGCONT)
        # It resumes after more than twice its lease.
        attic.logs("the worker is ready", times=2)
        while event["event"] != "started":
            event = front.event("started", "queued")
        assert event["server"] == "cellar", "the worker that was frozen changes nothing"

        cellar.stop(signal.SIGKILL)
        killed_at = time.monotonic()
        while front.event("queued", "started")["server"] != "attic":
            pass
        assert time.monotonic() - killed_at < MOVED
        finished = front.event("finished", "failed", "lost")
        assert (finished["event"], finished["server"]) == ("finished", "attic"), finished
        assert front.event("summary")
        assert front.process.wait(30) == 0
        stopped_at = time.monotonic()
        assert attic.stop(signal.SIGTERM) == 0
        assert time.monotonic() - stopped_at < 3.0


def test_every_job_is_made_although_the_engine_dies_and_comes_back(tmp_path: Path) -> None:
    valkey = Valkey()
    valkey.start()
    try:
        with machines(tmp_path, valkey.database().address) as all_of:
            attic = all_of.worker("attic", all_of.comfyui("one", 0.02), ATELIER_LOG="json")
            attic.logs("the worker is ready")
            front = all_of.front(6, 10)
            assert front.event("finished")
            valkey.kill()
            attic.logs("the engine cannot be used")
            valkey.start()
            for _ in range(5):
                assert front.event("finished", "failed", "lost")["event"] == "finished"
            assert front.process.wait(30) == 0
            assert attic.log().count("the engine cannot be used") == 1, "an outage is said once"
    finally:
        valkey.close()


def test_a_worker_with_a_login_of_its_own_works_and_reaches_nothing_else(tmp_path: Path) -> None:
    valkey = Valkey()
    valkey.start()
    try:
        documented = next(line for line in SCALING.read_text().splitlines() if "ACL SETUSER attic" in line)
        assert valkey.ask(*documented.replace("A-LONG-PASSWORD", "secret").split()) == b"+OK\r\n"
        for command in (("GET", "atelier:front"), ("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",), ("CONFIG", "GET", "*")):
            assert b"no permissions" in valkey.ask("ACL", "DRYRUN", "attic", *command)
        with machines(tmp_path, f"valkey://127.0.0.1:{valkey.port}") as all_of:
            url = all_of.comfyui("one", 0.0)
            attic = all_of.worker("attic", url, ATELIER_ENGINE_PASSWORD="secret")
            attic.logs("the worker is ready")
            second = all_of.worker("attic", url, "second", ATELIER_ENGINE_PASSWORD="secret")
            wrong = all_of.worker("attic", url, "wrong", ATELIER_ENGINE_PASSWORD="other")
            other = all_of.worker("cellar", url, "other", ATELIER_ENGINE_PASSWORD="secret")
            front = all_of.front(1, 1)
            assert front.event("finished", "failed", "lost")["event"] == "finished"
            assert second.process.wait(30) == 1
            assert "another worker is called attic: stop it, or choose another --name." in second.log()
            for refused in (wrong, other):
                refused.logs("the engine cannot be used")
                assert refused.log().count("WRONGPASS") <= 1
                assert refused.stop(signal.SIGTERM) == 0
    finally:
        valkey.close()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("work", "--name", "attic"), "work needs an engine: write --engine valkey://host:6379"),
        (("work", "--engine", "valkey://localhost"), "work needs a name: write --name attic"),
    ],
)
def test_a_worker_that_lacks_something_says_what_to_write(
    tmp_path: Path, command: tuple[str, ...], sentence: str
) -> None:
    program = Program(tmp_path / "worker", *command)
    assert program.process.wait(30) == 2
    assert sentence in program.log()
    program.stop()
