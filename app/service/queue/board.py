"""QueueBoard: the rows of the queue, made from what the registry owns, each in all of its forms. No tasks."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b

import anyio
from msgspec import Struct
from msgspec.structs import replace

from app.actors.handle import UpdateOfJob
from app.core.gallery import prompt_of
from app.core.jobs.job import Job
from app.core.scheduling.line.overview import Overview, RunningRequest, WaitingRequest
from app.events import Finished, JobId, Previewed, ServerName
from app.service.people.visibility import Place
from app.service.queue.live_previews import LivePreviews
from app.service.queue.rows import Kind, QueueRow, RowProgress, hidden, own, progress_of, short_prompt, steady
from app.texts.server_names import UNNAMED

MOST_WAITING, MOST_OWN = 40, 5
"""Requests that are shown: the next ones, and somebody's own behind them."""

LINE_CURRENT = 1.0
"""Seconds for which places in line and expected times count, as long as no job starts or ends."""

MOST_ENDINGS = 256
"""Results that a page may miss while it does not read."""


class ShownRequest(Struct, kw_only=True):
    """A request that is shown: its row in each form and its progress, with the rounds in which they changed.

    `previewed` is the round in which its preview changed.
    """

    key: str
    job: JobId
    place: Place
    is_spoiler: bool
    forms: Mapping[Kind, QueueRow]
    changed: int
    progress: RowProgress | None = None
    progressed: int = 0
    previewed: int = 0


class Ending(Struct, frozen=True):
    """A result: its number, the job, and where it was requested."""

    number: int
    job: JobId
    place: Place


def place_of(job: Job) -> Place:
    """Where a job was requested, and by whom."""
    return Place(job.request.guild, job.request.shown_in, job.request.owner)


class QueueBoard:
    """Owns the rows, and the newest results. To be used in the registry's event loop.

    `titles` returns the title of a workflow, and `server_names` has the public name of each server. `is_spoiler` says
    whether the place of a job, in the frontend's format, hides its result at first: it has no previews then. `names`
    has what people are called, as far as that is known, and is only read. `now` returns seconds since 1970.
    """

    def __init__(
        self,
        overview: Overview,
        previews: LivePreviews,
        *,
        titles: Callable[[str], str],
        is_spoiler: Callable[[str], bool],
        server_names: Mapping[ServerName, str],
        names: Mapping[str, str],
        now: Callable[[], float],
    ) -> None:
        self._overview = overview
        self._previews = previews
        self._titles = titles
        self._is_spoiler = is_spoiler
        self._server_names = server_names
        self._names = names
        self._now = now
        self._secret = secrets.token_bytes(16)
        self._requests: dict[JobId, ShownRequest] = {}
        self._by_key: dict[str, ShownRequest] = {}
        self._round: int = 0
        """The number of the round that is being made."""
        self._turn = -1
        self._line_until = float("-inf")
        self._named = 0
        self.order: tuple[str, ...] = ()
        """The keys of all rows."""
        self.counts = 0, 0
        """How many requests run, and how many wait; each picture of a batch that is not shown counts as one."""
        self.round: int = 0
        """The number of the newest round that changed something."""
        self.endings: deque[Ending] = deque(maxlen=MOST_ENDINGS)
        self.ended = 0
        """The number of the newest result."""

    @property
    def requests(self) -> Iterable[ShownRequest]:
        """What is shown, in order."""
        return self._requests.values()

    def find(self, key: str) -> ShownRequest | None:
        """The request whose row has this key, if it is shown."""
        return self._by_key.get(key)

    def take(self, updates: Iterable[UpdateOfJob]) -> bool:
        """Take updates of all jobs; return whether there is a result among them."""
        before = self.ended
        for each in updates:
            if isinstance(each.update, Previewed):
                self._previews.put(each.update)
            elif isinstance(each.update, Finished):
                self.ended += 1
                self.endings.append(Ending(self.ended, each.job.id, place_of(each.job)))
        return self.ended != before

    def read(self, preview_pause: float) -> None:
        """Make the rows anew, as far as they may have changed; previews are shown at most every so many seconds."""
        now = anyio.current_time()
        self._round = self.round + 1
        running = self._overview.running(now)
        if self._overview.turn != self._turn or now >= self._line_until or self._named != len(self._names):
            self._turn, self._line_until, self._named = self._overview.turn, now + LINE_CURRENT, len(self._names)
            self._make_rows(running, self._overview.waiting(MOST_WAITING, now))
        for each in running:
            if (shown := self._requests.get(each.job.id)) is not None:
                preview = 0 if shown.is_spoiler else self._previews.show(shown.job, now, preview_pause)
                progress = progress_of(shown.key, each.progress, preview)
                if preview != (shown.progress.preview if shown.progress is not None else 0):
                    shown.previewed = self._round
                if progress != shown.progress:
                    shown.progress, shown.progressed, self.round = progress, self._round, self._round

    def own_later(self, person: str, before: Mapping[str, QueueRow]) -> list[QueueRow]:
        """The rows of a person's own requests that wait behind those that are shown; `before` are the last ones."""
        later = self._overview.waiting_of(person, MOST_OWN, anyio.current_time())
        rows: list[QueueRow] = []
        for each in later:
            if each.job.id not in self._requests:
                known = before.get(self._key(each.job.id))
                place = max(len(self._requests), each.update.position) - self.counts[0] + 1
                rows.append(own(self._waiting_row(each, place, known.expected if known is not None else None)))
        return rows

    def _make_rows(self, running: Sequence[RunningRequest], waiting: Iterable[WaitingRequest]) -> None:
        before, self._requests = self._requests, {}
        listed = 0
        for each in running:
            self._show(each.job, self._running_row(each, self._expected(before, each.job)), before)
        for place, each in enumerate(waiting, 1):
            if each.job.id in self._requests:
                # The jobs of a batch that wait while others of it run.
                continue
            listed += each.jobs
            self._show(each.job, self._waiting_row(each, place, self._expected(before, each.job)), before)
        further = max(0, self._overview.waiting_jobs - listed)
        counts = len(running), len(self._requests) - len(running) + further
        order = tuple(shown.key for shown in self._requests.values())
        if (counts, order) != (self.counts, self.order):
            self.counts, self.order, self.round = counts, order, self._round
        self._by_key = {shown.key: shown for shown in self._requests.values()}
        self._previews.keep(self._requests.keys())

    def _expected(self, before: Mapping[JobId, ShownRequest], job: Job) -> int | None:
        return before[job.id].forms["full"].expected if job.id in before else None

    def _show(self, job: Job, row: QueueRow, before: Mapping[JobId, ShownRequest]) -> None:
        known = before.get(job.id)
        if known is None or known.forms["full"] != row:
            forms: dict[Kind, QueueRow] = {"full": row, "own": own(row), "hidden": hidden(row)}
            if known is not None and known.forms["hidden"] == forms["hidden"]:
                # Nothing has changed for whom it is hidden.
                forms["hidden"] = known.forms["hidden"]
            self.round = self._round
            known = ShownRequest(
                key=row.key,
                job=job.id,
                place=place_of(job),
                is_spoiler=self._is_spoiler(job.place),
                forms=forms,
                changed=self._round,
                progress=known.progress if known is not None and not row.place else None,
                progressed=self._round,
                previewed=known.previewed if known is not None else 0,
            )
        self._requests[job.id] = known

    def _row(self, job: Job, place: int, server: ServerName | None) -> QueueRow:
        request = job.request
        return QueueRow(
            key=self._key(job.id),
            place=place,
            server=self._server_names.get(server, UNNAMED) if server is not None else "",
            hidden=False,
            job=job.id,
            owner=request.owner,
            person=self._names.get(request.owner, ""),
            title=self._titles(request.workflow),
            prompt=short_prompt(prompt_of(request.values)),
            pictures=request.pictures,
        )

    def _running_row(self, each: RunningRequest, shown: int | None) -> QueueRow:
        note = each.progress.note if each.progress is not None else None
        expected = steady(shown, each.ends_in, self._now())
        return replace(self._row(each.job, 0, each.server), expected=expected, ready=each.ready, note=note)

    def _waiting_row(self, each: WaitingRequest, place: int, shown: int | None) -> QueueRow:
        update = each.update
        expected = steady(shown, update.starts_in, self._now())
        row = self._row(each.job, place, update.server)
        return replace(row, expected=expected, ready=each.ready, note=update.note, ahead=each.ahead)

    def _key(self, job: JobId) -> str:
        return blake2b(job.encode(), key=self._secret, digest_size=6).hexdigest()
