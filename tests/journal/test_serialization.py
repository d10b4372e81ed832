"""What the journal keeps of a job."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, fields

from app.core.jobs.job import Attempt, FirstChoice, Job, JobRequest, State, Upload
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
from app.journal.serialization import UNREADABLE, Record, decode, encode, encode_request
from app.ports import History, Json
from app.reasons.jobs import JobReason, NothingChanged
from tests.texts.reasons import job_reasons

HERE = ServerName("here")

_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_words: st.SearchStrategy[TerminalUpdate | None] = st.sampled_from(
    [
        None,
        Finished(HERE, ("a.png",), ("text",), ("note",), 2**63, job=JobId("j")),
        Failed("no", ("half.png",), job=JobId("j")),
        Cancelled(job=JobId("j")),
        Lost("gone", job=JobId("j")),
    ]
)
_histories = st.none() | st.builds(
    History,
    outcome=st.sampled_from(["success", "failed", "interrupted"]),
    outputs=st.tuples(st.builds(NodeOutput, node=st.just(NodeId("10:2")), texts=st.tuples(st.text()))),
    error=st.text(),
    cached=st.frozensets(st.text(max_size=3)),
)


@given(
    state=st.sampled_from(State),
    numbers=st.tuples(*[st.integers(0, 99)] * 5),
    flags=st.tuples(*[st.booleans()] * 5),
    texts=st.lists(st.text()),
    reasons=st.lists(job_reasons(st.text()), max_size=3),
    files=st.dictionaries(st.builds(FileRef, st.text(), st.text()), st.text()),
    history=_histories,
    terminal_update=_words,
    values=st.dictionaries(st.text(), _json),
)
def test_a_job_comes_back_as_it_was(
    state: State,
    numbers: tuple[int, ...],
    flags: tuple[bool, ...],
    texts: list[str],
    reasons: list[JobReason],
    files: dict[FileRef, str | None],
    history: History | None,
    terminal_update: TerminalUpdate | None,
    values: dict[str, Json],
) -> None:
    request = JobRequest(
        job=JobId("j"),
        workflow="w",
        graph={"1": {"class_type": "X", "inputs": {"text": "".join(texts), "seed": 2**64 - 1}}},
        folder="out",
        owner="ada",
        seed=2**64 - 1,
        values=values,
        uploads=(Upload(NodeId("1"), "image", "photo.png"),),
        choices=(FirstChoice(NodeId("1"), "ckpt_name"),),
    )
    version, tries, crashes, refusals, kept = numbers
    job = Job(
        request=request,
        state=state,
        version=version,
        attempt=Attempt(PromptId("p"), HERE, flags[0], flags[1], 3),
        tries=tries,
        worker_deaths=crashes,
        refusals=refusals,
        cancelling=flags[3],
        blocked=texts,
        notes=[*texts, *reasons],
        files=files,
        streamed=texts,
        kept=kept,
        history=history,
        terminal_update=terminal_update,
        notified=flags[4],
        place="".join(texts),
        receipt="".join(texts),
    )
    assert decode(encode_request(request), encode(job)) == job


def test_what_was_on_its_way_is_forgotten() -> None:
    request = JobRequest(job=JobId("j"), workflow="w", graph={}, folder="out")
    job = Job(request=request, files={FileRef("a.png"): None, FileRef("b.png"): "out/b.png"}, saving=2)
    found = decode(encode_request(request), encode(job))
    assert found.files == {FileRef("b.png"): "out/b.png"}
    assert found.saving == 0


def test_no_field_of_a_job_is_forgotten_by_the_record() -> None:
    job = asdict(Job(request=JobRequest(job=JobId("j"), workflow="w", graph={}, folder="out")))
    assert {field.name for field in fields(Record)} == job.keys() - {"request", "saving"}


@given(job_reasons(st.text()))
def test_a_reason_comes_back_as_it_was(reason: JobReason) -> None:
    name = JobId("j")
    request = JobRequest(job=name, workflow="w", graph={}, folder="out")
    for end in (
        Finished(HERE, notes=(reason, "a text"), job=name),
        Failed(reason, job=name),
        Cancelled(reason, job=name),
        Lost(reason, job=name),
    ):
        job = Job(request=request, terminal_update=end, notes=[reason, "a text"])
        assert decode(encode_request(request), encode(job)) == job


LATER: Json = {"type": "SomethingOfALaterVersion", "node": "Sampler"}


@pytest.mark.parametrize("end", ["Failed", "Cancelled", "Lost"])
def test_a_reason_that_only_a_later_version_knows_is_left_out_and_the_job_stays(end: str) -> None:
    request = JobRequest(job=JobId("j"), workflow="w", graph={}, folder="out")
    record: Json = {
        "state": 6,
        "notes": [LATER, {"type": "NothingChanged"}, "a text", {"type": "NodesInvalid", "problems": [LATER]}],
        "last_word": {"type": end, "job": "j", "reason": LATER},
        "place": "here",
    }
    job = decode(encode_request(request), msgspec.json.encode(record))
    assert isinstance(job.terminal_update, (Failed, Cancelled, Lost))
    assert (job.terminal_update.reason, job.notes, job.place) == ("", [NothingChanged(), "a text"], "here")


def test_a_note_that_only_a_later_version_knows_does_not_hide_a_result() -> None:
    request = JobRequest(job=JobId("j"), workflow="w", graph={}, folder="out")
    last: Json = {"type": "Finished", "job": "j", "server": "here", "files": ["a.png"], "notes": [LATER, "a text"]}
    job = decode(encode_request(request), msgspec.json.encode({"last_word": last}))
    assert job.terminal_update == Finished(HERE, ("a.png",), notes=("a text",), job=JobId("j"))


@pytest.mark.parametrize(
    "record", ["[]", '{"state":"odd"}', '{"notes":7}', '{"last_word":{"type":"Odd"}}', '{"last_word":7}']
)
def test_anything_else_that_is_wrong_with_a_record_is_damage(record: str) -> None:
    request = JobRequest(job=JobId("j"), workflow="w", graph={}, folder="out")
    with pytest.raises(UNREADABLE):
        decode(encode_request(request), record.encode())
