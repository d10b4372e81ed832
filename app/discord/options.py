"""A workflow's slots as the typed options of a Discord command. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from app.discord.text import shorten
from app.ports import Json
from app.workflows.declared import MOST_OPTIONS
from app.workflows.load import Workflow
from app.workflows.manifest import BUILT_IN
from app.workflows.slots import UPLOADED, Slot, WorkflowError, suggest

MOST_CHOICES = 25
LONGEST_NAME = 32
LONGEST_DESCRIPTION = 100
LONGEST_CHOICE = 100
LARGEST_NUMBER = 2**53 - 1
"""Discord's limits, for one command each; numbers go through JavaScript."""

LONGEST_TEXT = 4000
"""What a form's field takes, too: so whatever was typed once can be varied later."""

LONGEST_WORKFLOW = 56
"""Together with a verb and a job's id it must fit into a button's hundred letters."""

SPOILER = "spoiler"
PRESET = "preset"
"""The bot's own options beside those of the slots."""

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
    """One option; `slot` is whose value it is, "" for the bot's own. `suggest` means autocomplete."""

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
    """One slash command. Slots that are no options can be told in the form of Vary."""

    name: str
    workflow: str
    description: str
    options: tuple[Option, ...]


def command(workflow: Workflow) -> Command:
    """What a workflow looks like in Discord. Raises `WorkflowError`."""
    name = workflow.command
    if name in BUILT_IN:
        raise WorkflowError(f"“{workflow.name}”: /{name} is a command of the bot itself; choose another name.")
    if name != valid_name(name):
        raise WorkflowError(f"“{workflow.name}”: “{name}” is no command's name; write “{valid_name(name)}”.")
    if len(workflow.name) > LONGEST_WORKFLOW:
        raise WorkflowError(f"“{workflow.name}” is too long a name: {LONGEST_WORKFLOW} letters are the most.")
    # Python's sort keeps the manifest's own order where nothing else decides.
    ordered = sorted(workflow.slots, key=lambda slot: (not slot.required, slot.name != "prompt"))
    names: set[str] = set()
    options = [_option(slot, names) for slot in ordered if slot.show == "command"]
    if len(options) + bool(workflow.presets) > MOST_OPTIONS:
        raise WorkflowError(f"“{workflow.name}” has more options than Discord takes, which is {MOST_OPTIONS}.")
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
    described = shorten(workflow.description or workflow.title or name, LONGEST_DESCRIPTION)
    return Command(
        name=name,
        workflow=workflow.name,
        description=described,
        options=tuple(options),
    )


def commands(workflows: Collection[Workflow]) -> tuple[list[Command], list[str]]:
    """The commands of all workflows that want one, and a sentence for each that cannot have it."""
    found: dict[str, Command] = {}
    wrong: list[str] = []
    for workflow in workflows:
        if not workflow.command:
            continue
        try:
            made = command(workflow)
        except WorkflowError as error:
            wrong.append(str(error))
            continue
        if (other := found.get(made.name)) is not None:
            wrong.append(f"“{workflow.name}” and “{other.workflow}” both want /{made.name}: rename one.")
            continue
        found[made.name] = made
    return list(found.values()), wrong


def valid_name(told: str) -> str:
    """The nearest name that Discord takes for a command or an option."""
    return re.sub(r"[^\w-]+", "-", told.lower()).strip("-")[:LONGEST_NAME] or "option"


def verify(workflow: Workflow, values: Mapping[str, Json]) -> None:
    """Say early, and without any I/O, what would be refused later; files apart. Raises `WorkflowError`."""
    slots = {slot.name: slot for slot in workflow.slots}
    for slot in workflow.slots:
        if slot.required and slot.kind not in UPLOADED and not str(values.get(slot.name, slot.default) or "").strip():
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
    """Its slots for files."""
    return [slot for slot in workflow.slots if slot.kind in UPLOADED]


def _option(slot: Slot, names: set[str]) -> Option:
    name = valid_name(slot.name)
    while name in names:
        name = f"{name[: LONGEST_NAME - 1]}_"
    names.add(name)
    kind = KINDS.get(slot.kind, "string")
    longest = max(map(len, slot.choices), default=0)
    few = slot.kind == "choice" and 1 <= len(slot.choices) <= MOST_CHOICES and longest <= LONGEST_CHOICE
    numeric = kind in {"integer", "number"}
    described = slot.description or slot.title or slot.name
    if slot.default is not None and slot.kind != "text":
        described = f"{shorten(described, LONGEST_DESCRIPTION - 30)} ({shorten(str(slot.default), 24)})"
    return Option(
        name=name,
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
