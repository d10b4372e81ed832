"""A person's saved settings: which values of a job can be saved, and which a workflow still accepts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.jobs.job import JobRequest
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Slot, WorkflowError

NOBODYS: frozenset[str] = frozenset({"text", "seed"}) | UPLOADED
"""Kinds of slots that belong to one request and are never saved."""


def savable_values(request: JobRequest, workflow: Workflow) -> dict[str, Json]:
    """The values of a request that can be saved for later jobs: no texts, no seed, no files."""
    kinds = {slot.name: slot.kind for slot in workflow.slots}
    return {name: value for name, value in request.values.items() if kinds.get(name, "text") not in NOBODYS}


def usable_values(saved: Mapping[str, Json], workflow: Workflow) -> dict[str, Json]:
    """The saved values that the workflow still accepts: its manifest may have changed."""
    return {slot.name: saved[slot.name] for slot in workflow.slots if slot.name in saved and _fits(slot, saved)}


def _fits(slot: Slot, saved: Mapping[str, Json]) -> bool:
    try:
        slot.read(saved[slot.name])
    except WorkflowError:
        return False
    return slot.kind not in NOBODYS
