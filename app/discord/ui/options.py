"""A workflow's slots as the typed options of a Discord command. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

from msgspec import Struct

from app.config.settings import FORMATS
from app.discord.text import shorten
from app.service.job_settings import command_slots
from app.service.slot_values import format_value
from app.service.tasks.planner import NOT_SLOTS, OPTIONS
from app.texts.discord import commands as texts
from app.workflows.binding.batch import MOST
from app.workflows.load import Workflow
from app.workflows.manifest.slots import MOST_OPTIONS
from app.workflows.model import Slot
from app.workflows.task import TASK_COMMANDS, Task

MOST_CHOICES = 25
LONGEST_DESCRIPTION = 100
LONGEST_CHOICE = 100
LARGEST_NUMBER = 2**53 - 1
"""Discord's limits for one command; its numbers are JavaScript numbers."""

SPOILER = "spoiler"
PRESET = "preset"
MODEL = "model"
FORMAT = "format"
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


TASK_KINDS: dict[str, Kind] = {
    "image": "attachment",
    "image2": "attachment",
    "image3": "attachment",
    "mask": "attachment",
    "count": "integer",
    "seed": "integer",
    "factor": "number",
}
"""The options of tasks that are not texts."""

FIRST_OPTIONS: dict[Task, tuple[str, ...]] = {
    "imagine": ("prompt",),
    "edit": ("image", "prompt"),
    "animate": ("image", "prompt"),
    "upscale": ("image",),
    "describe": ("image",),
}
"""The options that a task cannot do without."""


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
    """One slash command: that of a workflow, or with a `task` that of all its models, which has no `workflow`.

    Slots that are not options can be set in the form of "Edit prompt".
    """

    name: str
    workflow: str
    description: str
    options: tuple[Option, ...]
    task: Task | Literal[""] = ""


def command(workflow: Workflow) -> Command:
    """The slash command of a workflow. Its names and their number were checked when the manifest was read."""
    options = [_option(slot) for slot in command_slots(workflow)]
    names = {option.name for option in options}
    own = [
        Option(
            name=PRESET,
            slot="",
            kind="string",
            description=texts.PRESET,
            choices=tuple(workflow.presets) if len(workflow.presets) <= MOST_CHOICES else (),
            suggest=len(workflow.presets) > MOST_CHOICES,
        ),
        Option(name=SPOILER, slot="", kind="boolean", description=texts.SPOILER),
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


def task_command(task: Task) -> Command:
    """The slash command of a task. Its options do not depend on the models, so it does not change with the servers."""
    needed = FIRST_OPTIONS[task]
    options = [_task_option(task, name, required=name in needed) for name in OPTIONS[task]]
    spoiler = Option(name=SPOILER, slot="", kind="boolean", description=texts.SPOILER)
    return Command(
        name=task,
        workflow="",
        description=texts.TASKS[task],
        options=(*sorted(options, key=lambda option: not option.required), spoiler),
        task=task,
    )


def _task_option(task: Task, name: str, *, required: bool) -> Option:
    kind = TASK_KINDS.get(name, "string")
    described = texts.TASK_PROMPTS[task] if name == "prompt" else texts.TASK_OPTIONS[name]
    limits: dict[str, tuple[float, float]] = {"count": (1, MOST), "seed": (0, LARGEST_NUMBER), "factor": (1, 8)}
    low, high = limits.get(name, (None, None))
    return Option(
        name=name,
        slot="" if name in NOT_SLOTS else name,
        kind=kind,
        description=described,
        required=required,
        minimum=low,
        maximum=high,
        choices=FORMATS if name == "format" else (),
        suggest=name in {"model", "preset"},
    )


def commands(workflows: Collection[Workflow]) -> list[Command]:
    """The commands of the tasks that have a model, and of the workflows; of two with the same name, the first."""
    tasks = {workflow.task for workflow in workflows}
    by_name: dict[str, Command] = {task: task_command(task) for task in TASK_COMMANDS if task in tasks}
    for workflow in workflows:
        if workflow.command:
            by_name.setdefault(workflow.command, command(workflow))
    return list(by_name.values())


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
