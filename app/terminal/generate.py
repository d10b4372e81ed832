"""Guests of the house that draw: follow all wishes to their last word, and take back what is unfinished."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from app.actors.interaction import InteractionActor
from app.actors.registry import Registry
from app.events import AnyUpdate, Cancelled, JobId
from app.jobs import Wish
from app.terminal.rows import Row, tally
from app.terminal.shows import Show


class _Place:
    """One row, as the Reply port of one interaction."""

    def __init__(self, row: Row, show: Show, reasons: dict[JobId, str]) -> None:
        self._row = row
        self._show = show
        self._reasons = reasons
        self.pause = show.pause

    async def show(self, update: AnyUpdate) -> None:
        """See `app.ports.Reply`."""
        if isinstance(update, Cancelled) and not update.reason:
            update = Cancelled(job=update.job, reason=self._reasons.get(update.job, ""))
        milestone = self._row.hear(update)
        self._show.update(self._row, update, milestone=milestone)


def rows_of(wishes: Sequence[Wish]) -> list[Row]:
    """A row for each wish."""
    return [Row(wish.job, wish.owner, wish.workflow) for wish in wishes]


async def draw(
    wishes: Sequence[Wish],
    rows: Sequence[Row],
    show: Show,
    registry: Registry,
    closing: anyio.Event,
    *,
    limit: float | None = None,
) -> int:
    """Have all wishes made at once; the exit code. `limit` is in seconds, for all of them together.

    When the house closes, or time is over, what is unfinished is cancelled on the server, and followed until
    that is confirmed.
    """
    reasons: dict[JobId, str] = {}

    async def take_back(reason: str) -> None:
        for row in rows:
            if row.last_word is None:
                reasons[row.job] = reason
                await registry.cancel(row.job)

    async def when_closing() -> None:
        await closing.wait()
        await take_back("")

    async def when_over(seconds: float) -> None:
        await anyio.sleep(seconds)
        await take_back(f"--timeout of {seconds:g} s was over.")

    try:
        with show.open():
            async with anyio.create_task_group() as watch:
                watch.start_soon(when_closing, name="closing")
                if limit is not None:
                    watch.start_soon(when_over, limit, name="timeout")
                async with anyio.create_task_group() as interactions:
                    for wish, row in zip(wishes, rows, strict=True):
                        actor = InteractionActor(wish, registry, _Place(row, show, reasons))
                        await interactions.start(actor.run, name=f"interaction {wish.job}")
                watch.cancel_scope.cancel()
    finally:
        show.summary(tally(rows))
    return tally(rows).code
