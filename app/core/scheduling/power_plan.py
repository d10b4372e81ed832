"""Decides when servers are started because jobs need them, and stopped because none does.

A server is started when a waiting job would start sooner there than on the servers that are on, or when no other one
can run it. It is stopped when it has had no job for some time. What is known about one server is in
`app.core.servers.power`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from app.core.alerts import Cause, Cleared, Raised
from app.core.effects import CommandEnded, Expected, ExpectServer, RunCommand
from app.core.jobs.job import Attempt, Job
from app.core.jobs.table import JobTable
from app.core.scheduling.line.line import Line
from app.core.servers.power import (
    FIRST_PAUSE,
    LATEST_STOP,
    NEVER,
    OnPeriod,
    OnTimes,
    PowerRecord,
    ServerPower,
    Starter,
)
from app.core.servers.state import FAILOVER_RUNNING, ServerState
from app.events import ServerName
from app.reasons.alerts import ServerNotStarted, ServerNotStopped
from app.reasons.power import CommandTooLong, NotAnswering, PowerReason, StillAnswering

MOST_STOPS = 5
"""Failed stops in a row of a server that does not answer, within half an hour; then it counts as off."""

WORTH = 30.0
"""Seconds by which a job must start sooner for a server to be started, if another one could run it."""

CHECK = 15.0
"""Seconds after which is looked again whether waiting jobs need a server, if nothing else happens."""

PER_WAITING_JOB = 0.002
"""Seconds between two such looks, for each waiting job: one takes about a hundredth of that."""

_Servers: TypeAlias = list[tuple[ServerName, ServerPower]]


class PowerPlan:
    """Starts and stops those of the servers that have a `ServerPower`; `servers` are the reconciler's.

    `observe` is called after each batch of messages, and `decide` after the scheduler has assigned jobs.
    """

    def __init__(self, job_table: JobTable, servers: Mapping[ServerName, ServerState], line: Line) -> None:
        self._job_table = job_table
        self._servers = servers
        self._line = line
        self._times: dict[ServerName, OnTimes] = {}
        """When each server was on, also of those that are not configured any more."""
        self._expected: dict[ServerName, Expected] = {}
        """What the connection of each server was told to expect."""
        self._turn = -1
        self._looked_at = -NEVER
        """When it was looked last whether waiting jobs need a server."""
        self.records: list[PowerRecord] = []
        """Changes for the journal."""

    def take_records(self) -> list[PowerRecord]:
        """Return the changes since the last call."""
        records, self.records = self.records, []
        return records

    def load(self, periods: Iterable[OnPeriod], now: float) -> None:
        """Take what the journal says about the last day, oldest first."""
        for period in periods:
            self._times.setdefault(period.server, OnTimes()).load([period], now)

    def request(self, server: ServerName, *, on: bool) -> None:
        """Start a server as soon as possible, or stop it as soon as it has no job, because an operator wants that."""
        state = self._servers.get(server)
        if state is not None and state.power is not None:
            state.power.wanted = "on" if on else "off"
            self._job_table.touch_server(server)

    def ended(self, message: CommandEnded, now: float) -> None:
        """Handle the end of a command."""
        name, problem = message.effect.server, message.problem
        state = self._servers.get(name)
        if state is None or (power := state.power) is None or not power.running:
            return
        power.running = False
        self._job_table.touch_server(name)
        if message.effect.action == "start":
            if problem is not None:
                self._start_failed(name, power, problem, now)
                if isinstance(problem, CommandTooLong):
                    # It may have done its work.
                    self._stop(name, power, now)
                else:
                    self._stopped(name, power, now)
        elif message.busy:
            power.next_stop = now + FIRST_PAUSE
            self._answered(name, power, now)
        elif problem is None:
            power.stop_accepted(now)
        else:
            self._stop_failed(name, power, problem, now)
            if state.reachable:
                self._answered(name, power, now)
            elif power.failed_stops < MOST_STOPS:
                power.phase = "lost"
            else:
                # Most likely it is off, and a command that needs it to be on cannot work.
                self._stopped(name, power, now)
                power.uncertain = True

    def observe(self, now: float) -> None:
        """Learn from what is known about each server whether it is on."""
        for name, state, power in self._powered():
            power.times = self._times.setdefault(name, power.times)
            power.use(now, busy=self._has_jobs(name))
            if state.remaining:
                # Other clients' prompts count as well.
                power.idle_since = max(power.idle_since, state.status_at)
            before = power.phase
            self._observe(name, state, power, now)
            if power.phase != before:
                self._job_table.touch_server(name)
            self._expect(name, power)
        for name in [
            name for name in self._expected if (state := self._servers.get(name)) is None or state.power is None
        ]:
            # It is not started and stopped by the bot any more, or it may come back with another connection.
            if self._expected.pop(name) != "on" and name in self._servers:
                self._job_table.effects.append(ExpectServer(name, "on"))

    def _observe(self, name: ServerName, state: ServerState, power: ServerPower, now: float) -> None:
        match power.phase:
            case "unknown" if state.reachable:
                if power.times.since is None:
                    self._begin(name, power, "hand", now)
                self._answered(name, power, now)
            case "unknown" if state.reason is not None:
                self._resume(name, power, now)
            case "off" if state.reachable:
                # A failed start may work late, and a server that was stopped may answer once more.
                is_ours = power.failed_starts or power.uncertain or now < power.off_since + LATEST_STOP
                self._begin(name, power, power.times.starter if is_ours else "hand", now)
                self._answered(name, power, now)
            case "starting" if state.reachable:
                self._answered(name, power, now)
                self._job_table.alerts.append(Cleared(Cause("starts", name)))
            case "starting" if now >= power.deadline and not power.running:
                self._start_failed(name, power, NotAnswering(now - power.times.last_start), now)
                self._move_jobs(name)
                self._stop(name, power, now)
            case "on" if not state.reachable and now >= state.away_since + state.failover_after:
                power.phase = "lost"
            case "lost" if state.reachable:
                self._answered(name, power, now)
            case "stopping" if not power.running and not state.reachable:
                self._job_table.alerts.append(Cleared(Cause("stops", name)))
                self._release(name)
                self._stopped(name, power, now)
            case "stopping" if now >= power.deadline and not power.running:
                self._stop_failed(name, power, StillAnswering(LATEST_STOP), now)
                self._answered(name, power, now)
            case _:
                pass

    def _resume(self, name: ServerName, power: ServerPower, now: float) -> None:
        """Go on from what the journal says about a server that does not answer when the bot starts."""
        if power.times.since is None:
            power.phase = "off"
        elif power.times.stopping:
            self._stopped(name, power, now)
        elif power.times.answered:
            power.phase = "on"
        else:
            power.resume_start(now)

    def decide(self, now: float) -> bool:
        """Start and stop what is to be started or stopped now; return whether that changes what waiting jobs wait for.

        Called with the jobs assigned: what still waits, no server could take at once.
        """
        changed = False
        startable: _Servers = []
        for name, state, power in self._powered():
            match power.phase:
                case "on":
                    changed |= self._decide_stop(name, state, power, now)
                case "off" | "lost":
                    power.wanted = "" if power.wanted == "off" else power.wanted
                    if power.wanted == "on":
                        changed |= self._start(name, power, "operator", now)
                    elif self._may_start(state, power, now):
                        startable.append((name, power))
                    elif now >= state.away_since + FAILOVER_RUNNING * state.failover_after:
                        self._move_jobs(name)
                case _:
                    pass
        for name, power in self._needed(startable, now):
            changed |= self._start(name, power, "bot", now)
        for name, _, power in self._powered():
            if power.phase == "lost" and not self._jobs_at(name):
                changed |= self._end_lost(name, power, now)
        for name, _, power in self._powered():
            self._expect(name, power)
        return changed

    def _end_lost(self, name: ServerName, power: ServerPower, now: float) -> bool:
        """Stop a server that cannot be reached and that no job needs, to be sure that nobody pays for it."""
        if not power.ours:
            self._stopped(name, power, now)
        elif now >= power.next_stop:
            self._stop(name, power, now)
            return True
        return False

    def _decide_stop(self, name: ServerName, state: ServerState, power: ServerPower, now: float) -> bool:
        """Stop a server that is on, if it may be; return whether it takes jobs no more."""
        power.wanted = "" if power.wanted == "on" else power.wanted
        was_exhausted = power.exhausted
        power.exhausted |= power.ours and power.times.used(now) >= power.ceiling
        if self._may_stop(name, state, power, now):
            self._stop(name, power, now)
            return True
        if power.exhausted != was_exhausted:
            self._job_table.touch_server(name)
        return power.exhausted != was_exhausted

    def _may_stop(self, name: ServerName, state: ServerState, power: ServerPower, now: float) -> bool:
        if not state.reachable or self._has_jobs(name) or now < power.next_stop:
            return False
        if power.wanted == "off" or power.exhausted:
            return True
        if not power.ours or now < power.idle_since + power.idle_seconds:
            return False
        return state.drained or state.leaving or not self._line.wants(name)

    def _may_start(self, state: ServerState, power: ServerPower, now: float) -> bool:
        return (
            self._line.open
            and self._line.has_room
            and not state.drained
            and not state.leaving
            and now >= power.may_start_at(now)
            and power.has_hours(now)
        )

    def _needed(self, startable: _Servers, now: float) -> _Servers:
        """Those of the servers that are off, and may be started, that jobs need."""
        if not startable or not (self._line.waiting or any(self._jobs_at(name) for name, _ in startable)):
            return []
        needed = [(name, power) for name, power in startable if self._jobs_at(name)]
        rest = [each for each in startable if each not in needed]
        is_new = self._line.turn != self._turn and now >= self._looked_at + self._spacing
        if not needed and not is_new and now < self._looked_at + CHECK:
            return []
        self._turn, self._looked_at = self._line.turn, now
        useful = self._line.useful({name: power.start_up + WORTH for name, power in rest}, now)
        return needed + [(name, power) for name, power in rest if name in useful]

    @property
    def _spacing(self) -> float:
        return min(CHECK, PER_WAITING_JOB * self._line.waiting)

    def _start(self, name: ServerName, power: ServerPower, starter: Starter, now: float) -> bool:
        """Start a server; return whether that was done. The ceiling counts for operators as well."""
        power.wanted = ""
        if not power.has_hours(now):
            return False
        power.start(now, starter)
        self._job_table.touch_server(name)
        self.records.append(PowerRecord(name, "started", starter))
        self._job_table.effects.append(RunCommand(name, "start", power.settings.start_command))
        return True

    def _stop(self, name: ServerName, power: ServerPower, now: float) -> None:
        power.stop(now)
        self.records.append(PowerRecord(name, "stopping"))
        self._job_table.effects.append(RunCommand(name, "stop", power.settings.stop_command))
        self._job_table.touch_server(name)

    def _begin(self, name: ServerName, power: ServerPower, starter: Starter, now: float) -> None:
        power.times.begin(now, starter)
        self.records.append(PowerRecord(name, "started", starter))

    def _answered(self, name: ServerName, power: ServerPower, now: float) -> None:
        power.answered(now)
        self.records.append(PowerRecord(name, "answered"))

    def _stopped(self, name: ServerName, power: ServerPower, now: float) -> None:
        power.stopped(now)
        self.records.append(PowerRecord(name, "stopped"))
        self._job_table.touch_server(name)

    def _start_failed(self, name: ServerName, power: ServerPower, why: PowerReason, now: float) -> None:
        power.start_failed(now)
        self._job_table.alerts.append(Raised(Cause("starts", name), ServerNotStarted(name, why)))

    def _stop_failed(self, name: ServerName, power: ServerPower, why: PowerReason, now: float) -> None:
        power.stop_failed(now)
        self._job_table.alerts.append(Raised(Cause("stops", name), ServerNotStopped(name, why)))

    def _move_jobs(self, name: ServerName) -> None:
        """Let the jobs of a server that is gone wait for any server."""
        for job, attempt in self._jobs_at(name):
            if attempt.posting or job.cancelling:
                continue
            with self._job_table.contain(job, "a job could not be moved from a server that is off"):
                self._job_table.move_on(job, f"{name} is off")

    def _release(self, name: ServerName) -> None:
        """Forget the prompts that were given up: a server that was stopped has none any more."""
        for job, attempt in list(self._job_table.prompts.left_at(name)):
            if not attempt.posting:
                with self._job_table.contain(job, "a prompt on a server that is off could not be forgotten"):
                    self._job_table.released(job, attempt)

    def _expect(self, name: ServerName, power: ServerPower) -> None:
        """Tell the connection of a server what to expect, if that has changed."""
        expected: Expected = "starting" if power.phase == "starting" else "off" if power.off else "on"
        if self._expected.get(name, "on") != expected:
            self._expected[name] = expected
            self._job_table.effects.append(ExpectServer(name, expected))

    def due(self, now: float) -> float:
        """The time at which time alone requires a decision; `NEVER` if none does. It is later than `now`."""
        due = min((self._due(name, state, power, now) for name, state, power in self._powered()), default=NEVER)
        return due if due > now else now + CHECK

    def _due(self, name: ServerName, state: ServerState, power: ServerPower, now: float) -> float:
        match power.phase:
            case "starting" | "stopping":
                return power.deadline if not power.running else NEVER
            case "on":
                times = [state.away_since + state.failover_after]
                if not power.exhausted and power.ours:
                    times.append(power.times.reaches(power.ceiling, now))
                if not power.busy and (power.ours or power.wanted):
                    times.append(max(power.next_stop, power.idle_since + power.idle_seconds))
                return min(time if time > now else now + CHECK for time in times)
            case "off" | "lost":
                return min(self._due_start(name, state, power, now), self._due_move(name, state, now))
            case _:
                return NEVER

    def _due_start(self, name: ServerName, state: ServerState, power: ServerPower, now: float) -> float:
        has_jobs = bool(self._jobs_at(name))
        stop = max(power.next_stop, now + CHECK) if power.phase == "lost" and not has_jobs else NEVER
        if state.drained or not (has_jobs or self._line.waiting):
            return stop
        return min(stop, max(power.may_start_at(now), self._looked_at + max(self._spacing, 0.05)))

    def _due_move(self, name: ServerName, state: ServerState, now: float) -> float:
        due = state.away_since + FAILOVER_RUNNING * state.failover_after
        return max(due, now + CHECK) if self._jobs_at(name) else NEVER

    def _powered(self) -> Iterator[tuple[ServerName, ServerState, ServerPower]]:
        for name, state in self._servers.items():
            if state.power is not None:
                yield name, state, state.power

    def _jobs_at(self, name: ServerName) -> list[tuple[Job, Attempt]]:
        """The jobs that wait for a server, because it has them or their results."""
        return [*self._job_table.prompts.in_flight(name), *self._job_table.prompts.fetching(name)]

    def _has_jobs(self, name: ServerName) -> bool:
        """Whether a server has a prompt of ours, also one that was given up, or results that are still downloaded."""
        prompts = self._job_table.prompts
        return any(True for _ in prompts.occupying(name)) or any(True for _ in prompts.fetching(name))
