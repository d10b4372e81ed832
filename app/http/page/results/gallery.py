"""The gallery: a grid of all results that the viewer may see, newest first, with a search and filters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.core.gallery import GalleryQuery
from app.http.page.context import PageContext
from app.http.page.guard import for_viewers, parts_of
from app.http.page.parts import PageParts
from app.http.page.rendering import render, render_problem
from app.http.page.results.people import names_of_guilds, names_of_people
from app.http.page.results.searching import Refused, Search, key_of, query_of, read_search
from app.http.page.results.tiles import name_of, tile_views, title_of
from app.service.people.viewer import Viewer
from app.service.results.gallery import GalleryPage
from app.texts import page as texts
from app.texts.model_names import model_name

PER_PAGE = 60

MOST_PEOPLE = 50
"""People and servers that can be chosen as filters: each may have to be asked for."""


MOST_NEW = 30
"""New results that an open page is sent at once; if there are more, it is loaded anew."""

MARGIN = 10
"""Seconds before now from which an open page gets what is new: it is told of a result some time after that ended,
which includes asking whether its viewer may see it."""

SPREAD, SPREAD_PER_PAGE = 20, 5
"""Milliseconds within which an open page asks for a new result, and what each further one adds: not all at once."""


class Choice(Struct, frozen=True):
    """One choice of a filter: its value, and what people read."""

    value: str
    label: str


class Filter(Struct, frozen=True, kw_only=True):
    """A filter: what may be chosen (if it was read), and what is."""

    name: str
    label: str
    value: str
    choices: tuple[Choice, ...] = ()


class Chip(Struct, frozen=True):
    """A filter that is set: what it is, and the address of the same page without it."""

    label: str
    value: str
    address: str


class Live(Struct, frozen=True, kw_only=True):
    """What an open page needs to show new results.

    `events` is where it hears of them, and `address` where it gets those that ended at `since`, in seconds since 1970,
    or later. It asks within `spread` milliseconds. If there are `more` than it gets, it is loaded anew, from `page`.
    """

    events: str
    address: str
    page: str
    since: int
    spread: int
    more: bool = False


class GalleryPart:
    """The grid. An open one asks `/new` for results that came since. `clock` returns the seconds since 1970."""

    def __init__(self, context: PageContext, clock: Callable[[], float] = time.time) -> None:
        self._context = context
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of the grid."""
        return [Route("/", for_viewers(self._show)), Route("/new", for_viewers(self._show_new))]

    async def _show_new(self, request: Request, viewer: Viewer) -> Response:
        """Results that ended since a moment, for a page that is open."""
        parts, search = parts_of(request), read_search(request.query_params)
        now = self._now()
        try:
            query, since = query_of(search), key_of(request.query_params.get("since", ""))
        except Refused as error:
            return render_problem(request, error.sentence, 400)
        since = now if since is None else since
        page = await parts.gallery.ended_since(viewer, query, since, limit=MOST_NEW)
        tiles = await tile_views(self._context, viewer, parts, search, page.entries)
        live = self._live(parts, search, now, more=page.older is not None)
        return render(request, "new.html", live=live, tiles=tiles)

    def _now(self) -> int:
        return int(self._clock()) - MARGIN

    def _live(self, parts: PageParts, search: Search, since: int, *, more: bool = False) -> Live | None:
        if parts.live_queue is None:
            return None
        base = self._context.address.base
        return Live(
            events=f"{base}/queue/events?only=results",
            address=search.address(f"{base}/new"),
            page=search.address(f"{base}/"),
            since=since,
            spread=SPREAD + SPREAD_PER_PAGE * parts.live_queue.open_streams,
            more=more,
        )

    async def _show(self, request: Request, viewer: Viewer) -> Response:
        now = self._now()
        parts, search = parts_of(request), read_search(request.query_params)
        wants_filters = bool(request.query_params.get("filters"))
        problem, page = "", GalleryPage((), None)
        try:
            query, before = query_of(search), key_of(request.query_params.get("before", ""))
            page = await parts.gallery.page(viewer, query, before=before, limit=PER_PAGE)
            if not page.entries and page.older is None and before is None:
                problem = await self._unknown(parts, viewer, query)
        except Refused as error:
            problem, before = error.sentence, None
        tiles = await tile_views(self._context, viewer, parts, search, page.entries)
        base = f"{self._context.address.base}/"
        filters = await self._filters(viewer, parts, search, with_choices=wants_filters or bool(problem))
        return render(
            request,
            "gallery.html",
            400 if problem else 200,
            section="gallery",
            search=search.text,
            live=None if problem or before is not None else self._live(parts, search, now),
            tiles=tiles,
            problem=problem,
            note="" if problem else _note(search, page, is_first=before is None),
            older=search.address(base, before=str(page.older)) if page.older is not None else "",
            newest=search.address(base) if before is not None else "",
            filters=filters if wants_filters or problem else (),
            filters_address=search.address(base, filters="1"),
            chips=_chips(search, filters, base),
            all_address=base if search.fields else "",
            kept_fields=search.without("text").fields,
            since=search.since,
            until=search.until,
        )

    async def _unknown(self, parts: PageParts, viewer: Viewer, query: GalleryQuery) -> str:
        """Why nothing can match: something was chosen that nobody can choose; "" if that is not the reason."""
        wanted = {"person": query.owner, "workflow": query.workflow, "model": query.model, "guild": query.guild}
        if not any(wanted.values()):
            return ""
        choices = await parts.gallery.choices(viewer)
        known = dict(zip(wanted, (choices.people, choices.workflows, choices.models, choices.guilds), strict=True))
        return next((texts.UNKNOWN[name] for name, value in wanted.items() if value and value not in known[name]), "")

    async def _filters(
        self, viewer: Viewer, parts: PageParts, search: Search, *, with_choices: bool
    ) -> tuple[Filter, ...]:
        """The filters; their choices are read only where they are shown, because that takes a while."""
        chosen = (search.person, search.workflow, search.model, search.guild)
        people, workflows, models, guilds = ([value] if value else [] for value in chosen)
        if with_choices:
            choices = await parts.gallery.choices(viewer)
            people += choices.people[:MOST_PEOPLE]
            workflows += choices.workflows
            models += choices.models
            guilds += choices.guilds[:MOST_PEOPLE]
        known = parts.workflows()
        named = await names_of_people(parts.names, ((person, search.guild) for person in people))
        servers = await names_of_guilds(parts.names, guilds)
        labels = {
            "person": {person: name_of(viewer, person, named) for person in people},
            "workflow": {name: title_of(name, known) for name in workflows},
            "model": {model: model_name(model) for model in models},
            "guild": {guild: servers.get(guild) or guild for guild in guilds},
        }
        return tuple(
            Filter(
                name=name,
                label=label,
                value=getattr(search, name),
                choices=tuple(Choice(value, labels[name][value]) for value in labels[name]),
            )
            for name, label in (
                ("person", texts.PERSON),
                ("workflow", texts.WORKFLOW),
                ("model", texts.MODEL),
                ("guild", texts.GUILD),
            )
        )


def _chips(search: Search, filters: Sequence[Filter], base: str) -> list[Chip]:
    labels = {each.value: each.label for filter_ in filters for each in filter_.choices}
    chips = [
        Chip(filter_.label, labels.get(filter_.value, filter_.value), search.without(filter_.name).address(base))
        for filter_ in filters
        if filter_.value
    ]
    days = (("since", texts.FROM, search.since), ("until", texts.UNTIL, search.until))
    return [*chips, *(Chip(label, value, search.without(name).address(base)) for name, label, value in days if value)]


def _note(search: Search, page: GalleryPage, *, is_first: bool) -> str:
    """What to do where no picture is shown."""
    if page.entries:
        return ""
    if page.older is not None:
        return texts.MORE_TO_LOOK_AT
    if not is_first:
        return texts.NOTHING_OLDER
    return texts.NOTHING_FOUND if search.fields else texts.EMPTY
