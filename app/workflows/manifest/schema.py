"""The keys of a manifest and their types; text editors get them as a JSON schema.

The docstrings of the structs are the descriptions in that schema.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, cast

import msgspec
from msgspec import Meta, Struct

from app.ports import Json
from app.workflows.model import Kind, Result, Show
from app.workflows.task import Task

NAME = r"^[a-z0-9_-]{1,32}$"
"""The names that Discord accepts for commands and their options."""

BUILT_IN = frozenset(
    {"jobs", "queue", "cancel", "show", "usage", "limits", "ban", "unban", "models", "status", "help", "settings"}
    | {"page", "workflows"}
)
"""Names of the bot's own commands, present and possible."""

Name: TypeAlias = Annotated[str, Meta(pattern=NAME)]

Number: TypeAlias = int | float
"""An int is kept as an int, because the largest seed, 2**64 - 1, is not exact as a float."""


class ManifestTarget(Struct, forbid_unknown_fields=True, kw_only=True):
    """One input of one node."""

    node: Annotated[str, Meta(description="The node's title, class or id.")]
    input: Annotated[str, Meta(description="The input's name in the export.")] = ""


class ManifestSlot(Struct, forbid_unknown_fields=True, kw_only=True):
    """One thing that people can say."""

    kind: Annotated[Kind, Meta(description="What may stand in it.")]
    title: Annotated[str, Meta(description="What people read; else the slot's name.")] = ""
    description: Annotated[str, Meta(description="What it does, in one sentence.")] = ""
    node: Annotated[str, Meta(description="The node's title, class or id. Without it, the slot is looked for.")] = ""
    input: Annotated[str, Meta(description="The input's name in the export; a size and a LoRA need none.")] = ""
    targets: Annotated[
        tuple[ManifestTarget, ...], Meta(description="Several inputs that all get the same, instead of node and input.")
    ] = ()
    required: Annotated[bool, Meta(description="Whether nothing is drawn without it.")] = False
    default: Annotated[Json, Meta(description="What stands in it unless told; else what the graph has.")] = None
    minimum: Annotated[Number | None, Meta(description="The least; for a size, of each side.")] = None
    maximum: Annotated[Number | None, Meta(description="The most; for a size, of each side.")] = None
    step: Annotated[Number | None, Meta(description="Whole numbers and sizes are rounded to it.")] = None
    choices: Annotated[tuple[str, ...], Meta(description="What may be chosen; else what the server lists.")] = ()
    show: Annotated[Show, Meta(description="Where people meet it; beyond 25 options, the form.")] = "command"


class FollowUp(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be done with a result: a button that starts another workflow with it."""

    workflow: Annotated[str, Meta(description="The name of the other workflow.")]
    slot: Annotated[str, Meta(description="The slot there that gets the result.")]
    title: Annotated[str, Meta(description="What the button says; else the other workflow's title.")] = ""
    result: Annotated[Result, Meta(description="Which results it takes; else what the slot there takes.")] = ""
    values: Annotated[dict[str, Json], Meta(description="What else is put into slots there.")] = {}
    each: Annotated[
        bool, Meta(description="Whether each picture has a button for it, which starts at once without a form.")
    ] = False


class Manifest(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a workflow is called, who may use it, and what people can say."""

    title: Annotated[str, Meta(description="What people read; else the file's name.")] = ""
    description: Annotated[str, Meta(description="What it makes, in one sentence.")] = ""
    command: Annotated[str, Meta(description="The slash command that it becomes, without the slash.")] = ""
    menu: Annotated[
        str, Meta(description="The entry that it becomes in the menu of messages with a picture.", max_length=32)
    ] = ""
    follow_up: Annotated[bool, Meta(description="Whether it only follows on another's result.")] = False
    result: Annotated[Result, Meta(description="What it makes; else whatever comes.")] = ""
    task: Annotated[
        Task | Literal["", "none"],
        Meta(description="What it is for, so that it is a model of that command; else what its result and slots show."),
    ] = ""
    cost: Annotated[float, Meta(description="What one job counts in queues and limits.", ge=0)] = 1
    price: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="US dollars that services bill for one run, at most; needed if any do."),
    ] = None
    silence: Annotated[
        float, Meta(description="Seconds without a word from the server before people hear that it works.", gt=0)
    ] = 60
    spoiler: Annotated[bool, Meta(description="Whether results are hidden until clicked.")] = False
    users: Annotated[tuple[int | str, ...], Meta(description="Ids of people who may use it; empty for all.")] = ()
    roles: Annotated[tuple[int | str, ...], Meta(description="Ids of roles that may use it.")] = ()
    slots: Annotated[dict[Name, ManifestSlot], Meta(description="What people can say, by name.")] = {}
    presets: Annotated[dict[Name, dict[str, Json]], Meta(description="Named sets of slot values.")] = {}
    follow_ups: Annotated[tuple[FollowUp, ...], Meta(description="What can be done with its results.")] = ()


def schema() -> dict[str, Json]:
    """Return the JSON schema of a manifest."""
    generated = cast("dict[str, Json]", msgspec.json.schema(Manifest))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Atelier workflow manifest",
        **generated,
    }
