"""Which alerts an operator gets: one for each cause and one for its end, however often it comes and goes. Pure.

Facts go into the `AlertTable`, alerts come out. Times are in seconds of the application's clock; those named `at` are
in seconds since 1970 and are only displayed.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

from app.reasons.alerts import AlertReason

QUIET = 600.0
"""Seconds after an alert in which its cause is only counted; then one summary follows."""

GATHERING = 10.0
"""Seconds in which what happens several times at once is gathered into one alert."""

MOST_CAUSES = 100
"""Causes that are remembered. There are few for each server, so more are a mistake."""

NEVER = float("inf")


class Cause(Struct, frozen=True):
    """What an alert is about, `server` if it is about one: what has the same cause is one alert."""

    kind: Literal["server", "servers", "failures", "journal", "disk", "results", "backup", "starts", "stops"]
    server: str = ""


class Raised(Struct, frozen=True):
    """Something is wrong, and lasts until it is cleared. It counts once it has lasted for `after` seconds."""

    cause: Cause
    reason: AlertReason
    after: float = 0.0


class Cleared(Struct, frozen=True):
    """What was wrong is over. `silently` if nobody need be told, because it does not matter any more."""

    cause: Cause
    silently: bool = False


class Happened(Struct, frozen=True):
    """Something that has no end went wrong, `times` times."""

    cause: Cause
    reason: AlertReason
    times: int = 1


Fact: TypeAlias = Raised | Cleared | Happened


class Began(Struct, frozen=True):
    """Something is wrong, or went wrong `times` times."""

    reason: AlertReason
    times: int = 1


class Ended(Struct, frozen=True):
    """What was wrong is over after `seconds`."""

    reason: AlertReason
    seconds: float


class Repeated(Struct, frozen=True):
    """Something went wrong `times` times more, first `at`; `lasts` if it is wrong now."""

    reason: AlertReason
    times: int
    at: float
    lasts: bool


class Withheld(Struct, frozen=True):
    """This many alerts were written only to the log, because there were too many."""

    count: int


Alert: TypeAlias = Began | Ended | Repeated | Withheld


class _Entry(Struct):
    """What is known of one cause."""

    reason: AlertReason
    since: float | None = None
    """Since when it is wrong; None if it is not."""
    counts_at: float = NEVER
    """When it will have lasted long enough to count."""
    announced: bool = False
    """Whether the operator knows that it is wrong now, and must be told of the end."""
    times: int = 0
    """How often it happened that the operator does not know of."""
    at: float = 0.0
    """When the first of them was, in seconds since 1970."""
    repeats: bool = False
    """Whether they began within the quiet time after an alert."""
    due: float = NEVER
    """When the operator is told of them."""
    quiet_until: float = float("-inf")


class AlertTable:
    """Owns all causes that were raised lately, in the order in which they were."""

    def __init__(self) -> None:
        self._entries: dict[Cause, _Entry] = {}

    def handle(self, fact: Fact, now: float, at: float) -> list[Alert]:
        """Take a fact, and return the alerts that are due now."""
        alerts = self.advance(now, at)
        match fact:
            case Raised(cause=cause, reason=reason, after=after):
                entry = self._entry(cause, reason)
                if entry.since is None:
                    entry.since, entry.counts_at = now, now + after
            case Cleared(cause=cause, silently=silently):
                entry = self._entries.get(cause)
                if entry is not None and entry.since is not None:
                    if entry.announced and not silently:
                        alerts.append(Ended(entry.reason, now - entry.since))
                    entry.since, entry.counts_at, entry.announced = None, NEVER, False
            case Happened(cause=cause, reason=reason, times=times):
                _count(self._entry(cause, reason), times, now, at, GATHERING)
            case _:
                assert_never(fact)
        return alerts + self.advance(now, at)

    def advance(self, now: float, at: float) -> list[Alert]:
        """Return the alerts that are due now."""
        alerts: list[Alert] = []
        for cause, entry in list(self._entries.items()):
            if now >= entry.counts_at:
                entry.counts_at = NEVER
                _count(entry, 1, now, at)
            if now >= entry.due:
                alerts.append(_announce(entry, now))
            elif entry.since is None and not entry.times and now >= entry.quiet_until:
                del self._entries[cause]
        return alerts

    @property
    def due(self) -> float:
        """When `advance` has something to return even if no fact arrives; `inf` if never."""
        return min((min(entry.counts_at, entry.due) for entry in self._entries.values()), default=NEVER)

    def _entry(self, cause: Cause, reason: AlertReason) -> _Entry:
        entry = self._entries.get(cause)
        if entry is None:
            if len(self._entries) >= MOST_CAUSES:
                over = (known for known, entry in self._entries.items() if entry.since is None)
                del self._entries[next(over, next(iter(self._entries)))]
            entry = self._entries[cause] = _Entry(reason)
        entry.reason = reason
        return entry


def _count(entry: _Entry, times: int, now: float, at: float, gathering: float = 0.0) -> None:
    if not entry.times:
        entry.at, entry.repeats = at, now < entry.quiet_until
        entry.due = max(now + gathering, entry.quiet_until)
    entry.times += times


def _announce(entry: _Entry, now: float) -> Alert:
    lasts, times = entry.since is not None, entry.times
    entry.times, entry.due = 0, NEVER
    entry.quiet_until, entry.announced = now + QUIET, lasts
    if entry.repeats and not (lasts and times == 1):
        return Repeated(entry.reason, times, entry.at, lasts)
    return Began(entry.reason, times)
