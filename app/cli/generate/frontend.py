"""The `generate` frontend: follows all requests to their final updates, and cancels what is unfinished at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from app.actors.handle import Registry
from app.actors.interaction import InteractionActor
from app.cli.output.renderers import Renderer
from app.cli.output.rows import Row, tally
from app.core.jobs.job import JobRequest
from app.events import AnyUpdate, Cancelled, JobId, ServerName
from app.ports import Comfy, ConnectionLost, Refused
from app.reasons.jobs import CancelUnconfirmed, TimeLimitReached
from app.texts.reasons.text import reason_text

LAST_CALL = 2.0
"""Seconds for a server to confirm what --timeout cancelled; a server that does not answer is not waited for."""

FIRST_LOOK = 3.0
"""Seconds for the servers to report their status; a slower one is treated like one that does not answer."""


class _Place:
    """One row of the output, as the Reply port of one interaction."""

    def __init__(self, row: Row, show: Renderer, reasons: dict[JobId, TimeLimitReached]) -> None:
        self._row = row
        self._show = show
        self._reasons = reasons
        self.pause = show.pause
        self.receipt = ""

    async def show(self, update: AnyUpdate) -> None:
        """See `app.ports.Reply`."""
        if isinstance(update, Cancelled) and not update.reason:
            update = Cancelled(job=update.job, reason=self._reasons.get(update.job, ""))
        milestone = self._row.handle(update)
        await self._show.update(self._row, update, milestone=milestone)


def rows_of(requests: Sequence[JobRequest]) -> list[Row]:
    """One row for each request."""
    return [Row(request.job, request.owner, request.workflow) for request in requests]


async def refusals(servers: Mapping[ServerName, Comfy]) -> dict[ServerName, str]:
    """The servers that answer but cannot be used, with a sentence why; one that does not answer may come back."""
    refused: dict[ServerName, str] = {}

    async def look(name: ServerName, comfy: Comfy) -> None:
        try:
            await comfy.stats()
        except Refused as refusal:
            refused[name] = f"{name}: {reason_text(refusal.reason, operator=True)}"
        except ConnectionLost:
            return

    with anyio.move_on_after(FIRST_LOOK):
        async with anyio.create_task_group() as looks:
            for name, comfy in servers.items():
                looks.start_soon(look, name, comfy, name=f"look {name}")
    return refused


async def draw(
    requests: Sequence[JobRequest],
    rows: Sequence[Row],
    show: Renderer,
    registry: Registry,
    shutdown: anyio.Event,
    *,
    limit: float | None = None,
) -> int:
    """Run all requests at once; return the exit code. `limit` is in seconds, for all of them together.

    On shutdown, or when the time is over, unfinished jobs are cancelled on the server, and followed until that is
    confirmed.
    """
    reasons: dict[JobId, TimeLimitReached] = {}
    handed_in: set[JobId] = set()

    async def take_back(reason: TimeLimitReached | None = None) -> None:
        for row in rows:
            if row.terminal_update is None:
                if reason is not None:
                    reasons[row.job] = reason
                await registry.cancel(row.job)

    async def when_closing() -> None:
        await shutdown.wait()
        await take_back()

    async def when_torn() -> None:
        await show.torn.wait()
        await take_back()

    async def when_over(seconds: float, interactions: anyio.CancelScope) -> None:
        await anyio.sleep(seconds)
        await take_back(TimeLimitReached(seconds))
        interactions.deadline = anyio.current_time() + LAST_CALL

    async def own_up() -> None:
        """Mark the jobs whose end no server confirmed in time as cancelled; a server may still run them."""
        for row in rows:
            if row.terminal_update is None:
                reason = reasons.get(row.job)
                update = Cancelled(
                    job=row.job, reason=CancelUnconfirmed(reason) if row.job in handed_in else reason or ""
                )
                await show.update(row, update, milestone=row.handle(update))

    try:
        with show.open():
            async with anyio.create_task_group() as watch:
                watch.start_soon(when_closing, name="closing")
                watch.start_soon(when_torn, name="torn")
                async with anyio.create_task_group() as interactions:
                    if limit is not None:
                        watch.start_soon(when_over, limit, interactions.cancel_scope, name="timeout")
                    for request, row in zip(requests, rows, strict=True):
                        if shutdown.is_set() or show.torn.is_set():
                            # `take_back` ran before the latest job was submitted: call it again.
                            await take_back()
                            break
                        actor = InteractionActor(request, registry, _Place(row, show, reasons), patience=0.0)
                        await interactions.start(actor.run, name=f"interaction {request.job}")
                        handed_in.add(row.job)
                watch.cancel_scope.cancel()
            await own_up()
    finally:
        show.summary(tally(rows))
    return show.code_when_torn if show.torn.is_set() else tally(rows).code
