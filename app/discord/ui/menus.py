"""Message menus: which workflows get one, and under which name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.discord.text import shorten
from app.reasons import Reason
from app.service.jobs.follow_ups import find_follow_up
from app.service.reasons import MenuNeedsOneFile, NoRoomInMenu
from app.workflows.load import Workflow

MOST_MENUS = 15
"""Message menus that one application may have (Discord's limit; 5 before March 2026)."""

LONGEST_MENU = 32
"""Characters in a menu's name (Discord's limit)."""


def menus(workflows: Mapping[str, Workflow]) -> list[Workflow]:
    """The workflows that get a message menu, at most as many as Discord accepts; the first one of each menu name."""
    named: dict[str, Workflow] = {}
    for workflow in workflows.values():
        if workflow.menu and find_follow_up(workflow) is not None:
            named.setdefault(menu_name(workflow), workflow)
    return list(named.values())[:MOST_MENUS]


def menu_name(workflow: Workflow) -> str:
    """The name of the workflow's message menu."""
    return shorten(workflow.menu, LONGEST_MENU)


def unlisted(workflows: Sequence[Workflow]) -> Iterator[Reason]:
    """Yield a reason for each message menu that Discord does not get."""
    listed = [menu_name(workflow) for workflow in menus({workflow.name: workflow for workflow in workflows})]
    for workflow in workflows:
        if workflow.menu and find_follow_up(workflow) is None:
            yield MenuNeedsOneFile(workflow.name)
        elif workflow.menu and menu_name(workflow) not in listed:
            yield NoRoomInMenu(workflow.name, MOST_MENUS)
