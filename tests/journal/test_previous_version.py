"""A journal that version 0.1 wrote is read in full, and the messages it points to still work.

`tests/data/journals/0.1.db` was written by version 0.1: one job in each state with every optional field set, and one
job with nothing but defaults. `0.1.json` lists what is in it: per job the two JSON documents as they are stored, then
transitions, requests, preferences, and custom ids of buttons. Neither file may change.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import asdict

from app.core.jobs.job import Attempt, FirstChoice, Job, JobRequest, State, Upload
from app.discord import custom_id, message_ref
from app.discord.message_ref import MessageRef
from app.events import (
    Cancelled,
    Failed,
    FileRef,
    Finished,
    JobId,
    Lost,
    NodeId,
    NodeOutput,
    PromptId,
    ServerName,
    TerminalUpdate,
)
from app.journal import serialization
from app.journal.opening import open_store
from app.journal.store import Store
from app.ports import Graph, History, Json
from app.texts.reasons.text import reason_text

DATA = Path(__file__).parent.parent / "data" / "journals"
HERE = ServerName("gpu-1")
GRAPH: Graph = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 2**64 - 1, "cfg": 7.5, "model": ["4", 0]},
        "_meta": {"title": "S"},
    },
    "10:2": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
}
ACCEPTED, CHANGED = 1_700_000_000.0, 1_700_000_060.5


class StoredJob(Struct):
    """One row of the table `jobs`, its documents decoded."""

    id: str
    accepted: float
    changed: float
    wish: dict[str, Json]
    record: dict[str, Json]


class StoredTransition(Struct):
    at: float
    job: str
    version: int
    state: str
    cause: str
    server: str
    prompt: str


class StoredRequest(Struct):
    number: int
    verb: str
    job: str


class StoredButton(Struct):
    custom_id: str
    verb: str
    job: str
    workflow: str
    number: int


class Contents(Struct):
    """What the fixture holds, by the names under which it is stored."""

    jobs: list[StoredJob]
    transitions: list[StoredTransition]
    requests: list[StoredRequest]
    preferences: dict[str, dict[str, Json]]
    buttons: list[StoredButton]


def _last(job: JobId, state: State) -> TerminalUpdate | None:
    match state:
        case State.FINISHED | State.DELIVERED:
            return Finished(
                HERE, files=("out/a.png", "out/b.webm"), texts=("a text",), notes=("one note",), seed=2**64 - 1, job=job
            )
        case State.FAILED:
            return Failed("“Sampler” ran out of memory.", files=("out/half.png",), job=job)
        case State.CANCELLED:
            return Cancelled("Somebody interrupted it at the server.", job=job)
        case State.LOST:
            return Lost("gpu-1 forgot it 2 times while working on it.", job=job)
        case _:
            return None


def job_in(state: State) -> Job:
    """A job in this state with every field set that has a default."""
    job = JobId(f"00000000-0000-4000-8000-00000000000{state.value}")
    place_of = MessageRef(
        channel="1100",
        user="2200",
        message="3300",
        guild="4400",
        limit=50 * 2**20,
        spoiler=True,
        more=("3301", "3302"),
    )
    return Job(
        request=JobRequest(
            job=job,
            workflow="txt2img",
            graph=GRAPH,
            folder="out",
            owner="discord:2200",
            seed=2**64 - 1,
            values={"prompt": "a lighthouse", "steps": 8, "loras": [["x", 0.5]], "hires": True, "none": None},
            silence=45.5,
            servers=(HERE, ServerName("gpu-2")),
            uploads=(Upload(NodeId("10:2"), "image", "uploads/photo.png"),),
            choices=(FirstChoice(NodeId("4"), "ckpt_name"),),
        ),
        state=state,
        version=7,
        attempt=Attempt(
            PromptId("11111111-1111-4111-8111-111111111111"), HERE, posting=False, cancel_acknowledged=True, foreign=3
        ),
        tries=2,
        worker_deaths=1,
        refusals=2,
        cancelling=True,
        blocked=["10:2"],
        notes=["The part at “Save” was dropped."],
        files={FileRef("a.png", "sub", "temp"): "out/a.png", FileRef("gone.png"): ""},
        streamed=["out/streamed.png"],
        kept=4,
        history=History(
            outcome="failed",
            outputs=(NodeOutput(NodeId("10:2"), files=(FileRef("a.png", "sub", "temp"),), texts=("a text",)),),
            node="3",
            error="out of memory",
            error_kind="torch.OutOfMemoryError",
            cached=frozenset({"4"}),
        ),
        terminal_update=_last(job, state),
        notified=state is State.DELIVERED,
        place=message_ref.write(place_of),
        receipt="3303",
    )


PLAIN = Job(request=JobRequest(job=JobId("plain"), workflow="w", graph={}, folder="out"))


@pytest.fixture(scope="module")
def contents() -> Contents:
    return msgspec.json.decode((DATA / "0.1.json").read_bytes(), type=Contents)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    path = tmp_path / "atelier.db"
    shutil.copyfile(DATA / "0.1.db", path)
    with open_store(path, clock=lambda: CHANGED) as store:
        yield store


def assert_kept(expected: Json | Mapping[str, Json], actual: Json, path: str = "") -> None:
    """All that is expected is there; a newer version may store more fields."""
    if isinstance(expected, Mapping):
        assert isinstance(actual, dict), path
        for name, value in expected.items():
            assert name in actual, f"{path}.{name}"
            assert_kept(value, actual[name], f"{path}.{name}")
    elif isinstance(expected, list):
        assert isinstance(actual, list), path
        assert len(actual) == len(expected), path
        for index, value in enumerate(expected):
            assert_kept(value, actual[index], f"{path}[{index}]")
    else:
        assert actual == expected, path


@pytest.mark.parametrize("state", State)
def test_a_job_of_the_previous_version_is_read_with_all_its_fields(store: Store, state: State) -> None:
    expected = job_in(state)
    entry = store.find(expected.id)
    assert entry is not None
    assert asdict(entry.job) == asdict(expected)
    assert (entry.accepted, entry.changed) == (ACCEPTED, CHANGED)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.LOST])
def test_the_reason_of_a_job_of_the_previous_version_is_shown_as_it_was_written(
    store: Store, contents: Contents, state: State
) -> None:
    expected = job_in(state)
    (stored,) = [stored.record["last_word"] for stored in contents.jobs if stored.id == expected.id]
    entry = store.find(expected.id)
    assert entry is not None
    assert isinstance(entry.job.terminal_update, (Failed, Cancelled, Lost))
    assert isinstance(stored, dict)
    assert reason_text(entry.job.terminal_update.reason) == stored["reason"]


def test_the_notes_of_a_job_of_the_previous_version_are_shown_as_they_were_written(store: Store) -> None:
    entry = store.find(job_in(State.FINISHED).id)
    assert entry is not None
    assert isinstance(entry.job.terminal_update, Finished)
    assert list(map(reason_text, entry.job.terminal_update.notes)) == ["one note"]
    assert list(map(reason_text, entry.job.notes)) == ["The part at “Save” was dropped."]


def test_a_job_that_was_written_with_defaults_has_defaults(store: Store) -> None:
    entry = store.find("plain")
    assert entry is not None
    assert asdict(entry.job) == asdict(PLAIN)


def test_jobs_are_written_back_under_the_names_under_which_they_were_stored(store: Store, contents: Contents) -> None:
    for stored in contents.jobs:
        entry = store.find(stored.id)
        assert entry is not None
        assert_kept(stored.wish, msgspec.json.decode(serialization.encode_request(entry.job.request)))
        assert_kept(stored.record, msgspec.json.decode(serialization.encode(entry.job)))
        assert (entry.accepted, entry.changed) == (stored.accepted, stored.changed)


def test_exactly_the_jobs_whose_person_was_not_told_are_taken_up_again(store: Store) -> None:
    told = job_in(State.DELIVERED).id
    expected = {job_in(state).id for state in State} | {"plain"}
    assert {job.id for job in store.unfinished()} == expected - {told}
    assert len(store.jobs_of("discord:2200", 100)) == len(State)
    assert [entry.job.id for entry in store.newest("lost", 5)] == [job_in(State.LOST).id]


def test_transitions_requests_and_preferences_are_read(store: Store, contents: Contents) -> None:
    jobs = {stored.job for stored in contents.transitions}
    lines = [(line.at, line.transition) for job in sorted(jobs) for line in store.transitions(job)]
    actual = [(at, t.job, t.version, t.state, t.cause, t.server, t.prompt) for at, t in lines]
    assert actual == [(t.at, t.job, t.version, t.state, t.cause, t.server, t.prompt) for t in contents.transitions]
    requests = [(request.number, request.verb, request.job) for request in store.requests()]
    assert requests == [(stored.number, stored.verb, stored.job) for stored in contents.requests]
    assert store.preferences("discord:2200") == contents.preferences


def test_the_messages_of_the_previous_version_are_found_again(store: Store) -> None:
    for job in store.jobs_of("discord:2200", 100):
        found = message_ref.read(job.place)
        assert found is not None
        assert (found.channel, found.user, found.message, found.guild) == ("1100", "2200", "3300", "4400")
        assert (found.limit, found.spoiler, found.more) == (50 * 2**20, True, ("3301", "3302"))


def test_the_buttons_of_the_previous_version_still_say_what_they_said(contents: Contents) -> None:
    assert {stored.verb for stored in contents.buttons} >= {
        "again",
        "cancel",
        "delete",
        "keep",
        "retry",
        "settings",
        "use",
        "vary",
    }
    for stored in contents.buttons:
        press = custom_id.read(stored.custom_id)
        assert press is not None
        assert (press.verb, press.job) == (stored.verb, stored.job)
        assert (press.workflow, press.number) == (stored.workflow, stored.number)
        assert custom_id.write(stored.verb, stored.job, stored.workflow, stored.number) == stored.custom_id
