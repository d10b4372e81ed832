"""What the page shows of results, to those who would see them in the frontend: a grid, single jobs and files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePath

import anyio
from anyio import to_thread
from msgspec import Struct
from msgspec.structs import replace

from app.core.gallery import Audience, GalleryEntry, GalleryOrigin, GalleryQuery, GalleryRow, is_shown
from app.core.jobs.job import Job
from app.core.journal_port import JobHistory, RecordDamaged
from app.entry_points import run_request
from app.events import JobId
from app.media_worker.dimensions import read_dimensions
from app.media_worker.protocol import Dimensions
from app.ports import OtherDisks, RunSync
from app.retention.files import files_of, thumbnail_path
from app.service.people.viewer import Viewer
from app.service.people.visibility import Place, Visibility, no_spoiler
from app.service.reasons import JobRemoved, ResultNotKept
from app.service.results.kinds import ResultKind, kind_of
from app.workflows.model import WorkflowError

MOST_ENTRIES = 100
"""Entries of one page."""

MOST_CHANNELS = 300
"""Channels of which one call asks whether the viewer may see them. After that, a page ends early."""

AT_ONCE = 16
"""Channels that are asked for at the same time."""

PATIENCE = 3.0
"""Seconds for which one call asks. Channels without an answer by then count as hidden, and a page ends early."""

MOST_ORIGINS = 2_000
"""The newest entries whose people, workflows, models and servers can be chosen as filters."""

MOST_CHOICES = 100
"""Choices of one filter: the ones that were seen most recently."""

RECENT = 1_000
"""The newest entries among which those are looked for that have ended since a moment ago: few jobs take so long that
more others are accepted meanwhile."""

SOON, PATIENCE_FOR_THUMBNAIL = 20.0, 3.0
"""Seconds from the end of a job within which its thumbnails are expected, and for which one call waits for them."""

BROUGHT_SOON, BROUGHT_WITHIN = 1.5, 20.0
"""Seconds for files that only another disk has: until a page is shown without them, and until a file is not there."""

ROUNDS = 3
"""How often the choices are read: each time without the channels that turned out to be hidden."""

MOST_RELATIVES = 24
"""Jobs that are shown as made from one."""


class Tile(Struct, frozen=True, kw_only=True):
    """What the grid needs of one entry. `files` are the names of the result's files.

    `width` and `height` are the pixels of the thumbnail, 0 if there is none. If it is expected `soon`, they are those
    of the file, which has the same shape.
    """

    entry: GalleryEntry
    files: tuple[str, ...]
    kind: ResultKind
    width: int
    height: int
    spoiler: bool
    soon: bool = False


class GalleryPage(Struct, frozen=True):
    """Some entries, newest first, and the key with which to go on; None if there are no more.

    A page may have fewer entries than were asked for, or none, although there are more.
    """

    entries: tuple[Tile, ...]
    older: int | None


class GalleryChoices(Struct, frozen=True, kw_only=True):
    """What a viewer may filter by, each in the order in which it was seen last: ids and names, without ""."""

    people: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    guilds: tuple[str, ...] = ()


class Relative(Struct, frozen=True):
    """A job that another one was made from or into, and its entry; None if it has no result."""

    job: Job
    tile: Tile | None


class Relatives(Struct, frozen=True, kw_only=True):
    """The job that a job was made from, and the newest ones that were made from it, as far as the viewer sees them."""

    made_from: Relative | None
    made_into: tuple[Relative, ...]


class Gallery:
    """Shows results to viewers. What a viewer may not see is as if it did not exist.

    Everybody sees what is their own; of others, what was asked for in a channel of a Discord server that the viewer may
    see now. `is_spoiler` says whether the place of a job, in the frontend's format, hides its result at first. `clock`
    returns seconds since 1970. `others` are the disks that may have files which this one lacks.
    """

    def __init__(
        self,
        job_history: JobHistory,
        visibility: Visibility,
        *,
        is_spoiler: Callable[[str], bool] = no_spoiler,
        run_sync: RunSync = to_thread.run_sync,
        clock: Callable[[], float] = time.time,
        others: OtherDisks | None = None,
    ) -> None:
        self._others = others
        self._tried_again: set[JobId] = set()
        """The entries whose thumbnails were made again, because another front has made them on its disk."""
        self._job_history = job_history
        self._visibility = visibility
        self._is_spoiler = is_spoiler
        self._run_sync = run_sync
        self._clock = clock

    async def page(
        self, viewer: Viewer, query: GalleryQuery, *, before: int | None = None, limit: int = 60
    ) -> GalleryPage:
        """The newest entries with keys below `before` that match. Raises `JournalUnavailable`."""
        return await self._entries(viewer, query, before, max(1, min(limit, MOST_ENTRIES)))

    async def ended_since(self, viewer: Viewer, query: GalleryQuery, since: float, *, limit: int) -> GalleryPage:
        """The entries that match and ended at `since` or later, among the `RECENT` newest ones.

        If there are more than `limit`, the oldest of them, with the key of the newest one of these. Raises
        `JournalUnavailable`.
        """
        newest = await self._job_history.gallery(GalleryQuery(), Audience(viewer.person, everything=True), limit=1)
        after = newest[0].entry.key - RECENT if newest else 0
        since = since if query.since is None else max(since, query.since)
        limit = max(1, min(limit, MOST_ENTRIES))
        page = await self._entries(viewer, replace(query, since=since), after, limit, newer=True)
        return replace(page, entries=page.entries[::-1])

    async def next_to(self, viewer: Viewer, query: GalleryQuery, key: int, *, newer: bool) -> Tile | None:
        """The next older entry that matches, or the next `newer` one; None if there is none near.

        Raises `JournalUnavailable`.
        """
        page = await self._entries(viewer, query, key, 1, newer=newer)
        return page.entries[0] if page.entries else None

    async def tile(self, viewer: Viewer, job: str) -> Tile | None:
        """The entry of a job; None if it has none that the viewer may see. Raises `JournalUnavailable`."""
        row = await self._row(viewer, job)
        return await self._tile(row) if row is not None and row.entry.ended else None

    async def _entries(
        self, viewer: Viewer, query: GalleryQuery, position: int | None, limit: int, *, newer: bool = False
    ) -> GalleryPage:
        """Entries that match, from a key on."""
        sight = _Sight(viewer, self._visibility)
        tiles: list[Tile] = []
        while True:
            rows = await self._job_history.gallery(
                query,
                sight.audience,
                before=None if newer else position,
                after=position if newer else None,
                limit=limit + 1,
            )
            await sight.ask(rows)
            for row in rows:
                if sight.shows_row(row):
                    if len(tiles) == limit:
                        return GalleryPage(tuple(tiles), tiles[-1].entry.key)
                    tiles.append(await self._tile(row))
                position = row.entry.key
            if len(rows) <= limit:
                return GalleryPage(tuple(tiles), None)
            if sight.is_spent:
                return GalleryPage(tuple(tiles), position)

    async def choices(self, viewer: Viewer) -> GalleryChoices:
        """What the viewer may filter by, from the newest entries. Raises `JournalUnavailable`."""
        sight = _Sight(viewer, self._visibility)
        origins = await self._job_history.gallery_origins(sight.audience, MOST_ORIGINS)
        for _ in range(ROUNDS):
            if not await sight.ask_origins(origins):
                break
            origins = await self._job_history.gallery_origins(sight.audience, MOST_ORIGINS)
        seen = [origin for origin in origins if sight.shows(origin.owner, origin.guild, origin.channel)]
        return GalleryChoices(
            people=_first(origin.owner for origin in seen),
            workflows=_first(origin.workflow for origin in seen),
            models=_first(origin.model for origin in seen),
            guilds=_first(origin.guild for origin in seen),
        )

    async def job(self, viewer: Viewer, job: str) -> Job:
        """A job by its whole id, whatever became of it, with its files as far as they can be copied soon.

        Raises `WorkflowError` if there is none, or none that the viewer may see, and `JournalUnavailable`.
        """
        known = await self._find(job)
        if known is None or await self._seen(viewer, known) is None:
            raise WorkflowError(JobRemoved())
        if self._others is not None:
            files = files_of(known)
            await self._others.bring([*files.results, *files.inputs], BROUGHT_SOON)
        return known

    async def relatives(self, viewer: Viewer, job: Job) -> Relatives:
        """What a job was made from and into. Raises `JournalUnavailable`."""
        parent = await self._find(job.request.parent) if job.request.parent else None
        children = await self._job_history.made_from(job.id, MOST_RELATIVES)
        seen = [await self._seen(viewer, child) for child in children]
        return Relatives(
            made_from=await self._seen(viewer, parent) if parent is not None else None,
            made_into=tuple(relative for relative in seen if relative is not None),
        )

    async def thumbnail(self, viewer: Viewer, job: str, index: int) -> Path | None:
        """The thumbnail of a file of a result, counted from 0; None if there is none that the viewer may see.

        Waits for one that is expected soon.
        """
        row = await self._row(viewer, job)
        if row is not None and self._is_expected(row):
            with anyio.move_on_after(PATIENCE_FOR_THUMBNAIL):
                row = await self._job_history.thumbnails_tried(row.entry.job)
        if row is None or not row.width or not 0 <= index < len(row.files):
            return None
        path = thumbnail_path(row.files[index])
        if not await self._run_sync(path.is_file):
            if self._others is None:
                return None
            result = row.files[index]
            await self._others.bring([result], BROUGHT_SOON)
            if await self._run_sync(Path(result).is_file):
                await self._make_again(row.entry.job)
        return path if await self._run_sync(path.is_file) else None

    async def _make_again(self, job: JobId) -> None:
        """Have the thumbnails of an entry made, which may be only on the disk of another front; wait a little."""
        if job not in self._tried_again:
            self._tried_again.add(job)
            await self._job_history.try_thumbnails_again(job)
        with anyio.move_on_after(PATIENCE_FOR_THUMBNAIL):
            await self._job_history.thumbnails_tried(job)

    async def file(self, viewer: Viewer, job: str, index: int) -> Path:
        """A file of a result, counted from 0.

        Raises `WorkflowError` if there is none that the viewer may see, and `JournalUnavailable`.
        """
        row = await self._row(viewer, job)
        if row is not None and 0 <= index < len(row.files):
            path = Path(row.files[index])
            if self._others is not None:
                await self._others.bring([str(path)], BROUGHT_WITHIN)
            if await self._run_sync(path.is_file):
                return path
        raise WorkflowError(ResultNotKept())

    async def _find(self, job: str) -> Job | None:
        try:
            known = await self._job_history.find(job)
        except RecordDamaged:
            return None
        # A part of an id finds a job as well, and a part of a batch is no request.
        return known if known is not None and known.id == job and not known.request.lead else None

    async def _seen(self, viewer: Viewer, job: Job) -> Relative | None:
        """A job and its entry, read once; None if the viewer may not see it."""
        row = await self._job_history.gallery_row(job.id)
        # A result of an earlier version for which it is not known yet whether it may be shown.
        hidden = "others" if row is None and is_shown(job) else row.hidden if row is not None else ""
        request = job.request
        if not await self._shows(viewer, request.owner, request.guild, request.shown_in, hidden):
            return None
        return Relative(job, await self._tile(row) if row is not None and row.entry.ended else None)

    async def _row(self, viewer: Viewer, job: str) -> GalleryRow | None:
        row = await self._job_history.gallery_row(JobId(job))
        if row is None:
            return None
        entry = row.entry
        return row if await self._shows(viewer, entry.owner, entry.guild, entry.channel, row.hidden) else None

    async def _shows(self, viewer: Viewer, owner: str, guild: str, channel: str, hidden: str) -> bool:
        if hidden == "everybody":
            return False
        if viewer.everything or _is_own(viewer, owner):
            return True
        if hidden or not guild:
            return False
        return await self._visibility.may_see(viewer.person, Place(guild, channel, owner))

    def _is_expected(self, row: GalleryRow) -> bool:
        """Whether the thumbnails of an entry are about to be made."""
        return row.width is None and abs(self._clock() - row.entry.ended) < SOON

    async def _tile(self, row: GalleryRow) -> Tile:
        width, height, soon = row.width or 0, row.height or 0, False
        if self._is_expected(row) and (shape := await self._run_sync(_shape, row.files)) is not None:
            (width, height), soon = shape, True
        return Tile(
            entry=row.entry,
            files=tuple(PurePath(file).name for file in row.files),
            kind=kind_of(row.files),
            width=width,
            height=height,
            spoiler=self._is_spoiler(row.place),
            soon=soon,
        )


class _Sight:
    """Which channels a viewer may see, as far as this was asked for during one call."""

    def __init__(self, viewer: Viewer, visibility: Visibility) -> None:
        self._viewer = viewer
        self._visibility = visibility
        self._known: dict[tuple[str, str], bool] = {}
        self._end = anyio.current_time() + PATIENCE

    @property
    def audience(self) -> Audience:
        """For whom to read entries: without the channels that are known to be hidden."""
        hidden = frozenset(channel for (_, channel), visible in self._known.items() if not visible)
        return Audience(self._viewer.person, hidden, self._viewer.everything)

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be asked during this call."""
        return len(self._known) >= MOST_CHANNELS or anyio.current_time() >= self._end

    def shows(self, owner: str, guild: str, channel: str) -> bool:
        """Whether the viewer sees what somebody asked for in a channel."""
        mine = self._viewer.everything or _is_own(self._viewer, owner)
        return mine or (bool(guild) and self._known.get((guild, channel), False))

    def shows_row(self, row: GalleryRow) -> bool:
        """Whether the viewer sees an entry that was read for their audience."""
        return self.shows(row.entry.owner, row.entry.guild, row.entry.channel)

    async def ask(self, rows: Iterable[GalleryRow]) -> None:
        """Find out whether the viewer sees these entries."""
        await self._learn(
            [(row.entry.guild, row.entry.channel) for row in rows if not _is_own(self._viewer, row.entry.owner)]
        )

    async def ask_origins(self, origins: Iterable[GalleryOrigin]) -> bool:
        """Find out whether the viewer sees what came from there; False if no further channel is hidden."""
        if self.is_spent:
            return False
        places = [(origin.guild, origin.channel) for origin in origins if not _is_own(self._viewer, origin.owner)]
        hidden = len(self.audience.without)
        await self._learn(places)
        return len(self.audience.without) > hidden

    async def _learn(self, places: Iterable[tuple[str, str]]) -> None:
        if self._viewer.everything:
            return
        unknown = [place for place in dict.fromkeys(places) if place[0] and place not in self._known]
        asked = unknown[: max(MOST_ENTRIES + 1, MOST_CHANNELS - len(self._known))]
        self._known |= dict.fromkeys(asked, False)
        turns = anyio.Semaphore(AT_ONCE)

        async def ask(guild: str, channel: str) -> None:
            async with turns:
                place = Place(guild, channel, "")
                self._known[guild, channel] = await self._visibility.may_see(self._viewer.person, place)

        with anyio.move_on_at(self._end):
            async with anyio.create_task_group() as asking:
                for place in asked:
                    work = partial(run_request, partial(ask, *place), "who may see a channel is not known")
                    asking.start_soon(work, name="visibility")


def _shape(files: Iterable[str]) -> Dimensions | None:
    """The pixels of the first file that can have a thumbnail; None if there is none, or if it does not state them."""
    first = next((file for file in files if kind_of([file]) in {"picture", "video"}), None)
    return read_dimensions(Path(first)) if first is not None else None


def _is_own(viewer: Viewer, owner: str) -> bool:
    return bool(viewer.person) and viewer.person == owner


def _first(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(value for value in dict.fromkeys(values) if value)[:MOST_CHOICES]
