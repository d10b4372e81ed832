"""How much people have asked for: unfinished jobs and GPU seconds, and whether one more job is within the limits.

GPU seconds are counted over a rolling day: those of measured runs that ended in it, and the expected ones of unfinished
jobs, which are reserved when a job is accepted. The reservation ends when a server is done with the job; then only what
was measured counts. Everything is derived from the jobs and the measured runs, so that the journal needs nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from app.events import JobId
from app.reasons.limits import JobsReached, LimitReason, SecondsReached, Whom

DAY = 86_400.0
"""Seconds for which a run counts."""

MINUTE = 60.0
"""Seconds whose runs are counted together, from the first of them: they return at once."""

EVERYBODY: tuple[Whom, ...] = ("person", "member", "channel", "guild")


class Allowance(Struct, frozen=True):
    """How many jobs may be unfinished, and how many GPU seconds a rolling day has; 0 is no limit.

    A job is accepted only within all allowances of its request.
    """

    whom: Whom
    jobs: int = 0
    seconds: int = 0


class Origin(Struct, frozen=True):
    """Who asks, and where: ids, "" for none. Nothing is counted for whom there is no id."""

    person: str = ""
    guild: str = ""
    channel: str = ""

    def account(self, whom: Whom) -> str:
        """Identifies whose jobs are counted; "" if there is nobody."""
        match whom:
            case "person":
                return self.person and f"person:{self.person}"
            case "member":
                return self.guild and self.person and f"member:{self.guild}:{self.person}"
            case "channel":
                return self.channel and f"channel:{self.channel}"
            case "guild":
                return self.guild and f"guild:{self.guild}"

    def accounts(self) -> Iterator[str]:
        """All that count a job from here."""
        return filter(None, map(self.account, EVERYBODY))


class Use(Struct, frozen=True):
    """GPU seconds that were measured `age` seconds ago."""

    origin: Origin
    seconds: float
    age: float = 0.0


class Used(Struct, frozen=True):
    """What an allowance has left: unfinished jobs, and GPU seconds that were used or are reserved.

    `returning` of them return in `returns_in` seconds; None if none of them was used.
    """

    allowance: Allowance
    unfinished: int
    seconds: float
    returning: float = 0.0
    returns_in: float | None = None


class _Account(Struct):
    """What is counted for somebody. Times are whole milliseconds, so that sums stay exact."""

    unfinished: int = 0
    reserved: int = 0
    used: int = 0
    minutes: deque[list[int]] = field(default_factory=deque[list[int]])
    """When the runs of each minute return, and how long they took together; oldest first."""


_NOTHING = _Account()


class Usage:
    """Owns the counters. A decision takes the same time however many jobs there are.

    `now` is in seconds of any clock that never goes back.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._reserved: dict[JobId, int] = {}
        """The reserved milliseconds of each unfinished job."""
        self._parts: set[JobId] = set()
        """The unfinished jobs that only reserve seconds."""
        self._returning: deque[tuple[int, str]] = deque()
        """When minutes return, and whose they are; oldest first."""

    def refusal(
        self, origin: Origin, allowances: Iterable[Allowance], seconds: float, now: float
    ) -> LimitReason | None:
        """The first limit that a job would exceed, which is expected to run for so many seconds; None if there is none.

        When an unfinished job ends is not known here.
        """
        self._expire(_milliseconds(now))
        needed = _milliseconds(seconds)
        for allowance in allowances:
            account = self._accounts.get(origin.account(allowance.whom), _NOTHING)
            if allowance.jobs and account.unfinished >= allowance.jobs:
                return JobsReached(allowance.whom, allowance.jobs, account.unfinished)
            if (reached := _seconds_reached(account, allowance, needed, now)) is not None:
                return reached
        return None

    def edit_refusal(
        self, jobs: Iterable[JobId], origin: Origin, allowances: Iterable[Allowance], seconds: float, now: float
    ) -> LimitReason | None:
        """The first limit that one request of these jobs would exceed as another one; None if there is none.

        What is reserved for it counts no more. It may always become shorter, and no limit on jobs counts.
        """
        self._expire(_milliseconds(now))
        needed, freed = _milliseconds(seconds), sum(self._reserved.get(job, 0) for job in jobs)
        if needed <= freed:
            return None
        for allowance in allowances:
            account = self._accounts.get(origin.account(allowance.whom), _NOTHING)
            if (reached := _seconds_reached(account, allowance, needed, now, freed)) is not None:
                return reached
        return None

    def accept(self, job: JobId, origin: Origin, seconds: float, *, counts: bool = True) -> None:
        """Count a job, unless it is a part of another one, and reserve the seconds that it is expected to run."""
        if job in self._reserved:
            return
        self._reserved[job] = reserved = _milliseconds(seconds)
        if not counts:
            self._parts.add(job)
        for name in origin.accounts():
            account = self._accounts.setdefault(name, _Account())
            account.unfinished += counts
            account.reserved += reserved

    def edited(self, job: JobId, origin: Origin, seconds: float) -> None:
        """Reserve other seconds for a job, because it is another one now."""
        if (before := self._reserved.get(job)) is not None:
            self._reserved[job] = reserved = _milliseconds(seconds)
            for name in origin.accounts():
                self._accounts.setdefault(name, _Account()).reserved += reserved - before

    def server_done(self, job: JobId, origin: Origin) -> None:
        """Release the reserved seconds of a job, because no server will run it any more."""
        if reserved := self._reserved.get(job):
            self._reserved[job] = 0
            for name in origin.accounts():
                self._accounts[name].reserved -= reserved

    def ended(self, job: JobId, origin: Origin) -> None:
        """Count a job no longer."""
        self.server_done(job, origin)
        if self._reserved.pop(job, None) is not None:
            counted = job not in self._parts
            self._parts.discard(job)
            for name in origin.accounts():
                if counted:
                    self._accounts[name].unfinished -= 1
                self._forget_if_empty(name)

    def spend(self, uses: Iterable[Use], now: float) -> None:
        """Count measured seconds, oldest first."""
        for use in uses:
            until, used = _milliseconds(now - max(0.0, use.age) + DAY + MINUTE), _milliseconds(use.seconds)
            for name in use.origin.accounts() if used else ():
                account = self._accounts.setdefault(name, _Account())
                account.used += used
                if account.minutes and until <= account.minutes[-1][0] + _milliseconds(MINUTE):
                    account.minutes[-1][1] += used
                else:
                    account.minutes.append([until, used])
                    self._returning.append((until, name))
        self._expire(_milliseconds(now))

    def used(self, origin: Origin, allowances: Iterable[Allowance], now: float) -> list[Used]:
        """What is used of each allowance of a person."""
        self._expire(_milliseconds(now))
        used: list[Used] = []
        for allowance in allowances:
            account = self._accounts.get(origin.account(allowance.whom), _NOTHING)
            seconds = (account.used + account.reserved) / 1000
            if account.minutes:
                until, returning = account.minutes[0]
                row = Used(allowance, account.unfinished, seconds, returning / 1000, until / 1000 - now)
            else:
                row = Used(allowance, account.unfinished, seconds)
            used.append(row)
        return used

    def _expire(self, now: int) -> None:
        """Return the seconds of all minutes that are over."""
        while self._returning and self._returning[0][0] <= now:
            _, name = self._returning.popleft()
            account = self._accounts[name]
            account.used -= account.minutes.popleft()[1]
            self._forget_if_empty(name)

    def _forget_if_empty(self, name: str) -> None:
        account = self._accounts.get(name)
        if account is not None and not account.unfinished and not account.reserved and not account.minutes:
            del self._accounts[name]


def _seconds_reached(
    account: _Account, allowance: Allowance, needed: int, now: float, freed: int = 0
) -> SecondsReached | None:
    """The limit, if so many milliseconds are more than are left once `freed` are no longer reserved."""
    most, taken = 1000 * allowance.seconds, account.used + account.reserved - freed
    excess = taken + needed - most
    if not most or excess <= 0:
        return None
    free_in = None if needed > most else _free_in(account, excess, now)
    return SecondsReached(allowance.whom, allowance.seconds, max(0, most - taken) / 1000, needed / 1000, free_in)


def _free_in(account: _Account, excess: int, now: float) -> float:
    """In how many seconds so many milliseconds return; a day if unfinished jobs have them."""
    for until, returning in account.minutes:
        excess -= returning
        if excess <= 0:
            return until / 1000 - now
    return DAY


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
