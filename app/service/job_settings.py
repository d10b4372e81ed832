"""What made a job, for people: its settings, the command that asks for it again, the picture that it changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from msgspec import Struct

from app.core.jobs.job import Job, JobRequest, Variation
from app.events import ChosenModel, Finished
from app.ports import Json
from app.service.slot_values import current_value, format_value
from app.texts.discord import pages as texts
from app.texts.discord.job_message import CHANGES
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Slot


class Setting(Struct, frozen=True):
    """One setting of a job: its title, and its value as a person would type it."""

    title: str
    value: str


def settings_of(job: Job, workflow: Workflow | None) -> list[Setting]:
    """What was done to a picture, if anything, and every setting but the prompt and the seed."""
    request, update = job.request, job.terminal_update
    change = request.variation.change if request.variation is not None else ""
    chosen = update.chosen if isinstance(update, Finished) else ()
    changes = [Setting(texts.CHANGE, CHANGES[change])] if change in CHANGES else []
    return [*changes, *_values(request, workflow, chosen)]


def _values(request: JobRequest, workflow: Workflow | None, chosen: Sequence[ChosenModel]) -> Iterator[Setting]:
    """The values of the slots; `chosen` is what the server chose."""
    if workflow is None:
        files = {upload.path: PurePath(upload.path).name for upload in request.uploads}
        for name, value in request.values.items():
            if name != "prompt":
                # Where a file is on the bot's disk is nobody's business.
                yield Setting(name, files.get(str(value), str(value)))
        return
    servers = {(model.node, model.input): model.value for model in chosen}
    for slot in workflow.slots:
        if slot.name == "prompt":
            continue
        stands = servers.get((slot.targets[0].node, slot.targets[0].input)) if slot.targets else None
        stands = current_value(slot, request.graph) if stands is None else stands
        value = request.values.get(slot.name, slot.default if stands is None else stands)
        if slot.kind in UPLOADED:
            yield Setting(slot.title, texts.PICTURE if slot.kind == "image" else texts.file_of(slot.kind))
        elif slot.kind != "seed" and (text := format_value(slot, value)):
            yield Setting(slot.title, text)


def command_slots(workflow: Workflow) -> list[Slot]:
    """The slots that are options of the workflow's command, in their order there."""
    # Python's sort is stable: it keeps the manifest's order among equals.
    ordered = sorted(workflow.slots, key=lambda slot: (not slot.required, slot.name != "prompt"))
    return [slot for slot in ordered if slot.show == "command"]


def command_line(workflow: Workflow, request: JobRequest) -> str:
    """A job as the command that asks for the same again, on one line; files cannot be part of it."""
    values = {**request.values, **({"seed": request.seed} if request.seed is not None else {})}
    line = [f"/{workflow.command}"]
    for slot in command_slots(workflow):
        value = values.get(slot.name)
        if slot.kind not in UPLOADED and value not in (None, ""):
            line.append(f"{slot.name}: {_typed(value)}")
    return " ".join(line)


def needs_files(workflow: Workflow, request: JobRequest) -> bool:
    """Whether a file must be attached to the command again."""
    return any(slot.kind in UPLOADED and slot.name in request.values for slot in command_slots(workflow))


def _typed(value: Json) -> str:
    """A value as it is typed into a command, on one line."""
    return " ".join(("x".join(map(str, value)) if isinstance(value, list) else str(value)).split())


def changed_picture(variation: Variation | None, values: Mapping[str, Json], workflow: Workflow | None) -> str:
    """The picture that a request changes, or that its prompt says how to change, as a path; "" if it changes none.

    `values` are those of the request.
    """
    if variation is not None:
        return variation.picture
    slots = workflow.slots if workflow is not None and workflow.result in {"", "image"} else ()
    pictures = [slot.name for slot in slots if slot.kind == "image" and values.get(slot.name)]
    prompted = any(slot.name == "prompt" for slot in slots)
    return str(values[pictures[0]]) if pictures and prompted else ""
