"""Tiles: results as they stand in a grid, each a link to its own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.http.page.context import PageContext
from app.http.page.parts import PageParts
from app.http.page.results.files import FileAddresses
from app.http.page.results.people import names_of_people
from app.http.page.results.ratios import ratio_class
from app.http.page.results.searching import Search
from app.service.people.viewer import Viewer
from app.service.results.gallery import Tile
from app.service.results.kinds import kind_of
from app.texts import page as texts
from app.texts.wording import shortened
from app.workflows.load import Workflow

AT_ONCE = 8
"""Pictures that are loaded at once: about the first row of a large screen. The others are once they are near."""

LONGEST_LINE = 100
"""Characters of a prompt in the grid, half of that beyond ASCII, where each takes more room and more bytes."""


class TileView(Struct, frozen=True, kw_only=True):
    """A tile as the template shows it.

    `picture` is the address of its thumbnail, "" if it has none; one that is expected `soon` may come late.
    """

    key: int
    address: str
    picture: str
    width: int
    height: int
    shape: str
    prompt: str
    person: str
    kind: str
    count: int
    spoiler: bool
    lazy: bool
    soon: bool


async def tile_views(
    context: PageContext, viewer: Viewer, parts: PageParts, search: Search, tiles: Sequence[Tile]
) -> list[TileView]:
    """The tiles as a template shows them; their links keep the search."""
    addresses, workflows = FileAddresses(context, viewer), parts.workflows()
    people = await names_of_people(parts.names, {(tile.entry.owner, tile.entry.guild) for tile in tiles})
    base = f"{context.address.base}/jobs/"
    views: list[TileView] = []
    for number, tile in enumerate(tiles):
        entry = tile.entry
        prompt = " ".join(entry.prompt.split()) or title_of(entry.workflow, workflows) or texts.UNTITLED
        # The dimensions are those of the thumbnail of the first file that can have one.
        index = next((at for at, file in enumerate(tile.files) if kind_of([file]) in {"picture", "video"}), 0)
        views.append(
            TileView(
                key=entry.key,
                address=search.address(base + entry.job),
                picture=addresses.thumbnail(entry.job, index) if tile.width else "",
                width=tile.width,
                height=tile.height,
                shape=ratio_class(tile.width, tile.height),
                prompt=_line(prompt),
                person=name_of(viewer, entry.owner, people),
                kind=texts.KINDS.get(tile.kind, ""),
                count=len(tile.files),
                spoiler=tile.spoiler,
                lazy=number >= AT_ONCE,
                soon=tile.soon,
            )
        )
    return views


def _line(prompt: str) -> str:
    line = prompt[:LONGEST_LINE]
    return shortened(prompt, LONGEST_LINE - sum(not sign.isascii() for sign in line) // 2)


def title_of(workflow: str, workflows: Mapping[str, Workflow]) -> str:
    """What people read of a workflow."""
    return workflows[workflow].title if workflow in workflows else workflow


def name_of(viewer: Viewer, person: str, names: Mapping[str, str]) -> str:
    """What a viewer reads of a person; "" if that is not known."""
    return texts.YOU if person and person == viewer.person else names.get(person, "")
