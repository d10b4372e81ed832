"""Which workflows get a message menu."""

from __future__ import annotations

from msgspec.structs import replace

from app.discord.ui.menus import MOST_MENUS, menus, unlisted
from app.reasons import Reason
from app.service.reasons import MenuNeedsOneFile, NoRoomInMenu
from app.workflows.load import Workflow
from tests.discord.flows import slot, workflow

FILM = slot("clip", "video", required=True)
PHOTO = slot("image", "image", required=True)


def listed(*flows: Workflow) -> tuple[list[str], list[Reason]]:
    return [one.name for one in menus({one.name: one for one in flows})], list(unlisted(flows))


def test_a_menu_of_the_same_name_stands_there_once() -> None:
    one, two = (replace(workflow(PHOTO, name=name), menu="Draw it") for name in "ab")
    assert listed(one, two)[0] == ["a"]


def test_a_menu_that_people_do_not_get_is_a_sentence() -> None:
    many = [replace(workflow(PHOTO, name=f"w{n}"), menu=f"Draw {n}") for n in range(MOST_MENUS + 1)]
    names, reasons = listed(*many)
    assert names == [f"w{n}" for n in range(MOST_MENUS)]
    assert reasons == [NoRoomInMenu(f"w{MOST_MENUS}", MOST_MENUS)]
    names, reasons = listed(replace(workflow(PHOTO, FILM), menu="Both"))
    assert not names
    assert reasons == [MenuNeedsOneFile("paint")]
