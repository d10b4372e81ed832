"""Whether a server that the bot starts and stops is on, for how long it was, and when it may be started or stopped.

Pure: `ServerPower` only keeps the state and knows the rules of one server; `app.core.scheduling.power_plan` decides
with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal, TypeAlias

from msgspec import Struct, field

from app.config.settings import Power
from app.events import ServerName

DAY = 86_400.0
"""Seconds over which the hours of a server are added up: the last 24 hours at any moment."""

LEAST_BETWEEN_STARTS = 300.0
"""Seconds between two starts of a server by the bot, at least: however jobs come, it is started 12 times an hour at
most."""

LATEST_START = 300.0
"""Seconds for a server to answer after its start, at least; or `LATE` times as long as a start usually takes."""

LATE = 3

LATEST_STOP = 300.0
"""Seconds after which a server that was stopped must no longer answer. One that answers again within as many seconds
after that was not started by hand: it has not ended yet."""

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
"""Seconds after a failed start or stop before the next try; each further failure doubles them."""

REMEMBERED = 5
"""Measured starts whose median counts."""

NEVER = float("inf")

Phase: TypeAlias = Literal["unknown", "off", "starting", "on", "lost", "stopping"]
"""A lost server was on and cannot be reached any more: it was taken away, or it hangs."""

Starter: TypeAlias = Literal["bot", "operator", "hand"]
"""Who started a server: the bot for jobs, an operator by the bot's command, or somebody without the bot."""

Change: TypeAlias = Literal["started", "answered", "stopping", "stopped"]


class OnPeriod(Struct, frozen=True):
    """A time for which a server was on. The times are how many seconds ago something happened; None if it has not.

    It begins with the start command, `answered` is when the server answered for the first time. Before the last one of
    a server can end, it is `stopping`.
    """

    server: ServerName
    starter: Starter
    started: float
    answered: float | None = None
    stopping: float | None = None
    stopped: float | None = None


class PowerRecord(Struct, frozen=True):
    """A change for the journal, which keeps when it was. `starter` counts if the server was started."""

    server: ServerName
    change: Change
    starter: Starter = "bot"


class OnTimes(Struct):
    """When a server was on. Times are in seconds of the application's clock; they may be before its beginning."""

    past: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    since: float | None = None
    """When the present time began; None if the server is off."""
    answered: bool = False
    stopping: bool = False
    starter: Starter = "bot"
    last_start: float = float("-inf")
    """When the bot started it the last time."""
    starts: list[float] = field(default_factory=list[float])
    """How long the last starts took, in seconds."""

    def load(self, periods: Iterable[OnPeriod], now: float) -> None:
        """Take periods of the journal, oldest first."""
        for period in periods:
            began = now - period.started
            if period.starter != "hand":
                self.last_start = began
            if period.answered is not None and period.starter != "hand":
                self.measured(period.started - period.answered)
            if period.stopped is not None:
                self.past.append((began, now - period.stopped))
                self.since = None
            else:
                self.since, self.starter = began, period.starter
                self.answered, self.stopping = period.answered is not None, period.stopping is not None

    def measured(self, seconds: float) -> None:
        """Remember how long a start took."""
        self.starts = [*self.starts, max(0.0, seconds)][-REMEMBERED:]

    def begin(self, now: float, starter: Starter) -> None:
        """The server is on from now on."""
        self.since, self.starter, self.answered, self.stopping = now, starter, False, False
        if starter != "hand":
            self.last_start = now

    def end(self, now: float) -> None:
        """The server is off from now on."""
        if self.since is not None:
            self.past = [period for period in self.past if period[1] > now - DAY]
            self.past.append((self.since, now))
        self.since = None

    def used(self, now: float) -> float:
        """For how many seconds of the last 24 hours the server was on."""
        day = now - DAY
        present = [(self.since, now)] if self.since is not None else []
        return sum(max(0.0, end - max(begin, day)) for begin, end in [*self.past, *present])

    def reaches(self, seconds: float, now: float) -> float:
        """When the server will have been on for so many seconds of a day, if it stays on; `NEVER` if it is off."""
        if self.since is None:
            return NEVER
        # What leaves the day until then only makes this earlier than it is.
        return now + max(0.0, seconds - self.used(now))

    def falls_to(self, seconds: float, now: float) -> float:
        """When the server will have been on for at most so many seconds of a day, if it stays off."""
        excess = self.used(now) - seconds
        for begin, end in self.past:
            if excess <= 0:
                break
            visible = max(0.0, end - max(begin, now - DAY))
            if visible >= excess:
                return max(begin, now - DAY) + excess + DAY
            excess -= visible
        return now


class ServerPower(Struct):
    """The state of one server that the bot starts and stops. Times are in seconds of the application's clock."""

    settings: Power
    times: OnTimes = field(default_factory=OnTimes)
    phase: Phase = "unknown"
    running: bool = False
    """Whether a command is being run."""
    wanted: Literal["", "on", "off"] = ""
    """What an operator asked for that has not been done yet."""
    exhausted: bool = False
    """Whether it has been on for as many hours as it may: it gets no new jobs, and stops when it has none."""
    deadline: float = NEVER
    """When a start or a stop that has not worked has failed."""
    busy: bool = False
    idle_since: float = float("-inf")
    """Since when it has no job, if it is not busy."""
    off_since: float = float("-inf")
    failed_starts: int = 0
    """Failed starts in a row."""
    failed_stops: int = 0
    uncertain: bool = False
    """Whether it counts as off although no stop has worked."""
    next_start: float = float("-inf")
    next_stop: float = float("-inf")

    @property
    def takes_jobs(self) -> bool:
        """Whether it may get a new job, if it can be reached."""
        return self.phase == "on" and not self.exhausted and self.wanted != "off"

    @property
    def off(self) -> bool:
        """Whether it cannot be expected to answer: nobody need be alerted, and nobody need ask it."""
        return self.phase in {"off", "starting", "stopping"}

    @property
    def ours(self) -> bool:
        """Whether the bot may stop it when no job needs it."""
        return self.times.starter != "hand" or self.settings.stop_if_started_by_hand

    @property
    def start_up(self) -> float:
        """How many seconds a start is expected to take."""
        return median(self.times.starts) if self.times.starts else float(self.settings.start_seconds)

    @property
    def idle_seconds(self) -> float:
        """For how long it must have had no job before it is stopped."""
        return self.settings.idle_minutes * 60.0

    @property
    def ceiling(self) -> float:
        """For how many seconds of a day it may be on."""
        return ceiling_of(self.settings)

    @property
    def least(self) -> float:
        """For how many seconds it must still be allowed to be on, or a start is a waste."""
        return min(self.start_up + self.idle_seconds, self.ceiling)

    def ready_in(self, now: float) -> float:
        """In how many seconds a server that is being started is expected to answer."""
        began = self.times.since if self.times.since is not None else now
        return max(0.0, began + self.start_up - now)

    def has_hours(self, now: float) -> bool:
        """Whether it may be on for as long as one start and the wait for its stop take."""
        return self.ceiling - self.times.used(now) >= self.least

    def may_start_at(self, now: float) -> float:
        """The earliest time at which the bot may start it for jobs."""
        earliest = max(self.next_start, self.times.last_start + LEAST_BETWEEN_STARTS)
        if self.has_hours(now):
            return earliest
        return max(earliest, self.times.falls_to(self.ceiling - self.least, now))

    def use(self, now: float, *, busy: bool) -> None:
        """Record whether it has a job."""
        if busy or self.busy:
            self.idle_since = now
        self.busy = busy

    def start(self, now: float, starter: Starter) -> None:
        """A start begins."""
        self.times.end(now)
        self.times.begin(now, starter)
        self.phase, self.wanted, self.running = "starting", "", True
        self.deadline = now + max(LATEST_START, LATE * self.start_up)
        self.exhausted, self.next_stop, self.uncertain = False, now, False

    def resume_start(self, now: float) -> None:
        """A start that began before the bot did goes on."""
        self.phase = "starting"
        began = self.times.since if self.times.since is not None else now
        self.deadline = began + max(LATEST_START, LATE * self.start_up)

    def answered(self, now: float) -> None:
        """It answers, and may get jobs."""
        if self.phase == "starting" and self.times.since is not None:
            self.times.measured(now - self.times.since)
        self.times.answered, self.times.stopping = True, False
        self.phase, self.deadline, self.idle_since, self.failed_starts = "on", NEVER, now, 0

    def start_failed(self, now: float) -> None:
        """A start has failed: the next one follows after a pause that grows."""
        self.next_start = now + pause_after(self.failed_starts)
        self.failed_starts += 1

    def stop(self, now: float) -> None:
        """A stop begins."""
        self.phase, self.running, self.deadline = "stopping", True, NEVER
        self.times.stopping = True

    def stop_accepted(self, now: float) -> None:
        """The stop command has ended: the server must be gone within some time."""
        self.deadline = now + LATEST_STOP

    def stop_failed(self, now: float) -> None:
        """A stop has failed: the next one follows after a pause that grows."""
        self.next_stop = now + pause_after(self.failed_stops)
        self.failed_stops += 1

    def stopped(self, now: float) -> None:
        """It is off."""
        self.times.end(now)
        self.phase, self.deadline, self.off_since, self.failed_stops = "off", NEVER, now, 0
        self.exhausted, self.busy, self.uncertain = False, False, False
        if self.wanted == "off":
            self.wanted = ""


def ceiling_of(settings: Power) -> float:
    """For how many seconds of a day a server may be on."""
    return settings.most_hours_per_day * 3600.0 or NEVER


def may_be_started(settings: Power, view: PowerView) -> bool:
    """Whether a server that is off has been on for so short a time that it may be started."""
    most = ceiling_of(settings)
    return most - view.used >= min(settings.start_seconds + settings.idle_minutes * 60.0, most)


def pause_after(failures: int) -> float:
    """How long the next try waits after one that failed, and so many before it in a row."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10))


class PowerView(Struct, frozen=True):
    """What people may read of a server that the bot starts and stops: its state, and its hours of the last day."""

    state: Literal["off", "starting", "on", "stopping"]
    used: float
    """Seconds."""
    starter: Starter | None
    """Who started it; None if it is off."""


def view_of(server: ServerName, periods: Iterable[OnPeriod]) -> PowerView:
    """What the journal says about a server; `periods` are those of all servers, oldest first."""
    times = OnTimes()
    times.load([period for period in periods if period.server == server], 0.0)
    used = times.used(0.0)
    if times.since is None:
        return PowerView("off", used, None)
    state = "stopping" if times.stopping else "on" if times.answered else "starting"
    return PowerView(state, used, times.starter)


def left_on(periods: Sequence[OnPeriod]) -> list[ServerName]:
    """The servers that were started by the bot's command, and not stopped since."""
    views = {server: view_of(server, periods) for server in dict.fromkeys(period.server for period in periods)}
    return [name for name, view in views.items() if view.starter != "hand" and view.state in ("starting", "on")]
