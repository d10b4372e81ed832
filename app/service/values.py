"""Checks what a person gave for a workflow, early and without any I/O. Pure.

An entry point checks a request here, while it can still refuse it to that person alone; `app.workflows.binding.bind`
checks it again when the graph is filled, because the workflow may have changed in between.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.ports import Json
from app.service.reasons import SlotRemoved, SlotTakesNoFile, TextTooLong, ValueMissing
from app.service.requests import AttachedFile
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Slot, WorkflowError
from app.workflows.reasons.binding import UnknownPreset

LONGEST_TEXT = 4000
"""Characters that a field of Discord's forms accepts, so that every text can be edited later."""


def check_values(workflow: Workflow, values: Mapping[str, Json], *, complete: bool = True) -> None:
    """Check values by slot; those of files are left out. Raises `WorkflowError`.

    If not `complete`, required values may be missing, because they are asked for elsewhere.
    """
    slots = {slot.name: slot for slot in workflow.slots}
    for slot in missing_slots(workflow, values) if complete else ():
        raise WorkflowError(ValueMissing(workflow.title, slot.title))
    for name, value in values.items():
        if (slot := slots.get(name)) is None:
            raise WorkflowError(SlotRemoved(workflow.title, name))
        read = slot.read(value)
        if isinstance(read, str) and len(read) > LONGEST_TEXT:
            raise WorkflowError(TextTooLong(slot.title, len(read), LONGEST_TEXT))


def missing_slots(workflow: Workflow, values: Mapping[str, Json]) -> list[Slot]:
    """The required slots that have no value; excludes files, which no form can ask for."""
    return [
        slot
        for slot in workflow.slots
        if slot.required and slot.kind not in UPLOADED and not str(values.get(slot.name, slot.default) or "").strip()
    ]


def preset(workflow: Workflow, name: str) -> dict[str, Json]:
    """The values of a preset; none for "". Raises `WorkflowError`."""
    if name and name not in workflow.presets:
        raise WorkflowError(UnknownPreset(workflow.title, name, tuple(workflow.presets)))
    return workflow.presets.get(name, {})


def upload_slots(workflow: Workflow) -> list[Slot]:
    """The workflow's slots for files."""
    return [slot for slot in workflow.slots if slot.kind in UPLOADED]


def kind_of(workflow: Workflow, file: AttachedFile) -> str:
    """The kind of the slot that a file is for. Raises `WorkflowError` if the workflow no longer has such a slot."""
    for slot in upload_slots(workflow):
        if slot.name == file.slot:
            return slot.kind
    raise WorkflowError(SlotTakesNoFile(workflow.title, file.slot))
