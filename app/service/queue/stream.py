"""One open page: what its person may see of the queue, and what it was sent already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from math import inf

import anyio
from msgspec import Struct
from msgspec.structs import replace

from app.events import JobId
from app.service.people.viewer import Viewer
from app.service.people.visibility import Place
from app.service.queue.board import QueueBoard, ShownRequest
from app.service.queue.rows import Kind, QueueRow, RowProgress

RIGHTS_CURRENT = 20.0
"""Seconds after which a page asks again what its person may see."""

OWN_CURRENT = 3.0
"""Seconds for which the rows of the viewer's own requests count that are far behind."""


class Changes(Struct, frozen=True, kw_only=True):
    """What a page has to change: rows and progress, and the keys of all rows in `order`, None if that is the same.

    Rows that are not in the order are gone. `previews` are the keys of rows whose preview is new, which
    `LiveQueue.shown_preview` has. `counts` are how many requests run and wait. `finished` are jobs whose results are
    here now and that this person may see. `number` is that of the newest result, to go on after a lost connection.
    """

    rows: tuple[QueueRow, ...] = ()
    progress: tuple[RowProgress, ...] = ()
    previews: tuple[str, ...] = ()
    order: tuple[str, ...] | None = None
    counts: tuple[int, int] = (0, 0)
    finished: tuple[JobId, ...] = ()
    number: int = 0


class Stream:
    """Follows a board for one page. Without `rows` it gets only the results.

    Results count from the one after `since`; None is from now on. `may_see` answers whether somebody may see what was
    asked for in a place, and takes some seconds at most.
    """

    def __init__(
        self,
        board: QueueBoard,
        viewer: Viewer,
        may_see: Callable[[Viewer, Place], Awaitable[bool]],
        *,
        rows: bool = True,
        since: int | None = None,
    ) -> None:
        self.viewer = viewer
        self.rows = rows
        self._board = board
        self._may_see = may_see
        self._rights: dict[Place, bool] = {}
        self._rights_until = -inf
        self._sent: dict[str, Kind] = {}
        """The form of each row that was sent."""
        self._own_later: dict[str, QueueRow] = {}
        self._own_until = -inf
        self._order: tuple[str, ...] | None = None
        self._counts = 0, 0
        self._round: int = 0
        self._ended = board.ended if since is None or since > board.ended else since
        self._woken = anyio.Event()
        self._woken.set()

    def wake(self) -> None:
        """Have it look what is new."""
        self._woken.set()

    async def next(self) -> Changes:
        """Wait for changes, and return all since the last call; those of the first call are everything."""
        while True:
            # Without rows, nothing is shown that a right could be taken away from.
            with anyio.CancelScope(deadline=self._rights_until if self.rows else inf):
                await self._woken.wait()
            if (changes := await self.look()) is not None:
                return changes

    async def look(self) -> Changes | None:
        """What has changed since the last call, None for nothing."""
        ended = self._board.ended
        await self._renew_rights()
        # Only now, so that nothing is missed if the call is cancelled before.
        self._woken = anyio.Event()
        if self._board.ended != ended:
            # Somebody's right to see them may not be known yet.
            self._woken.set()
        changes = self._new_rows() if self.rows else Changes()
        finished = self._new_results(ended)
        counts, self._counts = self._counts, self._board.counts
        is_counted = self.rows and counts != self._counts
        if changes == Changes() and not finished and not is_counted:
            return None
        return replace(changes, counts=self._counts, finished=finished, number=ended)

    async def _renew_rights(self) -> None:
        """Ask about places that are new, and about all of them from time to time."""
        if self.viewer.everything:
            self._rights_until = inf
            return
        now = anyio.current_time()
        needed = set(self._needed())
        is_due = now >= self._rights_until
        unknown = needed if is_due else needed - self._rights.keys()
        if not unknown and not is_due:
            return
        answers: dict[Place, bool] = {}

        async def ask(place: Place) -> None:
            answers[place] = await self._may_see(self.viewer, place)

        async with anyio.create_task_group() as asking:
            for place in unknown:
                asking.start_soon(ask, place, name="who may see")
        self._rights = {place: self._rights[place] for place in needed & self._rights.keys()} | answers
        if is_due:
            self._rights_until = now + RIGHTS_CURRENT

    def _needed(self) -> Iterator[Place]:
        """The places of all that is shown, but for the viewer's own."""
        person = self.viewer.person
        for shown in self._board.requests if self.rows else ():
            if shown.place.person != person:
                yield shown.place
        if self._ended < self._board.ended:
            for ending in self._board.endings:
                if ending.number > self._ended and ending.place.person != person:
                    yield ending.place

    def _sees(self, place: Place) -> bool:
        return self.viewer.everything or place.person == self.viewer.person or self._rights.get(place, False)

    def _kind(self, shown: ShownRequest) -> Kind:
        if shown.place.person == self.viewer.person:
            return "own"
        return "full" if self._sees(shown.place) else "hidden"

    def _new_rows(self) -> Changes:
        """What has changed in the rows."""
        rows: list[QueueRow] = []
        progress: list[RowProgress] = []
        previews: list[str] = []
        sent, self._sent = self._sent, {}
        for shown in self._board.requests:
            kind = self._sent[shown.key] = self._kind(shown)
            is_new = sent.get(shown.key) != kind
            if is_new or shown.changed > self._round:
                rows.append(shown.forms[kind])
            if kind == "hidden" or shown.progress is None:
                continue
            if is_new or shown.progressed > self._round:
                progress.append(shown.progress)
            if shown.progress.preview and (is_new or shown.previewed > self._round):
                previews.append(shown.key)
        self._round = self._board.round
        rows += self._new_own_later()
        # A request that comes nearer is among the others from now on.
        own_later = [key for key in self._own_later if key not in self._sent]
        before, self._order = self._order, (*self._board.order, *own_later)
        order = self._order if self._order != before else None
        return Changes(rows=tuple(rows), progress=tuple(progress), previews=tuple(previews), order=order)

    def _new_own_later(self) -> list[QueueRow]:
        """The rows of the viewer's own requests far behind that have changed."""
        now = anyio.current_time()
        if now < self._own_until:
            return []
        self._own_until = now + OWN_CURRENT
        before = self._own_later
        self._own_later = {row.key: row for row in self._board.own_later(self.viewer.person, before)}
        return [row for key, row in self._own_later.items() if before.get(key) != row]

    def _new_results(self, until: int) -> tuple[JobId, ...]:
        """The results up to the one with this number."""
        since, self._ended = self._ended, until
        if since == until:
            return ()
        return tuple(
            ending.job for ending in self._board.endings if since < ending.number <= until and self._sees(ending.place)
        )
