"""The queue on the page: what runs and what waits, live."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

import anyio
import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.events import JobId
from app.http.page.context import PageContext
from app.http.page.forms import form_of
from app.http.page.guard import for_viewers
from app.http.page.protection.headers import POLICY_WITH_PREVIEWS
from app.http.page.queue.event_stream import HEARTBEAT, EventStream, Write, event
from app.http.page.rendering import environment, render
from app.service.people.viewer import Viewer
from app.service.queue.live_queue import LiveQueue
from app.service.queue.rows import QueueRow, RowProgress
from app.service.queue.stream import Changes
from app.service.reasons import JobRemoved
from app.texts import page as texts
from app.workflows.model import WorkflowError

BEAT = 15.0
"""Seconds without an event after which the connection shows that it is alive."""

CHECKED = 5.0
"""Seconds after which it is looked whether the person is still logged in."""

PREVIEW_LIFE = 86_400.0
"""Seconds for which a page may load previews. Whether its person may see them is looked at each time."""

RECONNECT, RECONNECT_SPREAD = 2000, 4000
"""Milliseconds after which a page connects again, at least, and how much longer at most: not all at once."""

PURPOSE = "preview"
"""What the addresses of previews are signed for."""

MOST_KEPT = 2048
"""Rows that are kept as they were rendered: each is sent to many pages."""

MOST_PREVIEWS = 16
"""The same of previews, of which each has some hundred kilobytes."""


class QueuePage:
    """The routes of the queue.

    `/queue/events` sends three events: `queue`, with what `static/queue.js` changes, `results`, with a list of jobs
    whose results are here now, and `preview`. A preview is in its event, because a request for each would cost ten
    times as much. Other pages follow `/queue/events?only=results`. A page for which `over` is sent is not kept up to
    date any more, because its person is logged out.
    """

    def __init__(self, context: PageContext, clock: Callable[[], float] = time.time) -> None:
        self._context = context
        self._clock = clock
        self._instance = secrets.token_hex(4)
        """Numbers of results count for one life of the bot."""
        self._row_json = lru_cache(MOST_KEPT)(self._make_row_json)
        self._progress_json = lru_cache(MOST_KEPT)(_make_progress_json)
        self._preview_event = lru_cache(MOST_PREVIEWS)(_make_preview_event)

    def routes(self) -> Sequence[BaseRoute]:
        """See `app.http.page.page.PagePart`."""
        return [
            Route("/queue", for_viewers(self._show)),
            Route("/queue/events", for_viewers(self._follow)),
            Route("/queue/preview/{token}/{key}/{version:int}", for_viewers(self._preview)),
            Route("/queue/cancel", for_viewers(self._cancel), methods=["POST"]),
        ]

    @property
    def _live(self) -> LiveQueue:
        parts = self._context.parts
        if parts is None or parts.live_queue is None:
            raise WorkflowError(JobRemoved())
        return parts.live_queue

    async def _show(self, request: Request, viewer: Viewer) -> Response:
        changes = await self._live.look(viewer)
        token = self._context.signer.sign(PURPOSE, viewer.person, life=PREVIEW_LIFE)
        base = self._context.address.base
        progress = {each.key: each for each in changes.progress}
        order = {key: number for number, key in enumerate(changes.order or ())}
        rows = [
            self._whole_row(row, progress.get(row.key, RowProgress(key=row.key)), f"{base}/queue/preview/{token}")
            for row in sorted(changes.rows, key=lambda row: order.get(row.key, 0))
        ]
        response = render(
            request,
            "queue.html",
            section="queue",
            rows=rows,
            summary=texts.queue_summary(*changes.counts),
            cancels=self._cancels,
        )
        response.headers["Content-Security-Policy"] = POLICY_WITH_PREVIEWS
        return response

    async def _follow(self, request: Request, viewer: Viewer) -> Response:
        self._live.check_room(viewer)
        results_only = request.query_params.get("only") == "results"
        since = self._since(request.headers.get("last-event-id", ""))
        talk = partial(
            self._talk,
            viewer,
            lambda: viewer.everything or self._is_logged_in(request),
            rows=not results_only,
            since=since,
        )
        return EventStream(talk)

    def _is_logged_in(self, request: Request) -> bool:
        session, _ = self._context.sessions.read(request.headers.get("cookie", ""))
        return session is not None and bool(session.person)

    async def _talk(
        self, viewer: Viewer, is_logged_in: Callable[[], bool], write: Write, *, rows: bool, since: int | None
    ) -> None:
        """Send what is new, until the session of the person ends."""
        await write(b"retry: %d\n\n" % (RECONNECT + secrets.randbelow(RECONNECT_SPREAD)))
        async with self._live.follow(viewer, rows=rows, since=since) as stream:
            checked = written = anyio.current_time()
            while True:
                changes = None
                with anyio.move_on_after(CHECKED):
                    changes = await stream.next()
                now = anyio.current_time()
                if now >= checked + CHECKED:
                    if not is_logged_in():
                        await write(event("over", b"{}"))
                        return
                    checked = now
                if changes is not None:
                    await write(self._events(changes, rows=rows))
                    written = now
                elif now >= written + BEAT:
                    await write(HEARTBEAT)
                    written = now

    def _events(self, changes: Changes, *, rows: bool) -> bytes:
        """Changes as events; without `rows` only the results."""
        ident = f"{self._instance}-{changes.number}"
        results = event("results", msgspec.json.encode(changes.finished), ident) if changes.finished else b""
        if not rows:
            return results
        data = b"".join(
            [
                b'{"rows":[',
                b",".join(map(self._row_json, changes.rows)),
                b'],"progress":[',
                b",".join(map(self._progress_json, changes.progress)),
                b'],"order":',
                msgspec.json.encode(changes.order),
                b',"summary":',
                msgspec.json.encode(texts.queue_summary(*changes.counts)),
                b"}",
            ]
        )
        # Results before previews, which are much longer.
        return event("queue", data, ident) + results + self._previews(changes.previews)

    def _previews(self, keys: Iterable[str]) -> bytes:
        """The previews of these rows as events."""
        previews = ((key, self._live.shown_preview(key)) for key in keys)
        return b"".join(self._preview_event(key, shown.media_type, shown.image) for key, shown in previews if shown)

    def _since(self, ident: str) -> int | None:
        """The number of the last result that a page knows, which connects again; None if it is a new page."""
        instance, _, number = ident.partition("-")
        return int(number) if instance == self._instance and number.isdecimal() and len(number) < 10 else None

    async def _preview(self, request: Request, viewer: Viewer) -> Response:
        signed = self._context.signer.read(PURPOSE, request.path_params["token"])
        preview = None
        if signed is not None and signed.person == viewer.person:
            preview = await self._live.preview(viewer, request.path_params["key"])
        if preview is None:
            # The job has ended meanwhile, as a rule. Nobody reads a page instead of a picture.
            return Response(status_code=404)
        # The address has the version of the preview, so the browser need not ask again.
        headers = {"Cache-Control": "private, max-age=60, immutable"}
        return Response(preview.image, headers=headers, media_type=preview.media_type)

    async def _cancel(self, request: Request, viewer: Viewer) -> Response:
        if (parts := self._context.parts) is None or parts.actions is None:
            raise WorkflowError(JobRemoved())
        await parts.actions.cancel(viewer.person, JobId((await form_of(request)).get("job", "")))
        return RedirectResponse(f"{self._context.address.base}/queue", 303)

    @property
    def _cancels(self) -> bool:
        """Whether somebody can cancel here."""
        return (parts := self._context.parts) is not None and parts.actions is not None

    def _make_row_json(self, row: QueueRow) -> bytes:
        # The page says when with what is in it already, and gets previews in events of their own.
        return msgspec.json.encode({"key": row.key, "html": self._row(row, RowProgress(key=row.key))})

    def _whole_row(self, row: QueueRow, progress: RowProgress, previews: str) -> Markup:
        """A row for a page that may have no scripts. `previews` is what the addresses of previews begin with."""
        when = texts.queue_when(row.expected - self._clock(), starts=bool(row.place)) if row.expected else ""
        preview = f"{previews}/{row.key}/{progress.preview}" if progress.preview else ""
        return Markup(self._row(row, progress, when, preview))  # noqa: S704  the template escapes

    def _row(self, row: QueueRow, progress: RowProgress, when: str = "", preview: str = "") -> str:
        template = environment().get_template("queue_row.html")
        return template.render(
            row=row,
            percent=round(100 * progress.fraction),
            step=texts.queue_step(progress),
            preview=preview,
            about=texts.queue_about(row),
            why=texts.queue_why(row),
            when=when,
            cancels=self._cancels,
        )


def _make_progress_json(progress: RowProgress) -> bytes:
    return msgspec.json.encode(
        {
            "key": progress.key,
            "percent": round(100 * progress.fraction),
            "step": texts.queue_step(progress),
        }
    )


def _make_preview_event(key: str, media_type: str, image: bytes) -> bytes:
    picture = f"data:{media_type};base64,{base64.b64encode(image).decode()}"
    return event("preview", msgspec.json.encode({"key": key, "picture": picture}))
