"""`python -m app servers`: which servers get no new jobs, also while a bot has the journal."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from app.cli.main import main
from app.core.jobs.job import Attempt, Job, JobRequest, State
from app.core.servers.power import Change, PowerRecord
from app.events import JobId, PromptId, ServerName
from app.journal.opening import instance_lock, open_store
from app.ports import Json
from tests.comfy.peers import closed_port

STUDIO, CELLAR = ServerName("studio"), ServerName("cellar")


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two servers that do not answer, one of which has jobs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMFYUI_URL", raising=False)
    monkeypatch.setenv("ATELIER_DATA", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ada")
    tables = [f'[[servers]]\nname = "{name}"\nurl = "http://127.0.0.1:{closed_port()}"\n' for name in (STUDIO, CELLAR)]
    (tmp_path / "atelier.toml").write_text("".join(tables))
    path = tmp_path / "atelier.db"
    names = (JobId("aaaaaaaa-1"), JobId("bbbbbbbb-2"))
    jobs = [Job(request=JobRequest(job=name, workflow="txt2img", graph={}, folder="out")) for name in names]
    for job, state in zip(jobs, (State.RUNNING, State.QUEUED), strict=True):
        job.attempt, job.state = Attempt(PromptId(f"p-{job.id}"), STUDIO), state
    with open_store(path, clock=lambda: 1_000.0) as store:
        store.write([(jobs, [])])
    return path


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Json]]:
    capsys.readouterr()
    assert main(["servers", "--json"]) == 0
    return [msgspec.json.decode(line, type=dict[str, Json]) for line in capsys.readouterr().out.splitlines()]


def test_the_list_says_what_each_server_does(capsys: pytest.CaptureFixture[str]) -> None:
    studio, cellar = listed(capsys)
    assert (studio["server"], studio["state"], studio["answers"]) == (STUDIO, "offline", False)
    assert (studio["running"], studio["waiting"]) == (["aaaaaaaa-1"], ["bbbbbbbb-2"])
    assert (cellar["running"], cellar["waiting"], cellar["drained"]) == ([], [], False)
    assert main(["servers"]) == 0
    _, line, _ = capsys.readouterr().out.splitlines()
    assert line.split() == ["studio", "offline", "txt2img", "aaaaaaaa", "1"]


def test_servers_are_listed_before_the_bot_ran_for_the_first_time(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.unlink()
    assert [(server["server"], server["state"]) for server in listed(capsys)] == [
        (STUDIO, "offline"),
        (CELLAR, "offline"),
    ]
    assert not journal.exists(), "a list creates nothing"


def test_a_server_is_drained_and_resumed_while_a_bot_has_the_journal(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with instance_lock(journal):
        assert main(["servers", "drain", "studio"]) == 0
    assert "studio gets no new jobs from now on" in capsys.readouterr().out
    studio, cellar = listed(capsys)
    assert (studio["state"], studio["drained"], studio["drained_by"]) == ("drained, offline", True, "ada")
    assert isinstance(studio["drained_since"], float)
    assert cellar["drained"] is False
    with open_store(journal, clock=lambda: 0.0) as store:
        assert [server.name for server in store.drained()] == [STUDIO]
    assert main(["servers", "drain", "studio"]) == 0
    assert capsys.readouterr().out == "studio is drained already.\n"
    assert main(["servers", "resume", "studio"]) == 0
    assert capsys.readouterr().out == "studio gets jobs again.\n"
    assert main(["servers", "resume", "studio"]) == 0
    assert capsys.readouterr().out == "studio is not drained.\n"
    assert [server["drained"] for server in listed(capsys)] == [False, False]


@pytest.mark.parametrize("verb", ["drain", "resume"])
def test_an_unknown_server_is_one_sentence_with_what_was_meant(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["servers", verb, "stduio"]) == 1
    assert capsys.readouterr().err == "atelier: there is no server “stduio”; did you mean “studio”?\n"
    assert main(["servers", verb, "xyz"]) == 1
    assert capsys.readouterr().err == "atelier: there is no server “xyz”; choose from studio, cellar.\n"


def test_a_drained_server_that_is_no_longer_configured_can_be_resumed(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(journal, clock=lambda: 0.0) as store:
        store.drain(ServerName("attic"), "bob", drained=True)
    assert listed(capsys)[2]["state"] == "drained, not configured"
    assert main(["servers", "drain", "attic"]) == 1
    capsys.readouterr()
    assert main(["servers", "resume", "attic"]) == 0
    assert len(listed(capsys)) == 2


def test_a_job_whose_servers_are_drained_is_stuck_until_one_is_resumed(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = Job(request=JobRequest(job=JobId("cccccccc-3"), workflow="txt2img", graph={}, folder="out"))
    with open_store(journal, clock=lambda: 0.0) as store:
        store.write([([waiting], [])])
        for server in (STUDIO, CELLAR):
            store.drain(server, "ada", drained=True)
    assert main(["jobs", "stuck", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    record = next(line for line in lines if "cccccccc-3" in line)
    assert "WaitsForResume" in record
    assert "Run “servers resume” with one of studio, cellar: none takes new jobs." in record


@pytest.fixture
def commanded(journal: Path, tmp_path: Path) -> Path:
    """The cellar is started and stopped by commands."""
    config = (tmp_path / "atelier.toml").read_text()
    commands = 'start_command = ["on"]\nstop_command = ["off"]\nmost_hours_per_day = 2\nidle_minutes = 1\n'
    (tmp_path / "atelier.toml").write_text(config + commands)
    return journal


def record(journal: Path, *changes: Change, ago: float) -> None:
    with open_store(journal, clock=lambda: time.time() - ago) as store:
        store.record_power([PowerRecord(CELLAR, change) for change in changes])


def test_the_list_says_whether_a_server_is_on_and_for_how_long_it_was(
    commanded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studio, cellar = listed(capsys)
    assert (studio["state"], studio["power"]) == ("offline", None)
    assert (cellar["state"], cellar["power"], cellar["seconds_on"], cellar["answers"]) == ("off", "off", 0, False)
    record(commanded, "started", ago=3900)
    assert [server["state"] for server in listed(capsys)] == ["offline", "starting"]
    record(commanded, "answered", ago=3800)
    cellar = listed(capsys)[1]
    assert (cellar["state"], cellar["power"], cellar["started_by"]) == ("offline", "on", "bot")
    record(commanded, "stopping", ago=310)
    assert listed(capsys)[1]["state"] == "stopping"
    record(commanded, "stopped", ago=300)
    cellar = listed(capsys)[1]
    assert (cellar["state"], cellar["started_by"]) == ("off", None)
    assert main(["servers"]) == 0
    assert "1 h 00" in capsys.readouterr().out


def test_a_server_is_started_and_stopped_by_a_request_in_the_journal(
    commanded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["servers", "start", "cellar"]) == 0
    sentence = "The bot will start cellar, as soon as it runs, and stop it after a minute without jobs.\n"
    assert capsys.readouterr().out == sentence
    assert main(["servers", "stop", "cellar"]) == 0
    assert "It starts it again when a job needs it: to prevent that, drain it." in capsys.readouterr().out
    with open_store(commanded, clock=time.time) as store:
        assert [(request.verb, request.job) for request in store.requests()] == [
            ("start", "cellar"),
            ("stop", "cellar"),
        ]


def test_a_server_that_cannot_be_started_is_one_sentence(commanded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["servers", "start", "studio"]) == 1
    sentence = "atelier: studio has no start_command and stop_command in atelier.toml, so the bot cannot do that.\n"
    assert capsys.readouterr().err == sentence
    assert main(["servers", "start", "stduio"]) == 1
    assert "did you mean “studio”?" in capsys.readouterr().err
    record(commanded, "started", "answered", ago=9000)
    assert main(["servers", "start", "cellar"]) == 0
    assert capsys.readouterr().out == "cellar is on already.\n"
    record(commanded, "stopped", ago=60)
    assert main(["servers", "start", "cellar"]) == 1
    sentence = "atelier: cellar was on for 2 h 29 of the last 24: raise most_hours_per_day (2), or wait.\n"
    assert capsys.readouterr().err == sentence
    with open_store(commanded, clock=time.time) as store:
        assert store.requests() == []


def test_a_job_that_waits_for_a_server_that_is_off_is_not_stuck(
    commanded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = Job(
        request=JobRequest(job=JobId("cccccccc-3"), workflow="txt2img", graph={}, folder="out", servers=(CELLAR,))
    )
    with open_store(commanded, clock=lambda: 0.0) as store:
        store.write([([waiting], [])])
    assert main(["jobs", "stuck", "--json"]) == 0
    assert "cccccccc-3" not in capsys.readouterr().out
