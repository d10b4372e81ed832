"""What the `demo` command measures, and what it says about it: fairness, failover, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from statistics import median

import anyio
from msgspec import Struct

from app.cli.output.renderers import LineRenderer, TableRenderer
from app.cli.output.rows import Row, Tally
from app.events import AnyUpdate, Finished, JobId, ServerName, Started

HEADER = """\
Five people share three simulated servers, without a GPU.

Fairness      Ada wants 20 pictures; nobody waits for them.
Failover      A server dies; its pictures are made again.
Nothing lost  Everybody gets every picture, exactly once.
"""
"""What is shown, before it begins. 60 columns suffice for all lines of the demo."""


class Outage(Struct):
    """A server that was killed, and the jobs that it had. `seconds` is how long it was away, None if it still is."""

    server: ServerName
    jobs: frozenset[JobId]
    seconds: float | None = None


class Arrival(Struct, frozen=True):
    """A picture that somebody got, `seconds` after asking for it, from a server."""

    owner: str
    seconds: float
    files: tuple[str, ...]
    server: ServerName


class Report:
    """A renderer that passes everything on to another one, and measures meanwhile. All times are in seconds."""

    def __init__(self, show: TableRenderer | LineRenderer) -> None:
        self._show = show
        self._began = anyio.current_time()
        self._asked: dict[JobId, float] = {}
        self._outage: Outage | None = None
        self.arrivals: dict[JobId, Arrival] = {}
        """In the order in which they came."""
        self.torn = show.torn
        self.pause = show.pause

    @property
    def code_when_torn(self) -> int:
        """See `Renderer`."""
        return self._show.code_when_torn

    def open(self) -> AbstractContextManager[object]:
        """See `Renderer`."""
        return self._show.open()

    async def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Measure, show the update, and say which server makes a picture again."""
        now = anyio.current_time()
        self._asked.setdefault(row.job, now)
        if isinstance(update, Finished):
            self.arrivals[row.job] = Arrival(row.owner, now - self._asked[row.job], update.files, update.server)
        await self._show.update(row, update, milestone=milestone)
        if isinstance(update, Started) and self._outage is not None and row.job in self._outage.jobs:
            await self._show.announce(f"{update.server} makes a picture of {row.owner}'s again.")

    def summary(self, count: Tally) -> None:
        """Show what became of the jobs, unless `proof` will say that all is well."""
        if count.code:
            self._show.summary(count)

    async def killed(self, server: ServerName, jobs: Collection[JobId]) -> None:
        """Say that a server was killed that had these jobs."""
        self._outage = Outage(server, frozenset(jobs))
        await self._show.announce(f"{server} was killed. It had {_pictures(len(jobs))} to make.")

    async def back(self, seconds: float) -> None:
        """Say that the server that was killed is back, after so many seconds."""
        if self._outage is not None:
            self._outage.seconds = seconds
            await self._show.announce(f"{self._outage.server} is back, and remembers nothing.")

    def proof(self, rows: Sequence[Row], first: str) -> str:
        """What was measured of each claim in `HEADER`; `first` is who asked first, and for most."""
        took = anyio.current_time() - self._began
        theirs = [arrival.seconds for arrival in self.arrivals.values() if arrival.owner != first]
        hers = [arrival.seconds for arrival in self.arrivals.values() if arrival.owner == first]
        owners = [arrival.owner for arrival in self.arrivals.values()]
        last = max(number for number, owner in enumerate(owners) if owner != first)
        later = len(owners) - last - 1
        files = {file for arrival in self.arrivals.values() for file in arrival.files}
        waits = f"Median wait: {median(theirs):.0f} s, {first}'s {median(hers):.0f} s."
        lines = [
            "",
            f"Fairness      {first} asked first, for {_pictures(len(hers))}. Then four",
            f"              others asked for {len(theirs)}. When all {len(theirs)} were made,",
            f"              {later} of {first}'s were not.",
            f"              {waits}",
            *self._failover(),
            f"Nothing lost  {len(files)} of {len(rows)} pictures arrived in {took:.0f} s.",
        ]
        return "\n".join(lines)

    def _failover(self) -> list[str]:
        outage = self._outage
        if outage is None:
            return ["Failover      No server was killed: the demo was over too soon."]
        makers = [self.arrivals[job].server for job in outage.jobs if job in self.arrivals]
        moved = sum(server != outage.server for server in makers)
        away = "did not come back" if outage.seconds is None else f"came back {outage.seconds:.0f} s later"
        return [
            f"Failover      {outage.server} was killed with {_pictures(len(outage.jobs))} to make,",
            f"              and {away}. {len(makers)} were made again,",
            f"              {moved} of them by other servers.",
        ]


def _pictures(count: int) -> str:
    return f"{count} picture{'s' if count != 1 else ''}"
