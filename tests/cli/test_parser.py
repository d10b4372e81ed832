"""The program as a person meets it: real processes, real sockets, real signals."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest

from app.journal.opening import open_store
from tests.process.launcher import PROGRAM, ROOT, forking

BACKENDS = ["trio", "asyncio"]

ENOUGH = 120.0
"""Seconds after which a process hangs. How quick it is, `bench` measures."""


def atelier(
    *arguments: str, cwd: Path | None = None, by_fork: bool = True, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    with forking(by_fork=by_fork):
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=cwd or ROOT,
            env=environment(**environ),
            capture_output=True,
            text=True,
            timeout=ENOUGH,
            check=False,
        )


def summary(**counts: int) -> dict[str, object]:
    """The last line of --json."""
    return {"event": "summary", "failed": 0, "cancelled": 0, "lost": 0, "incomplete": 0, **counts}


def environment(**environ: str) -> dict[str, str]:
    workflows = str(ROOT / "workflows")
    return {"PYTHONPATH": str(ROOT), "PATH": "", "ATELIER_WORKFLOWS": workflows, **environ}


@contextmanager
def started(*arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run the program beside the test; it is ended at the latest with the block."""
    with forking():
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def simulator(*arguments: str) -> Generator[str]:
    """A simulator of its own process; its address."""
    with started("simulate", "--port", "0", *arguments) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://")
        yield line.removeprefix("listening on ").strip()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with simulator("--step-time", "0.01", "--steps", "6") as url:
        yield url


@pytest.fixture(scope="module")
def slow_server() -> Iterator[str]:
    with simulator("--step-time", "0.2", "--steps", "50") as url:
        yield url


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_generate_makes_twelve_at_once_and_says_so_in_json(backend: str, server: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    arguments = ("generate", "txt2img", "prompt=a fox", "width=64", "height=64", "--count", "12", "--json")
    done = atelier(*arguments, "--server", server, "--out", out, "--backend", backend, by_fork=False)
    assert (done.returncode, done.stderr) == (0, "")
    events = lines(done.stdout)
    assert events[-1] == summary(jobs=12, finished=12)
    finished = [line for line in events if line["event"] == "finished"]
    files = [Path(str(file)) for line in finished for file in list[object](line["files"])]  # pyright: ignore[reportArgumentType]
    assert len(files) == 12
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert len({line["seed"] for line in finished}) == 12
    assert {line["event"] for line in events} >= {"queued", "started", "progressed", "finished", "summary"}
    assert all(isinstance(line["t"], float) and isinstance(line["job"], str) for line in events[:-1])
    assert not list((tmp_path / "out").glob("*.part"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_takes_our_jobs_off_the_server(
    backend: str, signum: signal.Signals, code: int, slow_server: str, tmp_path: Path
) -> None:
    arguments = ("generate", "txt2img", "prompt=x", "width=64", "height=64", "--count", "5", "--json")
    where = ("--server", slow_server, "--out", str(tmp_path), "--backend", backend)
    with started(*arguments, *where) as process:
        assert process.stdout is not None
        while '"progressed"' not in process.stdout.readline():
            pass
        process.send_signal(signum)
        out, err = process.communicate(timeout=ENOUGH)
    assert (process.returncode, err) == (code, "")
    assert lines(out)[-1]["cancelled"] == 5
    queue = httpx.get(f"{slow_server}/queue").json()
    assert queue == {"queue_running": [], "queue_pending": []}


def test_a_server_that_is_killed_and_comes_back_costs_time_not_jobs(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    arguments = ("generate", "txt2img", "prompt=x", "width=64", "height=64", "--count", "6", "--json")
    simulate = ("simulate", "--port", port, "--step-time", "0.05", "--steps", "8")
    with started(*simulate) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with started(*arguments, "--server", f"http://127.0.0.1:{port}", "--out", str(tmp_path)) as process:
            assert process.stdout is not None
            while '"finished"' not in process.stdout.readline():
                pass
            first.kill()
            first.wait()
            # The length of the outage is what is given.
            time.sleep(1)
            with started(*simulate):
                out, _ = process.communicate(timeout=ENOUGH)
    assert process.returncode == 0
    assert lines(out)[-1] == summary(jobs=6, finished=6)


def test_a_timeout_cancels_what_is_unfinished(slow_server: str, tmp_path: Path) -> None:
    done = atelier(
        "generate", "txt2img", "prompt=x", "--timeout", "1", "--json", "--server", slow_server, "--out", str(tmp_path)
    )
    assert done.returncode == 1
    assert lines(done.stdout)[-2]["reason"] == "The time limit of 1 s (--timeout) was reached."
    assert lines(done.stdout)[-2]["reason_kind"] == "TimeLimitReached"


def test_img2img_uploads_a_picture(server: str, tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "a photo.png"
    Image.new("RGB", (64, 48), "teal").save(photo)
    done = atelier(
        "generate", "img2img", "prompt=x", f"image={photo}", "--server", server, "--out", str(tmp_path / "out")
    )
    assert done.returncode == 0
    assert "1 job: 1 finished" in done.stdout


def test_a_task_uses_a_model_by_its_human_name_in_a_format(server: str, tmp_path: Path) -> None:
    from PIL import Image

    words = ("--task", "imagine", "prompt=x", "steps=1", "--model", "Portrait XL", "--format", "3:4")
    done = atelier("generate", *words, "--server", server, "--out", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    (file,) = cast("list[str]", lines(done.stdout)[-2]["files"])
    with Image.open(file) as picture:
        assert picture.size == (896, 1152)


def test_check_says_what_is_right_and_what_is_not(server: str) -> None:
    good = atelier("check", "--server", server, by_fork=False)
    assert good.returncode == 0
    assert "ComfyUI 0.33.0" in good.stdout
    bad = atelier("check", "--server", server, "--server", "http://127.0.0.1:1")
    assert bad.returncode == 1
    assert "refuses the connection" in " ".join(bad.stdout.split())


WRONG = {
    "no workflow": (("txt2imf",), "There is no workflow called “txt2imf”"),
    "a suggestion": (("txt2imf",), "did you mean “txt2img”?"),
    "no slot": (("txt2img", "prompt=x", "stepps=3"), "no slot called “stepps”; did you mean “steps”?"),
    "no workflow and no task": ((), "generate needs a WORKFLOW, or --task and what to make."),
    "a model without a task": (("txt2img", "--model", "Flux"), "--model and --format need --task"),
    "no such model": (("--task", "imagine", "prompt=x", "--model", "Fluxx"), "no model “Fluxx” here now; did you mean"),
    "no such format": (("--task", "imagine", "prompt=x", "--format", "2:1"), "There is no format “2:1”."),
    "no prompt for a task": (("--task", "imagine"), "needs a value for prompt"),
    "no such task": (("--task", "imagin", "prompt=x"), "imagin"),
    "an option that the model lacks": (
        ("--task", "imagine", "prompt=x", "negative=y", "--model", "flux"),
        "“Flux” has no option “negative”. It has prompt, model, format",
    ),
    "no prompt": (("txt2img",), "needs a value for prompt, such as “a lighthouse at dusk”"),
    "out of range": (("txt2img", "prompt=x", "steps=0"), "steps is 0, but must be between 1 and 150."),
    "no number": (("txt2img", "prompt=x", "steps=many"), "steps must be a whole number, not “many”."),
    "no choice": (("txt2img", "prompt=x", "sampler=eulr"), "sampler cannot be “eulr”; did you mean “euler”?"),
    "no picture": (("img2img", "prompt=x", "image=nowhere.png"), "image: there is no file nowhere.png."),
    "no node": (("txt2img", "prompt=x", "--set", "Samplr.cfg=1"), "did you mean “Sampler”?"),
    "no input": (
        ("txt2img", "prompt=x", "--set", "Sampler.cgf=1"),
        "“Sampler” has no input “cgf”; did you mean “cfg”?",
    ),
    "a connection": (("txt2img", "prompt=x", "--set", "Sampler.model=1"), "gets its value from another node"),
    "no pair": (("txt2img", "prompt"), "“prompt” is not of the form slot=value."),
    "a bad address": (("txt2img", "prompt=x", "--server", "foo"), "--server: “foo” is not the address of a server"),
    "a bad count": (("txt2img", "prompt=x", "--count", "0"), "“0” is not a whole number between 1 and 1000"),
    "a missing file": (("none.json",), "There is no file none.json."),
    "a long name": (("x" * 300,), "There is no workflow called"),
    "a home of nobody": (("~nobody-of-that-name/x.json",), "There is no file ~nobody-of-that-name/x.json."),
    "half a character": (("txt2img", "prompt=\udcff"), "prompt contains invalid characters: type it again."),
}


@pytest.mark.parametrize(("arguments", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_one_sentence_and_code_2(arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    done = atelier("generate", *arguments, "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("atelier: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is not a workflow: in ComfyUI choose Workflow > Export (API)."),
        ('{"nodes": [], "links": []}', "is in the editor's own format: in ComfyUI choose"),
        ('{"1": {"class_type": "A", "inputs": {"x": ["9", 0]}}}', "comes from a node that does not exist"),
    ],
)
def test_a_file_that_is_no_workflow_says_what_to_do(content: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(content)
    done = atelier("generate", str(path), "--out", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_a_server_that_is_no_comfyui_is_named_by_check(tmp_path: Path) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as page:
        thread = threading.Thread(target=page.serve_forever)
        thread.start()
        done = atelier("check", "--server", f"http://127.0.0.1:{page.server_port}")
        page.shutdown()
        thread.join()
    assert done.returncode == 1
    assert "is not ComfyUI" in " ".join(done.stdout.split())


def test_a_refused_workflow_ends_with_titles_and_code_1(server: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text('{"1": {"class_type": "NoSuchNode", "inputs": {}, "_meta": {"title": "Magic"}}}')
    done = atelier("generate", str(path), "--server", server, "--out", str(tmp_path))
    assert done.returncode == 1
    assert "does not have “Magic” (NoSuchNode). Install its custom node there." in done.stdout


def test_without_a_token_the_bot_says_what_else_there_is() -> None:
    done = atelier(by_fork=False)
    assert done.returncode == 2
    assert done.stderr.startswith("atelier: no DISCORD_TOKEN is set; try")


@pytest.mark.parametrize("command", ["run", "jobs"])
@pytest.mark.parametrize("setting", ["", 'data = "state"\n'], ids=["default", "atelier.toml"])
def test_a_journal_that_an_earlier_version_put_elsewhere_is_never_passed_over(
    command: str, setting: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (there / "atelier.toml").write_text(setting)
    former, data = (here / "state", there / "state") if setting else (here / "data", ROOT / "data")
    with open_store(former / "atelier.db", clock=lambda: 0.0):
        pass
    config = str(there / "atelier.toml")
    done = atelier(command, cwd=here, ATELIER_CONFIG=config, DISCORD_TOKEN="a.b.c")
    assert done.returncode == 2
    assert done.stderr == (
        f"atelier: the journal is in {former}, where an earlier version put it, but the data folder is now {data}:"
        f" move the folder there, or set ATELIER_DATA={former}.\n"
    )
    assert not (there / "state").exists()
    assert atelier("jobs", cwd=here, ATELIER_CONFIG=config, ATELIER_DATA=str(former)).returncode == 0
    if setting:
        former.rename(there / "state")
        assert atelier("jobs", cwd=here, ATELIER_CONFIG=config).returncode == 0


@pytest.mark.parametrize("command", ["run", "demo", "generate", "simulate", "check"])
def test_every_command_explains_itself_with_examples(command: str) -> None:
    # One of them shows that this needs nothing that only the launcher has imported.
    done = atelier(command, "--help", by_fork=command != "run")
    assert done.returncode == 0
    assert f"python -m app {command}" in done.stdout
    assert "Examples:" in done.stdout


def test_a_taken_port_is_one_sentence(server: str) -> None:
    port = server.rpartition(":")[2]
    done = atelier("simulate", "--port", port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"atelier: cannot listen on 127.0.0.1:{port}")


def test_a_wrong_key_in_the_configuration_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text("dept = 3\n")
    done = atelier("check", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "atelier: atelier.toml, line 1: there is no key “dept”: did you mean “depth”?\n"


def test_bash_completes_a_command_line() -> None:
    source = f"""
        atelier() {{ {shlex.quote(sys.executable)} -m app "$@"; }}
        eval "$(atelier completion bash)"
        COMP_WORDS=(atelier generate txt2i) COMP_CWORD=2
        _atelier; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(atelier workf) COMP_CWORD=1
        _atelier; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(atelier jobs --state del) COMP_CWORD=3
        _atelier; echo "${{COMPREPLY[@]}}"
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT), "ATELIER_WORKFLOWS": str(ROOT / "workflows")}
    done = subprocess.run(["bash", "-c", source], env=env, capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout.split("\n")[:3], done.stderr) == (["txt2img", "workflows", "delivered"], "")
