"""The stored form of a job: the request, written again if it is edited, and a record of the rest, with every change."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from app.core.jobs.job import Attempt, Job, JobRequest, State
from app.events import ChosenModel, Failed, FileRef, JobId, TerminalUpdate
from app.ports import History, Json
from app.reasons.jobs import JobReason

LAST = "last_word"
"""The stored name of the terminal update."""


class Record(
    Struct,
    kw_only=True,
    omit_defaults=True,
    rename={"notified": "told", "worker_deaths": "crashes", "terminal_update": LAST},
):
    """The mutable fields of a `Job`; excludes the request, and the downloads and image writes in progress."""

    state: State = State.ACCEPTED
    version: int = 0
    attempt: Attempt | None = None
    tries: int = 0
    worker_deaths: int = 0
    refusals: int = 0
    edits: int = 0
    cancelling: bool = False
    leftovers: list[Attempt] = []
    blocked: list[str] = []
    notes: list[JobReason | str] = []
    files: list[tuple[FileRef, str]] = []
    streamed: list[str] = []
    kept: int = 0
    history: History | None = None
    terminal_update: TerminalUpdate | None = None
    gathered: bool = False
    notified: bool = False
    spent: int = 0
    place: str = ""
    chosen: tuple[ChosenModel, ...] = ()
    receipt: str = ""


_SAME = tuple(name for name in Record.__struct_fields__ if name != "files")
_ENCODER = msgspec.json.Encoder()
_RECORDS = msgspec.json.Decoder(Record)
_REQUESTS = msgspec.json.Decoder(JobRequest)


class _Place(Struct):
    """The one field of a record that says where the job's user can be reached."""

    place: str = ""


UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""The exceptions that decoding a damaged record raises."""

_PLACES = msgspec.json.Decoder(_Place)


def encode_request(request: JobRequest) -> bytes:
    """Encode the request."""
    return _ENCODER.encode(request)


def encode(job: Job) -> bytes:
    """Encode the record, which changes with the job."""
    record = Record(**{name: getattr(job, name) for name in _SAME})
    record.files = [(file, path) for file, path in job.files.items() if path is not None]
    return _ENCODER.encode(record)


def decode(request: bytes, stored: bytes) -> Job:
    """Decode a job. Raises one of `UNREADABLE` if the journal holds something else.

    Reasons of kinds that only a later version knows are left out, so that going back to this version loses no job.
    """
    try:
        record = _RECORDS.decode(stored)
    except msgspec.ValidationError:
        record = msgspec.convert(_without_unknown_reasons(msgspec.json.decode(stored)), Record)
    job = Job(request=_REQUESTS.decode(request), **{name: getattr(record, name) for name in _SAME})
    job.files = dict(record.files)
    return job


def _without_unknown_reasons(record: Json) -> Json:
    """The record without the reasons that cannot be read; a terminal update that needs one has the text "" instead."""
    if isinstance(record, dict):
        _keep_known(record)
        if isinstance(last := record.get(LAST), dict):
            _keep_known(last)
            if "reason" in last and not _is_known(last["reason"]):
                last["reason"] = ""
    return record


def _keep_known(fields: dict[str, Json]) -> None:
    if isinstance(notes := fields.get("notes"), list):
        fields["notes"] = [note for note in notes if _is_known(note)]


def _is_known(reason: Json) -> bool:
    try:
        msgspec.convert(reason, JobReason | str)
    except msgspec.ValidationError:
        return False
    return True


def salvage(
    job_id: JobId, owner: str, workflow: str, version: int, stored_request: bytes, stored: bytes, reason: JobReason
) -> Job | None:
    """A job with a damaged record, as failed for `reason`; None if its record no longer says where it is shown."""
    try:
        place = _PLACES.decode(stored).place
    except UNREADABLE:
        return None
    if not place:
        return None
    try:
        request = _REQUESTS.decode(stored_request)
    except UNREADABLE:
        request = JobRequest(job=job_id, workflow=workflow, graph={}, folder="", owner=owner)
    terminal_update = Failed(job=job_id, reason=reason)
    return Job(request=request, state=State.FAILED, version=version + 1, place=place, terminal_update=terminal_update)
