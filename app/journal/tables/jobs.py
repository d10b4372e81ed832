"""The tables of jobs and of their transitions: how records become rows, and which jobs are removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from app.core.jobs.job import Job, Transition
from app.core.journal_port import RemovedJobs
from app.events import JobId
from app.journal import serialization


def encode(
    jobs: Sequence[Job], transitions: Sequence[Transition], now: float
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], dict[JobId, Exception]]:
    """The rows of jobs and of transitions, and the jobs that cannot be encoded, each with the reason."""
    rows: dict[JobId, tuple[object, ...]] = {}
    lines: list[tuple[JobId, tuple[object, ...]]] = []
    refused: dict[JobId, Exception] = {}
    for job in jobs:
        try:
            rows[job.id] = _row(job, now)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one job is reported as its own
            refused[job.id] = error
    for step in transitions:
        line = (step.job, now, step.version, step.state, step.server, step.prompt, step.cause)
        try:
            "".join((step.state, step.server, step.prompt, step.cause)).encode()
        except Exception as error:  # noqa: BLE001  as above
            refused[step.job] = error
        lines.append((step.job, line))
    kept = [line for job_id, line in lines if job_id not in refused]
    return [row for job_id, row in rows.items() if job_id not in refused], kept, refused


def _row(job: Job, now: float) -> tuple[object, ...]:
    attempt = job.attempt
    server, prompt = (attempt.server, attempt.prompt) if attempt else ("", "")
    request = job.request
    # The column `told` is 1 once nothing is left to do: neither for the job's owner, nor at a server.
    state, done = job.state.name.lower(), int(job.notified and not job.leftovers)
    known = (request.job, request.owner, request.workflow, now, now, state, done, job.version, server, prompt)
    # The request is only written again if it was edited, so that no other change can damage it.
    texts = (request.lead, request.parent)
    return (*known, *texts, serialization.encode_request(request), serialization.encode(job), job.edits > 0)


def write(
    database: sqlite3.Connection, rows: Iterable[tuple[object, ...]], transitions: Iterable[tuple[object, ...]]
) -> None:
    """Write rows of jobs, new or changed, and rows of transitions."""
    database.executemany(
        "INSERT INTO jobs (id, owner, workflow, accepted, changed, state, told, version, server, prompt,"
        " lead, parent, wish, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET"
        " changed = excluded.changed, state = excluded.state, told = excluded.told,"
        " version = excluded.version, server = excluded.server, prompt = excluded.prompt,"
        " record = excluded.record, wish = CASE WHEN ? THEN excluded.wish ELSE wish END",
        rows,
    )
    database.executemany(
        "INSERT INTO transitions (job, at, version, state, server, prompt, cause) VALUES (?, ?, ?, ?, ?, ?, ?)",
        transitions,
    )


def remove_old(database: sqlite3.Connection, before: float, position: int, limit: int) -> RemovedJobs:
    """See `app.core.journal_port.OldJobs.remove_jobs`."""
    execute = database.execute
    needed: set[str] = set()
    for job_id, lead in execute("SELECT id, lead FROM jobs WHERE told = 0 AND number > 0"):
        needed |= {job_id, lead}
    rows = execute(
        "SELECT number, id, lead, accepted, changed FROM jobs WHERE number > ? ORDER BY number LIMIT ?",
        (position, limit),
    ).fetchall()
    old = [
        (number, job_id)
        for number, job_id, lead, _, changed in rows
        if changed < before and job_id not in needed and (not lead or lead not in needed)
    ]
    delete(database, old)
    # Jobs are numbered in the order in which they were accepted, and none changes before that.
    over = len(rows) < limit or rows[-1][3] >= before
    return RemovedJobs(len(old), None if over else rows[-1][0])


def ended_of(database: sqlite3.Connection, owner: str, limit: int) -> list[tuple[int, JobId]]:
    """The numbers and ids of a person's jobs that have ended, oldest first."""
    query = "SELECT number, id FROM jobs WHERE owner = ? AND told = 1 AND number > 0 ORDER BY number LIMIT ?"
    return database.execute(query, (owner, limit)).fetchall()


def delete(database: sqlite3.Connection, jobs: Sequence[tuple[int, str]]) -> None:
    """Delete jobs, by number and id, with their transitions; a trigger deletes their entries of the gallery."""
    database.executemany("DELETE FROM transitions WHERE job = ?", [(job_id,) for _, job_id in jobs])
    database.executemany("DELETE FROM jobs WHERE number = ?", [(number,) for number, _ in jobs])
