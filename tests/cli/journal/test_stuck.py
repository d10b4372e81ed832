"""`python -m app jobs stuck`: which jobs wait for something unusual, and what an operator can do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from app.cli.main import main
from app.core.jobs.job import Attempt, Job, JobRequest, State
from app.events import Failed, FileRef, Finished, JobId, NodeId, NodeOutput, PromptId, ServerName
from app.journal.opening import open_store
from app.ports import History, Json
from app.reasons.jobs import OutOfMemory
from tests.comfy.peers import closed_port

STUDIO, CELLAR, ATTIC = ServerName("studio"), ServerName("cellar"), ServerName("attic")
"""The first answers, the second is away, the third is no longer configured."""

RESULT = FileRef("a.png")
DONE = History("success", (NodeOutput(NodeId("7"), (RESULT,)),))

ANSWERS: dict[str, bytes] = {
    "/system_stats": b'{"system": {"comfyui_version": "0.8.0"}, "devices": []}',
    "/queue": b'{"queue_running": [], "queue_pending": []}',
}


class Idle(BaseHTTPRequestHandler):
    """A ComfyUI without jobs."""

    def do_GET(self) -> None:
        body = ANSWERS[self.path]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the library's
        """Be quiet."""


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMFYUI_URL", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Idle) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        ports = {STUDIO: server.server_port, CELLAR: closed_port()}
        tables = [f'[[servers]]\nname = "{name}"\nurl = "http://127.0.0.1:{port}"\n' for name, port in ports.items()]
        (tmp_path / "atelier.toml").write_text("".join(['data = "data"\n', *tables]))
        yield
        server.shutdown()
        thread.join()


def job(name: str, state: State, server: ServerName | None = None, *able: ServerName) -> Job:
    request = JobRequest(job=JobId(name), workflow="txt2img", graph={}, folder="out", owner="ada", servers=able)
    attempt = Attempt(PromptId(f"p-{name}"), server, posting=False) if server else None
    return Job(request=request, state=state, attempt=attempt)


def write(*jobs: Job, age: float = 0.0) -> None:
    with open_store(Path("data/atelier.db"), clock=lambda: time.time() - age) as store:
        store.write([(list(jobs), [])])


def stuck(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[list[str], str]]:
    """The jobs that are listed, each with the kinds of what it waits for and the command."""
    assert main(["jobs", "stuck", "--json"]) == 0
    listed: dict[str, tuple[list[str], str]] = {}
    for line in capsys.readouterr().out.splitlines():
        match msgspec.json.decode(line, type=dict[str, Json]):
            case {"job": str(name), "waits": list(waits), "command": str(command)}:
                listed[name] = ([str(wait["kind"]) for wait in waits if isinstance(wait, dict)], command)
            case _:
                raise AssertionError(line)
    return listed


def test_a_job_at_a_server_that_is_away_is_stuck_and_one_at_another_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    write(job("a", State.RUNNING, CELLAR), job("b", State.QUEUED, CELLAR), job("c", State.RUNNING, STUDIO))
    wait = ["WaitsForServers"]
    assert stuck(capsys) == {"a": (wait, "jobs cancel a"), "b": (wait, "jobs cancel b")}


def test_a_job_that_waits_for_a_server_is_stuck_if_none_that_can_run_it_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    everywhere, there = job("a", State.ACCEPTED), job("b", State.ACCEPTED, None, CELLAR)
    write(everywhere, there, job("c", State.ACCEPTED, None, CELLAR, STUDIO), job("d", State.ACCEPTED, None, ATTIC))
    assert stuck(capsys) == {
        "b": (["WaitsForServers"], "jobs cancel b"),
        "d": (["NoServerListed"], "jobs cancel d"),
    }


def test_a_job_at_a_server_that_was_removed_is_stuck(capsys: pytest.CaptureFixture[str]) -> None:
    write(job("a", State.RUNNING, ATTIC))
    assert stuck(capsys) == {"a": (["ServerRemoved"], "jobs cancel a")}


def test_results_that_are_not_fetched_are_unusual_at_once_or_after_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job("a", State.FINISHED, CELLAR), job("b", State.FINISHED, STUDIO), job("c", State.FINISHED, STUDIO)]
    for entry in jobs:
        entry.history = DONE
    jobs[2].files[RESULT] = "out/a.png"
    write(*jobs)
    assert stuck(capsys) == {"a": (["WaitsForResults"], "jobs cancel a")}
    write(*jobs, age=61)
    assert list(stuck(capsys)) == ["a", "b"]


def test_an_end_that_is_not_shown_is_unusual_after_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    ended = job("a", State.FAILED, STUDIO)
    ended.terminal_update = Failed(OutOfMemory("Sampler"), job=ended.id)
    write(ended)
    assert stuck(capsys) == {}
    write(ended, age=61)
    assert stuck(capsys) == {"a": (["NotShown"], "jobs retry a")}


def test_what_a_server_may_still_have_is_listed_and_has_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job("a", State.DELIVERED, STUDIO), job("b", State.DELIVERED, STUDIO)]
    for entry, server in zip(jobs, (CELLAR, STUDIO), strict=True):
        entry.terminal_update, entry.notified = Finished(STUDIO, ("out/a.png",), job=entry.id), True
        entry.leftovers.append(Attempt(PromptId("old"), server))
    write(*jobs, age=3600)
    assert stuck(capsys) == {"a": (["LeftAtServer"], "")}


def test_the_table_says_what_to_do_and_the_oldest_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    write(job("b0000000-0000", State.RUNNING, CELLAR))
    write(job("a0000000-0000", State.RUNNING, ATTIC))
    assert main(["jobs", "stuck"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Start ComfyUI on cellar: it does not answer. Or: jobs cancel b0000000" in text
    assert text.index("b0000000") < text.index("a0000000")


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_without_a_stuck_job_it_says_so(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(job("a", State.RUNNING, STUDIO))
    assert main(["jobs", "stuck", "--backend", backend]) == 0
    assert capsys.readouterr().out == "No job is stuck.\n"
