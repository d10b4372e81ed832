"""`python -m app jobs`: what an operator reads and asks, also while a bot has the journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.cli.main import main
from app.cli.output.rows import json_fields
from app.core.jobs.job import Attempt, Job, JobRequest, State, Transition
from app.events import Failed, Finished, JobId, PromptId, ServerName
from app.journal.opening import instance_lock, open_store
from app.ports import Json
from app.reasons.jobs import ForgottenByServer, OutOfMemory
from tests.journal.holding import holding

DONE, OPEN = JobId("d0000000-0000"), JobId("e0000000-0000")


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal with a finished and an unfinished job, held by a bot."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_DATA", str(tmp_path))
    path = tmp_path / "atelier.db"
    requests = [JobRequest(job=job, workflow="txt2img", graph={}, folder="out", owner="ada") for job in (DONE, OPEN)]
    done, unfinished = (Job(request=request) for request in requests)
    done.attempt = Attempt(PromptId("p-1"), ServerName("studio"))
    done.state, done.notified = State.DELIVERED, True
    done.terminal_update = Finished(ServerName("studio"), ("out/a.png",), seed=7, job=DONE)
    story = [
        Transition(DONE, 0, "accepted", "accepted"),
        Transition(DONE, 1, "finished", "all results have arrived", "studio", "p-1"),
    ]
    with open_store(path, clock=lambda: 1_000.0) as store:
        store.write([([done, unfinished], story)])
    return path


def test_the_list_names_every_job_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["e0000000", "d0000000"]
    assert "1 file" in lines[2]


def test_one_state_alone_can_be_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "--state", "delivered", "--json"]) == 0
    record = msgspec.json.decode(capsys.readouterr().out, type=dict[str, object])
    assert (record["job"], record["server"], record["told"]) == (DONE, "studio", True)


def test_the_story_of_a_job_is_told_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "show", "d0"]) == 0
    output = capsys.readouterr().out
    assert output.index("accepted") < output.index("all results have arrived") < output.index("out/a.png")


def test_a_reason_is_a_sentence_and_a_kind(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = Job(request=JobRequest(job=JobId("f0000000-0000"), workflow="txt2img", graph={}, folder="out"))
    failed.terminal_update = Failed(OutOfMemory("Sampler"), job=failed.id)
    failed.state = State.FAILED
    story = [Transition(failed.id, 0, "accepted", "accepted"), Transition(failed.id, 1, "failed", "OutOfMemory")]
    with open_store(journal, clock=lambda: 1_000.0) as store:
        store.write([([failed], story)])
    sentence = "The server ran out of memory at “Sampler”. Choose a smaller size or fewer pictures."
    assert main(["jobs", "show", "f0", "--json"]) == 0
    record = msgspec.json.decode(capsys.readouterr().out, type=dict[str, Json])
    match record:
        case {"last_word": {"reason": reason, "reason_kind": kind}, "story": [_, {"cause": cause}]}:
            assert (reason, kind, cause) == (sentence, "OutOfMemory", sentence)
        case _:
            raise AssertionError(record)
    assert main(["jobs", "show", "f0"]) == 0
    assert "ran out of memory at “Sampler”" in " ".join(capsys.readouterr().out.split())
    assert main(["jobs", "--state", "failed"]) == 0
    assert "ran out of memory" in " ".join(capsys.readouterr().out.split())


def test_notes_are_sentences_in_json() -> None:
    fields = json_fields(Finished(ServerName("studio"), notes=(ForgottenByServer("studio", 2), "a text"), job=DONE))
    assert fields["notes"] == ["studio forgot it 2 times while working on it.", "a text"]


def test_an_unknown_job_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "show", "zz"]) == 1
    assert "begins with “zz”" in capsys.readouterr().err


def test_a_request_reaches_the_bot_that_holds_the_journal(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with instance_lock(journal), open_store(journal, clock=lambda: 0.0) as store:
        assert main(["jobs", "cancel", "e0"]) == 0
        assert [(request.verb, request.job) for request in store.requests()] == [("cancel", OPEN)]
    assert "The bot will cancel e0000000" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "job", "sentence"), [("cancel", "d0", "has ended"), ("retry", "e0", "not ended yet")])
def test_a_request_that_makes_no_sense_is_refused(
    verb: str, job: str, sentence: str, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", verb, job]) == 1
    assert sentence in capsys.readouterr().err
    with open_store(journal, clock=lambda: 0.0) as store:
        assert store.requests() == []


def test_without_a_journal_it_says_so(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal.unlink()
    assert main(["jobs"]) == 1
    assert "there is no journal" in capsys.readouterr().err
    assert not journal.exists()


def test_a_damaged_journal_is_a_sentence(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal.write_bytes(b"no journal at all")
    assert main(["jobs"]) == 1
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["list", "d0"], ["show"], ["dance"], ["--state", "odd"]])
def test_a_wrong_command_line_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["jobs", *words])
    assert stopped.value.code == 2


def test_a_damaged_record_is_a_sentence_and_hides_no_other(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE jobs SET record = ? WHERE id = ?", (b"{", DONE))
    assert main(["jobs", "show", "d0"]) == 1
    assert "record of job d0000000-0000" in capsys.readouterr().err
    assert main(["jobs"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["e0000000"]


def test_a_journal_that_another_program_holds_is_a_sentence(
    journal: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.journal.opening.BUSY", 0.1)
    with holding(journal):
        assert main(["jobs", "cancel", "e0"]) == 1
    assert "held by another program" in capsys.readouterr().err
