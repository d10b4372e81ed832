"""Which workflows can use a result or any picture as input: follow-up buttons and message menus. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from msgspec import Struct

from app.discord.text import shorten
from app.events import Finished
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Slot

MOST_MENUS = 5
"""Message menus that one application may have (Discord's limit)."""

LONGEST_MENU = 32
LONGEST_LABEL = 40

SUFFIXES: dict[str, frozenset[str]] = {
    "image": frozenset({".png", ".jpg", ".jpeg", ".webp"}),
    "video": frozenset({".mp4", ".webm", ".mov", ".mkv", ".gif"}),
    "audio": frozenset({".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a"}),
}
"""File suffixes of results, by the kind of the slot that takes them."""


class FollowUpAction(Struct, frozen=True):
    """A follow-up: its workflow, the button's label, the slot that gets the result, and `values` for other slots.

    `takes` is the kind of results that it accepts; `number` counts the follow-ups into the same workflow, from 1.
    """

    workflow: str
    label: str
    slot: Slot
    takes: str
    values: dict[str, Json] = {}
    number: int = 1


def find_follow_up(workflow: Workflow) -> FollowUpAction | None:
    """The follow-up for a file without a slot: into the first required file slot, else the first optional one.

    None if the workflow has no file slot, or more than one that is required.
    """
    slots = sorted((one for one in workflow.slots if one.kind in UPLOADED), key=lambda one: not one.required)
    if not slots or any(one.required for one in slots[1:]):
        return None
    label = shorten(workflow.menu or workflow.title or workflow.name, LONGEST_LABEL)
    return FollowUpAction(workflow.name, label, slots[0], slots[0].kind)


def list_follow_ups(maker: Workflow | None, workflows: Mapping[str, Workflow]) -> list[FollowUpAction]:
    """The follow-ups on a workflow's results: those its manifest lists, else every workflow with a message menu."""
    if maker is None or not maker.follow_ups:
        return [follow_up for one in workflows.values() if one.menu and (follow_up := find_follow_up(one)) is not None]
    found: list[FollowUpAction] = []
    # Count in the manifest's own order: a button must keep its meaning when another workflow appears or disappears.
    counts = Counter[str]()
    for told in maker.follow_ups:
        counts[told.workflow] += 1
        other = workflows.get(told.workflow)
        slot = next((one for one in other.slots if one.name == told.slot), None) if other is not None else None
        if other is not None and slot is not None:
            label = shorten(told.title or other.title or other.name, LONGEST_LABEL)
            takes = told.result or slot.kind
            found.append(FollowUpAction(other.name, label, slot, takes, told.values, counts[told.workflow]))
    return found


def menus(workflows: Mapping[str, Workflow]) -> list[Workflow]:
    """The workflows that get a message menu, at most as many as Discord accepts; the first one of each menu name."""
    named: dict[str, Workflow] = {}
    for one in workflows.values():
        if one.menu and find_follow_up(one) is not None:
            named.setdefault(menu_name(one), one)
    return list(named.values())[:MOST_MENUS]


def unlisted(workflows: Sequence[Workflow]) -> Iterator[str]:
    """Yield a sentence for each message menu that Discord does not get."""
    listed = [menu_name(one) for one in menus({one.name: one for one in workflows})]
    for one in workflows:
        if one.menu and find_follow_up(one) is None:
            yield f"{one.name} has a menu, but a message has one file, and the workflow needs none, or several."
        elif one.menu and menu_name(one) not in listed:
            yield f"{one.name} has no place in the menu of messages: Discord takes {MOST_MENUS} in all."


def menu_name(workflow: Workflow) -> str:
    """The name of the workflow's message menu."""
    return shorten(workflow.menu, LONGEST_MENU)


def results(finished: Finished, follow_up: FollowUpAction) -> Sequence[str]:
    """The results that this follow-up can use: texts, or paths of files."""
    if "text" in {follow_up.takes, follow_up.slot.kind}:
        return finished.texts if follow_up.takes == follow_up.slot.kind else ()
    wanted = SUFFIXES.get(follow_up.takes, frozenset())
    return [file for file in finished.files if PurePath(file).suffix.lower() in wanted]
