"""LiveQueue: what runs and what waits, for everybody who has the page open.

One task makes the rows for all of them, only while somebody looks, and a few times in a second at most. Each row is
made once in each of its forms, and each page is sent what has changed since the last time. A page that reads slowly
misses what was replaced meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus

from app.actors.handle import Registry, UpdatesOfJobs
from app.core.scheduling.line.overview import Overview
from app.entry_points import run_loop, run_request
from app.events import ServerName
from app.service.people.names import Names
from app.service.people.viewer import Viewer
from app.service.people.visibility import Place, Visibility, may_read, no_spoiler
from app.service.queue.board import QueueBoard
from app.service.queue.live_previews import LivePreviews, Preview
from app.service.queue.stream import Changes, Stream
from app.service.reasons import TooManyPagesOpen
from app.workflows.model import WorkflowError

MOST_STREAMS, MOST_OF_ONE = 1000, 4
"""Open pages in all, and of one person."""

PAUSE, PAUSE_PER_STREAM = 0.25, 0.015
"""Seconds between two rounds, and what each page adds that shows rows: 200 get a message every three seconds."""

PREVIEW_PAUSE, PREVIEW_PAUSE_PER_STREAM = 0.5, 0.04
"""The same between two previews of a job. Each page is sent each one, which may have more than 100 kB."""

LONGEST_PAUSE = 10.0
"""Seconds between two rounds or previews at most, however many pages are open."""

SOON, SOON_PER_STREAM = 0.02, 0.0025
"""Seconds between two rounds at least, and what each open page adds after one with results: the first is told at once,
and those that follow close behind it are told together. Pages are told of a result so much later than its own person:
what brings it to them must not wait for pages."""

GROUP, GROUP_PAUSE = 4, 0.001
"""Open pages that are told something at once, and seconds until the next ones are told of a result: nobody else's
result has to wait until all have been told."""

SPREAD = 0.5
"""The share of a round over which the pages are spread that are told of anything else. A server begins the next job
while the result of the last one is downloaded, which must not wait for pages."""

ASKING = 5.0
"""Seconds for an answer whether somebody may see something; then it counts as no."""

MOST_NAMES = 2000
"""Names of people that are kept."""


class LiveQueue:
    """Owns the board and the list of open pages.

    `titles`, `server_names`, `is_spoiler` and `now` are those of `QueueBoard`, and `mark` is that of `LivePreviews`.
    `names` says what people are called, None if nobody knows.
    """

    def __init__(
        self,
        overview: Overview,
        registry: Registry,
        visibility: Visibility,
        *,
        titles: Callable[[str], str],
        server_names: Mapping[ServerName, str],
        is_spoiler: Callable[[str], bool] = no_spoiler,
        names: Names | None = None,
        mark: Callable[[bytes], bytes] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._visibility = visibility
        self._names = names
        # A browser may still have previews from before a restart.
        self._previews = LivePreviews(mark, int(now() * 1000))
        self._known_names: dict[str, str] = {}
        self._asked: set[str] = set()
        """People whose names are being asked for."""
        self._board = QueueBoard(
            overview,
            self._previews,
            titles=titles,
            is_spoiler=is_spoiler,
            server_names=server_names,
            names=self._known_names,
            now=now,
        )
        self._read_at = float("-inf")
        self._streams: dict[Stream, None] = {}
        """The open pages; first those that have waited longest for something new."""
        self._watched = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled. After an exception, which is logged, open pages get nothing new for some seconds."""
        async with anyio.create_task_group() as tasks:
            task_status.started()
            await run_loop(partial(self._serve, tasks), "the live queue failed")

    @property
    def open_streams(self) -> int:
        """How many pages are open."""
        return len(self._streams)

    @asynccontextmanager
    async def follow(self, viewer: Viewer, *, rows: bool = True, since: int | None = None) -> AsyncGenerator[Stream]:
        """Follow the queue; without `rows` only the results. Results count from the one after the number `since`.

        Raises `WorkflowError` if too many pages are open.
        """
        self.check_room(viewer)
        self._refresh()
        stream = Stream(self._board, viewer, self.may_see, rows=rows, since=since)
        self._streams[stream] = None
        self._watched.set()
        try:
            yield stream
        finally:
            del self._streams[stream]

    def check_room(self, viewer: Viewer) -> None:
        """Raise `WorkflowError` if too many pages are open, of all people or of this one."""
        of_person = sum(stream.viewer.person == viewer.person for stream in self._streams)
        if len(self._streams) >= MOST_STREAMS or (of_person >= MOST_OF_ONE and not viewer.everything):
            raise WorkflowError(TooManyPagesOpen())

    async def look(self, viewer: Viewer) -> Changes:
        """All rows, as they are now."""
        self._refresh()
        return await Stream(self._board, viewer, self.may_see).look() or Changes()

    async def preview(self, viewer: Viewer, key: str) -> Preview | None:
        """The preview of the row with this key; None if there is none that the viewer may see."""
        shown = self._board.find(key)
        if shown is None or not await self.may_see(viewer, shown.place):
            return None
        return self._previews.get(shown.job)

    def shown_preview(self, key: str) -> Preview | None:
        """The preview of the row with this key, for a viewer who may see it as `Changes.previews` says."""
        shown = self._board.find(key)
        return self._previews.get(shown.job) if shown is not None else None

    async def may_see(self, viewer: Viewer, place: Place) -> bool:
        """Whether a viewer may see what was asked for in this place; False if that is not known in time."""
        if viewer.everything:
            return True
        allowed = False

        async def ask() -> None:
            nonlocal allowed
            with anyio.move_on_after(ASKING):
                allowed = await may_read(self._visibility, viewer.person, place.person, place)

        await run_request(ask, "who may see a request is not known")
        return allowed

    async def _serve(self, tasks: TaskGroup) -> float:
        """Make rows until nobody looks."""
        if not self._streams:
            self._watched = anyio.Event()
            await self._watched.wait()
        shown = -1, -1
        async with self._registry.watch_all() as updates:
            while self._streams:
                next_at = anyio.current_time() + self._pause(PAUSE, PAUSE_PER_STREAM)
                self._board.take(updates.drain())
                if has_results := self._board.ended != shown[1]:
                    await anyio.sleep(SOON)
                self._read()
                self._ask_names(tasks)
                newest, is_whole = (self._board.round, self._board.ended), True
                if newest != shown:
                    is_whole = await self._wake(updates, results=has_results)
                    shown = newest if is_whole else shown
                await anyio.sleep(SOON + SOON_PER_STREAM * len(self._streams) * has_results)
                if is_whole:
                    with anyio.CancelScope(deadline=next_at):
                        await updates.milestone()
        self._previews.keep(())
        self._known_names.clear()
        return 0.0

    def _refresh(self) -> None:
        """Make rows unless that was done a moment ago."""
        if anyio.current_time() >= self._read_at + PAUSE:
            self._read()

    def _read(self) -> None:
        self._read_at = anyio.current_time()
        self._board.read(self._pause(PREVIEW_PAUSE, PREVIEW_PAUSE_PER_STREAM))

    def _pause(self, least: float, per_stream: float) -> float:
        """How long to wait, by how many pages show rows."""
        return min(least + per_stream * sum(stream.rows for stream in self._streams), LONGEST_PAUSE)

    async def _wake(self, updates: UpdatesOfJobs, *, results: bool) -> bool:
        """Have the open pages look what is new for them: soon if there are `results`, else spread over the round.

        Returns False if it was left off because of a result: in the next round, those left out are first.
        """
        streams = [stream for stream in self._streams if stream.rows or results]
        spread = GROUP_PAUSE
        if not results:
            spread = SPREAD * self._pause(PAUSE, PAUSE_PER_STREAM) * GROUP / max(GROUP, len(streams))
        for number, stream in enumerate(streams, 1):
            if stream in self._streams:
                stream.wake()
                # Whoever is left out this time is first the next time.
                self._streams[stream] = self._streams.pop(stream)
            if number % GROUP == 0 and number < len(streams):
                await anyio.sleep(spread)
                if self._board.take(updates.drain()) and not results:
                    return False
        return True

    def _ask_names(self, tasks: TaskGroup) -> None:
        """Ask what people are called whose requests are shown, beside everything else."""
        if self._names is None:
            return
        unknown = {shown.place.person for shown in self._board.requests} - self._known_names.keys() - self._asked
        if unknown and len(self._known_names) >= MOST_NAMES:
            self._known_names.clear()
        for person in unknown:
            self._asked.add(person)
            tasks.start_soon(self._ask_name, self._names, person, name="name of a person")

    async def _ask_name(self, names: Names, person: str) -> None:
        async def ask() -> None:
            self._known_names[person] = await names.person(person)

        try:
            await run_request(ask, "the name of a person is not known")
        finally:
            self._asked.discard(person)
