"""Measured runs for the tests of the journal."""

from __future__ import annotations

from app.core.jobs.cost import Run
from app.events import ServerName


def run(job: object, **fields: object) -> Run:
    """A measured run of a job, with these fields."""
    known: dict[str, object] = {
        "job": job,
        "person": "ada",
        "workflow": "w",
        "server": ServerName("here"),
        "work": 20.0,
        "seconds": 5.5,
    }
    return Run(**(known | fields))  # pyright: ignore[reportArgumentType]
