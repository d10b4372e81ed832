"""A job as the journal keeps it: the wish, written once, and the rest, written with every move."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from app.core.job import Attempt, Job, JobRequest, State
from app.events import Failed, FileRef, JobId, TerminalUpdate
from app.ports import History


class Record(
    Struct,
    kw_only=True,
    omit_defaults=True,
    rename={"notified": "told", "worker_deaths": "crashes", "terminal_update": "last_word"},
):
    """All of a `Job` but its wish, and but what a new life begins anew: files and pictures on their way."""

    state: State = State.ACCEPTED
    version: int = 0
    attempt: Attempt | None = None
    tries: int = 0
    worker_deaths: int = 0
    refusals: int = 0
    cancelling: bool = False
    blocked: list[str] = []
    notes: list[str] = []
    files: list[tuple[FileRef, str]] = []
    streamed: list[str] = []
    kept: int = 0
    history: History | None = None
    terminal_update: TerminalUpdate | None = None
    notified: bool = False
    place: str = ""
    receipt: str = ""


_SAME = tuple(name for name in Record.__struct_fields__ if name != "files")
_ENCODER = msgspec.json.Encoder()
_RECORDS = msgspec.json.Decoder(Record)
_WISHES = msgspec.json.Decoder(JobRequest)


class _Place(Struct):
    """The one part of a record that tells where a job's person can be reached."""

    place: str = ""


UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding a damaged record raises."""

_PLACES = msgspec.json.Decoder(_Place)


def encode_wish(request: JobRequest) -> bytes:
    """The part that never changes."""
    return _ENCODER.encode(request)


def encode(job: Job) -> bytes:
    """The part that changes."""
    record = Record(**{name: getattr(job, name) for name in _SAME})
    record.files = [(file, path) for file, path in job.files.items() if path is not None]
    return _ENCODER.encode(record)


def decode(request: bytes, told: bytes) -> Job:
    """The job again. Raises one of `UNREADABLE` where the journal holds something else."""
    record = _RECORDS.decode(told)
    job = Job(request=_WISHES.decode(request), **{name: getattr(record, name) for name in _SAME})
    job.files = dict(record.files)
    return job


def salvage(
    job_id: JobId, owner: str, workflow: str, version: int, wish: bytes, told: bytes, reason: str
) -> Job | None:
    """A job whose record is damaged, as failed for `reason`; None if its record no longer says where it is shown."""
    try:
        place = _PLACES.decode(told).place
    except UNREADABLE:
        return None
    if not place:
        return None
    try:
        request = _WISHES.decode(wish)
    except UNREADABLE:
        request = JobRequest(job=job_id, workflow=workflow, graph={}, folder="", owner=owner)
    terminal_update = Failed(job=job_id, reason=reason)
    return Job(request=request, state=State.FAILED, version=version + 1, place=place, terminal_update=terminal_update)
