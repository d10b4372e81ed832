"""`forget`: everything of one person goes, nothing of anybody else, and nothing that is still needed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.cli.main import main
from app.core.drafts import StoredDraft
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, JobRequest, State, Transition, Upload
from app.core.limits.moderation import Ban
from app.core.scheduling.queue.fair_queue import Served
from app.events import FileRef, Finished, JobId, NodeId, ServerName
from app.journal.opening import JOURNAL, instance_lock, open_store
from app.retention import forget

ADA, BOB = "111111111111111111", "222222222222222222"
STUDIO = ServerName("studio")


def job_id(number: int) -> JobId:
    return JobId(f"{number:08}-aaaa-4aaa-8aaa-aaaaaaaaaaaa")


def job(number: int, owner: str, *needed: str, notified: bool = True, spent: int = 0) -> Job:
    """A job with one result, which needs some files."""
    uploads = tuple(Upload(NodeId("1"), "image", f"/elsewhere/inputs/{name}") for name in needed)
    request = JobRequest(
        job=job_id(number),
        workflow="txt2img",
        graph={},
        folder="results",
        owner=owner,
        uploads=uploads,
        values={"prompt": f"a secret of {owner}"},
    )
    made = Job(request=request, state=State.DELIVERED if notified else State.RUNNING, notified=notified, spent=spent)
    path = f"/elsewhere/results/{result(number)}"
    made.files = {FileRef("x.png"): path}
    if notified:
        made.terminal_update = Finished(STUDIO, (path,), job=made.id)
    return made


def result(number: int) -> str:
    return f"txt2img-{number:08}-01.png"


def thumbnail(number: int) -> str:
    return f"{result(number)}.thumbnail"


def attached(number: int) -> str:
    return f"{job_id(number)}-image.png"


def run(number: int, owner: str, guild: str, channel: str) -> Run:
    return Run(
        job=job_id(number),
        person=owner,
        workflow="txt2img",
        server=STUDIO,
        work=1.0,
        seconds=4.0,
        guild=guild,
        channel=channel,
    )


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    monkeypatch.setenv("ATELIER_DATA", str(folder))
    monkeypatch.setattr(forget, "PAUSE", 0.0)
    monkeypatch.setattr(forget, "JOBS_AT_ONCE", 2)
    return folder


def fill(data: Path, *more: Job) -> None:
    """What the bot keeps about two people.

    The first of Ada's jobs has an attached file, the second one that was attached to an edit, and the third one is made
    from Bob's result and his attached file.
    """
    edited = f"{job_id(99)}-image.png"
    jobs = [
        job(1, ADA, attached(1), spent=5_000),
        job(2, ADA, edited),
        job(3, ADA, result(4), attached(4)),
        job(4, BOB, attached(4), spent=7_000),
        *more,
    ]
    for folder, names in (
        ("results", [result(number) for number in range(1, 5)] + [thumbnail(1), thumbnail(4)]),
        ("inputs", [attached(1), edited, attached(4)]),
    ):
        (data / folder).mkdir(parents=True)
        for name in names:
            (data / folder / name).write_text(name)
    steps = [Transition(each.id, 1, "delivered", "shown") for each in jobs]
    runs = [run(1, ADA, "guild", "channel"), run(2, ADA, "", "direct"), run(4, BOB, "guild", "channel")]
    with open_store(data / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        store.write([(jobs, steps)], runs, Served({ADA: 4.0, BOB: 4.0}))
        for owner in (ADA, BOB):
            store.prefer(owner, "txt2img", {"steps": 4})
            store.keep_draft(StoredDraft(f"draft-{owner}", owner, b"{}"))
            store.say_once("hint", owner)
        store.decide(Ban(guild="guild", banned="person", id=BOB), "333333333333333333")


def files(data: Path) -> set[str]:
    return {path.name for folder in ("results", "inputs") for path in (data / folder).iterdir()}


BOBS = {result(4), thumbnail(4), attached(4)}


def test_it_says_first_what_would_go_and_changes_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(data)
    before = files(data)
    assert main(["forget", ADA]) == 0
    said = capsys.readouterr().out
    assert f"This would be removed about {ADA}: 3 jobs, 1 saved setting, 1 unfinished form, 1 shown hint, " in said
    assert "6 files (0.0 MB), " in said
    assert "the id in 2 measured runs, the id in 1 payment." in said
    assert f"forget {ADA} --yes\n" in said
    assert files(data) == before
    with open_store(data / JOURNAL, clock=lambda: 1_000.0) as store:
        assert store.kept_about(ADA).jobs == 3


def test_nothing_of_the_person_is_left_in_any_file_and_everything_of_others_is(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(data)
    assert main(["forget", ADA, "--yes"]) == 0
    assert f"Removed about {ADA}: 3 jobs" in capsys.readouterr().out
    assert files(data) == BOBS
    for path in data.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert ADA.encode() not in content, path
        assert str(job_id(1)).encode() not in content, path
        assert b"direct" not in content, path
    with open_store(data / JOURNAL, clock=lambda: 1_000.0) as store:
        bob = store.kept_about(BOB)
        assert (bob.jobs, bob.settings, bob.runs, bob.payments, bob.bans) == (1, 1, 1, 1, 1)
        assert store.served().people == {BOB: 4.0}
        # What all people used together stays as it was.
        assert sum(spent.amount for spent in store.spent()) == 12_000
        assert [(use.origin.guild, use.seconds) for use in store.uses()] == [("guild", 4.0), ("", 4.0), ("guild", 4.0)]
    assert main(["forget", ADA, "--yes"]) == 0
    assert capsys.readouterr().out == f"The bot keeps nothing about {ADA}.\n"


def test_a_bot_that_runs_goes_on_and_no_longer_knows_the_jobs(data: Path) -> None:
    fill(data)
    with instance_lock(data / JOURNAL), open_store(data / JOURNAL, clock=lambda: 1_000.0, durable=False) as bot:
        assert bot.find(job_id(1)) is not None
        assert main(["forget", ADA, "--yes"]) == 0
        assert bot.find(job_id(1)) is None
        assert bot.find(job_id(4)) is not None
        bot.write([([job(7, ADA, notified=False)], [])])
    assert main(["forget", ADA, "--yes"]) == 1


def test_what_stays_of_a_moderator_and_of_a_ban_is_said(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(data)
    assert main(["forget", BOB]) == 0
    assert "Not removed: 1 ban of this person." in capsys.readouterr().out
    assert main(["forget", "333333333333333333"]) == 0
    assert "Not removed: 1 decision that this person made as a moderator." in capsys.readouterr().out


def test_unfinished_jobs_of_the_person_or_made_from_their_pictures_refuse_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(data, job(5, BOB, result(1), notified=False), job(6, "444444444444444444", notified=False))
    before = files(data)
    assert main(["forget", ADA, "--yes"]) == 1
    assert "an unfinished job of somebody else needs a file of this person" in capsys.readouterr().err
    assert main(["forget", "444444444444444444", "--yes"]) == 1
    assert "this person has 1 unfinished job: wait until they end, or end them with" in capsys.readouterr().err
    assert files(data) == before


def test_a_file_that_cannot_be_deleted_keeps_the_jobs_that_name_it(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(data)
    unlink = Path.unlink

    def refuse(path: Path, **options: bool) -> None:
        if path.name == result(2):
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert main(["forget", ADA, "--yes"]) == 1
    assert "1 file cannot be deleted: change" in capsys.readouterr().err
    with open_store(data / JOURNAL, clock=lambda: 1_000.0) as store:
        assert store.kept_about(ADA).jobs == 3
    assert main(["forget", ADA, "--yes"]) == 0
    assert files(data) == BOBS


def test_it_was_decided_for_every_table_of_the_journal_what_becomes_of_the_person(data: Path) -> None:
    """A new table belongs here, and into `forget_person` if it says anything about people."""
    fill(data)
    with closing(sqlite3.connect(data / JOURNAL)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    removed = {"jobs", "transitions", "preferences", "served", "drafts", "notices", "gallery"}
    # The table of prompts, and those in which SQLite keeps it.
    removed |= {f"gallery_prompts{part}" for part in ("", "_config", "_content", "_data", "_docsize", "_idx")}
    without_the_person = {"runs", "payments"}
    kept_and_said = {"bans", "audit"}
    of_operators = {"servers", "on_periods", "requests", "clients", "guild_limits", "gallery_filled"}
    assert tables == removed | without_the_person | kept_and_said | of_operators


@pytest.mark.parametrize("user", ["ada", "123", "@ada"])
def test_a_name_instead_of_an_id_is_one_sentence(user: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["forget", user])
    assert f"“{user}” is not an id of Discord, such as 123456789012345678" in capsys.readouterr().err


def test_where_the_bot_has_not_run_there_is_nothing_to_forget(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", ADA]) == 1
    assert "there is no journal at" in capsys.readouterr().err
