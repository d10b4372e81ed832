"""What can go on from a result, or from anybody's picture: buttons and menus. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from msgspec import Struct

from app.discord.text import shorten
from app.events import Finished
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.slots import UPLOADED, Slot

MOST_MENUS = 5
"""Message menus that one application may have (Discord's limit)."""

LONGEST_MENU = 32
LONGEST_LABEL = 40

SUFFIXES: dict[str, frozenset[str]] = {
    "image": frozenset({".png", ".jpg", ".jpeg", ".webp"}),
    "video": frozenset({".mp4", ".webm", ".mov", ".mkv", ".gif"}),
    "audio": frozenset({".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a"}),
}
"""What results are called, by the kind of the slot that takes them."""


class Onward(Struct, frozen=True):
    """One way on: which workflow, what its button says, the slot that gets the result, and what else is told."""

    workflow: str
    label: str
    slot: Slot
    values: dict[str, Json] = {}


def way(workflow: Workflow) -> Onward | None:
    """The way on for a file that belongs to no slot yet: the first that must be there, else the first that may."""
    slots = sorted((one for one in workflow.slots if one.kind in UPLOADED), key=lambda one: not one.required)
    if not slots or any(one.required for one in slots[1:]):
        return None
    return Onward(workflow.name, shorten(workflow.menu or workflow.title or workflow.name, LONGEST_LABEL), slots[0])


def ways(maker: Workflow | None, workflows: Mapping[str, Workflow]) -> list[Onward]:
    """What can follow on a workflow's results: what its manifest says, else what stands in the menu of pictures."""
    if maker is None or not maker.follow_ups:
        return [onward for one in workflows.values() if one.menu and (onward := way(one)) is not None]
    found: list[Onward] = []
    for told in maker.follow_ups:
        other = workflows.get(told.workflow)
        slot = next((one for one in other.slots if one.name == told.slot), None) if other is not None else None
        if other is not None and slot is not None:
            label = shorten(told.title or other.title or other.name, LONGEST_LABEL)
            found.append(Onward(other.name, label, slot, told.values))
    return found


def menus(workflows: Mapping[str, Workflow]) -> list[Workflow]:
    """The workflows that stand in the menu of a message, as many as Discord takes."""
    return [one for one in workflows.values() if one.menu and way(one) is not None][:MOST_MENUS]


def menu_name(workflow: Workflow) -> str:
    """What the menu is called."""
    return shorten(workflow.menu, LONGEST_MENU)


def results(finished: Finished, slot: Slot) -> Sequence[str]:
    """Those of the results that a slot can take: paths of files, or texts."""
    if slot.kind == "text":
        return finished.texts
    wanted = SUFFIXES.get(slot.kind, frozenset())
    return [file for file in finished.files if PurePath(file).suffix.lower() in wanted]
