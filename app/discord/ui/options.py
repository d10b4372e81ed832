"""A workflow's slots as the typed options of a Discord command. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from app.discord.text import format_value, shorten
from app.ports import Json
from app.texts.wording import suggest
from app.workflows.load import Workflow
from app.workflows.manifest.slots import MOST_OPTIONS
from app.workflows.model import UPLOADED, Slot, WorkflowError

MOST_CHOICES = 25
LONGEST_DESCRIPTION = 100
LONGEST_CHOICE = 100
LARGEST_NUMBER = 2**53 - 1
"""Discord's limits for one command; its numbers are JavaScript numbers."""

LONGEST_TEXT = 4000
"""Characters that a form's field accepts, too, so that every text can be edited later with Vary."""

LONGEST_WORKFLOW = 56
"""Characters. With a verb and a job's id the name must fit into a custom id's hundred characters."""

SPOILER = "spoiler"
PRESET = "preset"
"""The bot's own options, in addition to those of the slots."""

Kind: TypeAlias = Literal["string", "integer", "number", "boolean", "attachment"]

KINDS: dict[str, Kind] = {
    "integer": "integer",
    "seed": "integer",
    "number": "number",
    "boolean": "boolean",
    "image": "attachment",
    "video": "attachment",
    "audio": "attachment",
}


class Option(Struct, frozen=True, kw_only=True):
    """One option; `slot` is the slot whose value it is, "" for the bot's own. `suggest` means autocomplete."""

    name: str
    slot: str
    kind: Kind
    description: str
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    suggest: bool = False


class Command(Struct, frozen=True, kw_only=True):
    """One slash command. Slots that are not options can be set in the form of Vary."""

    name: str
    workflow: str
    description: str
    options: tuple[Option, ...]


def command(workflow: Workflow) -> Command:
    """The slash command of a workflow. Its names and their number were checked when the manifest was read."""
    # Python's sort is stable: it keeps the manifest's order among equals.
    ordered = sorted(workflow.slots, key=lambda slot: (not slot.required, slot.name != "prompt"))
    options = [_option(slot) for slot in ordered if slot.show == "command"]
    names = {option.name for option in options}
    own = [
        Option(
            name=PRESET,
            slot="",
            kind="string",
            description="A set of settings; what you say yourself counts more.",
            choices=tuple(workflow.presets) if len(workflow.presets) <= MOST_CHOICES else (),
            suggest=len(workflow.presets) > MOST_CHOICES,
        ),
        Option(name=SPOILER, slot="", kind="boolean", description="Hide the result until it is clicked."),
    ]
    for option in own if workflow.presets else own[1:]:
        if option.name not in names and len(options) < MOST_OPTIONS:
            options.append(option)
    return Command(
        name=workflow.command,
        workflow=workflow.name,
        description=shorten(workflow.description or workflow.title or workflow.name, LONGEST_DESCRIPTION),
        options=tuple(options),
    )


def commands(workflows: Collection[Workflow]) -> list[Command]:
    """The commands of all workflows that have one; of two with the same name, the first."""
    found: dict[str, Command] = {}
    for workflow in workflows:
        if workflow.command:
            found.setdefault(workflow.command, command(workflow))
    return list(found.values())


def missing(workflow: Workflow, values: Mapping[str, Json]) -> list[Slot]:
    """The required slots that have no value; excludes files, which no form can ask for."""
    return [
        slot
        for slot in workflow.slots
        if slot.required and slot.kind not in UPLOADED and not str(values.get(slot.name, slot.default) or "").strip()
    ]


def verify(workflow: Workflow, values: Mapping[str, Json], *, whole: bool = True) -> None:
    """Check early, and without any I/O, what would be refused later; excludes files. Raises `WorkflowError`.

    If not `whole`, required values may be missing, because they are asked for elsewhere.
    """
    slots = {slot.name: slot for slot in workflow.slots}
    for slot in missing(workflow, values) if whole else ():
        raise WorkflowError(f"“{workflow.title}” needs {slot.title}.")
    for name, value in values.items():
        if (slot := slots.get(name)) is None:
            raise WorkflowError(f"“{workflow.title}” has no {name} any more.")
        read = slot.read(value)
        if isinstance(read, str) and len(read) > LONGEST_TEXT:
            raise WorkflowError(f"{slot.title} has {len(read)} characters; {LONGEST_TEXT} are the most.")


def preset(workflow: Workflow, name: str) -> dict[str, Json]:
    """The values of a preset; none for "". Raises `WorkflowError`."""
    if name and name not in workflow.presets:
        raise WorkflowError(f"“{workflow.title}” has no preset “{shorten(name, 40)}”{suggest(name, workflow.presets)}")
    return workflow.presets.get(name, {})


def uploads(workflow: Workflow) -> list[Slot]:
    """The workflow's slots for files."""
    return [slot for slot in workflow.slots if slot.kind in UPLOADED]


def _option(slot: Slot) -> Option:
    kind = KINDS.get(slot.kind, "string")
    longest = max(map(len, slot.choices), default=0)
    few = slot.kind == "choice" and 1 <= len(slot.choices) <= MOST_CHOICES and longest <= LONGEST_CHOICE
    numeric = kind in {"integer", "number"}
    described = slot.description or slot.title or slot.name
    if slot.default is not None and slot.kind != "text":
        described = f"{shorten(described, LONGEST_DESCRIPTION - 30)} ({shorten(format_value(slot, slot.default), 24)})"
    return Option(
        name=slot.name,
        slot=slot.name,
        kind=kind,
        description=shorten(described, LONGEST_DESCRIPTION),
        required=slot.required,
        minimum=_within(slot.minimum) if numeric else None,
        maximum=_within(slot.maximum) if numeric else None,
        choices=slot.choices if few else (),
        suggest=slot.kind in {"model", "lora"} or (slot.kind == "choice" and not few),
    )


def _within(limit: float | None) -> float | None:
    return None if limit is None else max(-LARGEST_NUMBER, min(LARGEST_NUMBER, limit))
