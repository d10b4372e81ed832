"""When servers are started because jobs need them, and stopped because none does."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from app.config.settings import Power
from app.core.alerts import Cause, Cleared, Raised
from app.core.effects import CommandEnded, ExpectServer, RunCommand, SubmitPrompt
from app.core.jobs.job import Job, JobRequest
from app.core.jobs.table import JobTable
from app.core.scheduling.power_plan import MOST_STOPS, WORTH, PowerPlan
from app.core.scheduling.scheduler import Scheduler
from app.core.servers.able_servers import AbleServers
from app.core.servers.power import (
    DAY,
    LATEST_START,
    LATEST_STOP,
    LEAST_BETWEEN_STARTS,
    OnPeriod,
    Phase,
    Starter,
    left_on,
)
from app.core.servers.state import FAILOVER_AFTER, FAILOVER_RUNNING, ServerSettings, ServerState
from app.events import Failed, JobId, PromptId, Queued, ServerName
from app.ports import Graph
from app.reasons.alerts import ServerNotStarted, ServerNotStopped
from app.reasons.jobs import HoursUsedUp, NothingProduced, ServersDrained, ServersOff, ServersOffline, ServersStarting
from app.reasons.power import CommandFailed, CommandTooLong, NotAnswering, StillAnswering
from app.reasons.servers import HungUp

HOME, CLOUD, OTHER = ServerName("home"), ServerName("cloud"), ServerName("other")

START = 100.0
"""Seconds of a start in these tests."""

IDLE = 600.0


def power(**changes: object) -> Power:
    known: dict[str, object] = {"start_command": ("on",), "stop_command": ("off",), "start_seconds": int(START)}
    return Power(**(known | changes))  # pyright: ignore[reportArgumentType]


def graph(steps: int) -> Graph:
    return {"3": {"class_type": "KSampler", "inputs": {"steps": steps}}}


class Garage:
    """A plan for servers with and without commands, and a clock that is turned by hand.

    `works` says whether a server answers after its command; what the machine is, is in `up`.
    """

    def __init__(self, servers: dict[ServerName, Power | None], journal: tuple[OnPeriod, ...] = ()) -> None:
        self.job_table = JobTable()
        self.servers = {name: ServerState(name) for name in servers}
        for name, each in servers.items():
            self.servers[name].configure(ServerSettings(power=each))
        self.now: float = 1000.0
        self._prompts = 0
        self.scheduler = Scheduler(self.job_table, self.servers, AbleServers(self.servers), 1, self._new_prompt_id)
        self.plan = PowerPlan(self.job_table, self.servers, self.scheduler.line)
        self.plan.load(journal, self.now)
        self.commands: list[tuple[float, ServerName, str]] = []
        self.expected: dict[ServerName, str] = {}
        for name, each in servers.items():
            if each is None:
                self.servers[name].back()
            else:
                self.servers[name].reason = HungUp()
                self.servers[name].unreachable(HungUp(), self.now)
        self.turn()

    def _new_prompt_id(self) -> PromptId:
        self._prompts += 1
        return PromptId(f"p{self._prompts}")

    def turn(self) -> list[Queued]:
        """What the registry does in a turn; returns what waiting people are told."""
        self.plan.observe(self.now)
        self.scheduler.plan(self.now)
        if self.plan.decide(self.now):
            self.scheduler.plan(self.now)
        effects, self.job_table.effects = self.job_table.effects, []
        for effect in effects:
            match effect:
                case RunCommand(server=server, action=action):
                    self.commands.append((self.now, server, action))
                case ExpectServer(server=server, expected=expected):
                    self.expected[server] = expected
                case SubmitPrompt(job=job):
                    attempt = self.job_table.jobs[job].attempt
                    assert attempt is not None
                    self.job_table.answered(attempt)
                case _:
                    pass
        told = [update for update in self.job_table.updates if isinstance(update, Queued)]
        self.job_table.updates.clear()
        return told

    def wait(self, seconds: float) -> None:
        """Let time pass, with a turn whenever the plan asks for one."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.plan.due(self.now))
            self.turn()

    def ask(self, name: str, *, steps: int = 10, servers: tuple[ServerName, ...] = ()) -> None:
        request = JobRequest(
            job=JobId(name), workflow="picture", graph=graph(steps), folder="out", owner="ada", servers=servers
        )
        self.now += 0.125
        self.job_table.accept(request)
        self.turn()
        self.scheduler.line.snapshot(self.job(name), self.now)

    def told(self, name: str) -> Queued:
        (update,) = [
            update for update in self.scheduler.line.snapshot(self.job(name), self.now) if isinstance(update, Queued)
        ]
        return update

    def job(self, name: str) -> Job:
        return self.job_table.jobs[JobId(name)]

    def finish(self, name: str) -> None:
        self.job_table.settle(self.job(name), Failed(job=JobId(name), reason=NothingProduced()))
        self.job_table.delivered(self.job(name))
        self.turn()

    def end(self, server: ServerName, action: Literal["start", "stop"], **result: object) -> None:
        """The command ends."""
        self.plan.ended(CommandEnded(RunCommand(server, action, ()), **result), self.now)  # pyright: ignore[reportArgumentType]
        self.turn()

    def answers(self, server: ServerName) -> None:
        self.servers[server].back()
        self.job_table.touch_server(server)
        self.turn()

    def vanishes(self, server: ServerName) -> None:
        self.servers[server].unreachable(HungUp(), self.now)
        self.job_table.touch_server(server)
        self.turn()

    def switch_on(self, server: ServerName = CLOUD) -> None:
        """The start command ends, and the server answers."""
        self.end(server, "start")
        self.wait(START)
        self.answers(server)

    def switch_off(self, server: ServerName = CLOUD) -> None:
        self.end(server, "stop")
        self.wait(10)
        self.vanishes(server)

    def phase(self, server: ServerName = CLOUD) -> Phase:
        state = self.servers[server].power
        assert state is not None
        return state.phase

    def used(self, server: ServerName = CLOUD) -> float:
        state = self.servers[server].power
        assert state is not None
        return state.times.used(self.now)

    def actions(self) -> list[str]:
        return [action for _, _, action in self.commands]


def cloud_alone(**changes: object) -> Garage:
    return Garage({CLOUD: power(**changes)})


def test_a_server_is_off_until_a_job_needs_it_and_the_job_is_told_when_it_starts() -> None:
    garage = cloud_alone()
    garage.wait(3600)
    assert (garage.phase(), garage.commands) == ("off", [])
    garage.ask("a")
    assert (garage.phase(), garage.actions()) == ("starting", ["start"])
    assert garage.told("a").note == ServersStarting((CLOUD,))
    assert garage.told("a").starts_in == START
    garage.end(CLOUD, "start")
    garage.wait(40)
    garage.answers(CLOUD)
    assert garage.phase() == "on"
    assert [job.id for job, _ in garage.job_table.prompts.in_flight(CLOUD)] == ["a"]


def test_a_server_is_stopped_after_it_had_no_job_for_the_idle_time() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.wait(3 * IDLE)
    assert garage.phase() == "on", "it has a job"
    garage.finish("a")
    garage.wait(IDLE - 1)
    assert garage.phase() == "on"
    garage.wait(1)
    assert (garage.phase(), garage.actions()) == ("stopping", ["start", "stop"])
    garage.ask("b")
    assert not list(garage.job_table.prompts.in_flight(CLOUD)), "it takes no job any more"
    garage.switch_off()
    garage.wait(0.1)
    assert garage.actions() == ["start", "stop", "start"]
    assert garage.told("b").note == ServersStarting((CLOUD,))


def test_how_long_a_start_takes_is_learned() -> None:
    garage = cloud_alone(start_seconds=30)
    garage.ask("a")
    garage.switch_on()
    garage.finish("a")
    garage.wait(IDLE)
    garage.switch_off()
    garage.wait(IDLE)
    garage.ask("b")
    assert garage.told("b").starts_in == START


def test_a_server_is_started_beside_another_one_only_if_jobs_start_sooner_there() -> None:
    garage = Garage({HOME: None, CLOUD: power()})
    garage.ask("a", steps=10)
    garage.ask("b", steps=10)
    assert garage.commands == [], "home is free again in 10 s"
    waiting = int((START + WORTH) / 10) + 2
    for number in range(waiting):
        garage.ask(f"c{number}")
    garage.wait(10)
    assert garage.actions() == ["start"]


def test_a_job_that_only_a_server_can_run_that_is_off_starts_it_whatever_waits_elsewhere() -> None:
    garage = Garage({HOME: None, CLOUD: power()})
    garage.ask("a", servers=(HOME,))
    garage.ask("b", servers=(HOME,))
    garage.ask("c", servers=(CLOUD,))
    garage.wait(1)
    assert garage.actions() == ["start"]


def test_of_two_servers_only_one_is_started_for_one_job_and_the_one_that_starts_sooner() -> None:
    garage = Garage({CLOUD: power(), OTHER: power(start_seconds=20)})
    garage.ask("a")
    garage.wait(60)
    assert [(server, action) for _, server, action in garage.commands] == [(OTHER, "start")]


def test_results_that_are_not_downloaded_delay_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    attempt = garage.job("a").attempt
    assert attempt is not None
    fetching = [(garage.job("a"), attempt)]
    garage.finish("a")
    monkeypatch.setattr(garage.job_table.prompts, "fetching", lambda server: iter(fetching))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    garage.wait(2 * IDLE)
    assert garage.phase() == "on"
    fetching.clear()
    garage.turn()
    garage.wait(IDLE)
    assert garage.phase() == "stopping"


def test_prompts_of_other_clients_delay_the_stop() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.finish("a")
    garage.wait(IDLE - 10)
    garage.servers[CLOUD].status(garage.now, 1)
    garage.turn()
    garage.wait(IDLE - 1)
    assert garage.phase() == "on"
    garage.wait(1)
    assert garage.phase() == "stopping"
    garage.end(CLOUD, "stop", busy=True)
    assert garage.phase() == "on", "it has a prompt of which nothing was heard"
    garage.wait(IDLE)
    assert garage.phase() == "stopping"


def test_a_server_that_somebody_started_is_not_stopped_unless_that_is_configured() -> None:
    for stops in (False, True):
        garage = cloud_alone(stop_if_started_by_hand=stops)
        garage.answers(CLOUD)
        assert garage.phase() == "on"
        garage.wait(2 * IDLE)
        assert (garage.phase() == "on") is not stops
        assert garage.used() > IDLE


def test_a_drained_server_is_not_started_and_may_stop() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.servers[CLOUD].drained = True
    garage.ask("b")
    garage.finish("a")
    garage.wait(IDLE)
    assert garage.phase() == "stopping"
    garage.switch_off()
    garage.wait(IDLE)
    assert (garage.phase(), garage.actions()) == ("off", ["start", "stop"])
    assert garage.told("b").note == ServersDrained((CLOUD,))


def test_a_server_is_on_for_no_more_hours_of_a_day_than_it_may_and_jobs_are_told() -> None:
    garage = cloud_alone(most_hours_per_day=1)
    garage.ask("a")
    garage.switch_on()
    garage.wait(3600 - START)
    garage.ask("b")
    assert garage.told("b").note == HoursUsedUp((CLOUD,))
    garage.finish("a")
    assert garage.phase() == "stopping", "it waits for no idle time"
    garage.switch_off()
    assert (garage.told("b").note, garage.told("b").starts_in) == (HoursUsedUp((CLOUD,)), None)
    began = garage.commands[0][0]
    garage.wait(began + DAY - garage.now)
    assert garage.actions() == ["start", "stop"]
    garage.wait(START + IDLE + 60)
    assert garage.actions() == ["start", "stop", "start"], "enough of yesterday is over for a start"


def test_a_start_that_fails_is_tried_again_after_pauses_that_grow_and_alerts_the_operator() -> None:
    garage = cloud_alone()
    garage.ask("a")
    failed = CommandFailed("on", 1, "no such machine")
    for _ in range(9):
        garage.end(CLOUD, "start", problem=failed)
        assert garage.told("a").note == ServersOff((CLOUD,))
        while garage.phase() == "off":
            garage.wait(1)
    starts = [at for at, _, action in garage.commands if action == "start"]
    pauses = [after - before for before, after in pairwise(starts)]
    assert pauses == sorted(pauses)
    assert pauses[0] == LEAST_BETWEEN_STARTS
    assert 3600 <= pauses[-1] < 3700
    assert Raised(Cause("starts", CLOUD), ServerNotStarted(CLOUD, failed)) in garage.job_table.alerts
    garage.switch_on()
    assert garage.job_table.alerts[-1] == Cleared(Cause("starts", CLOUD))


def test_a_server_that_does_not_answer_after_its_start_is_stopped_so_that_nobody_pays_for_it() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.end(CLOUD, "start")
    garage.wait(LATEST_START)
    assert garage.actions() == ["start", "stop"]
    alert = Raised(Cause("starts", CLOUD), ServerNotStarted(CLOUD, NotAnswering(LATEST_START)))
    assert alert in garage.job_table.alerts
    garage.end(CLOUD, "stop")
    assert garage.phase() == "off"


def test_a_start_command_that_hangs_is_followed_by_a_stop() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.end(CLOUD, "start", problem=CommandTooLong("on", 300.0))
    assert garage.actions() == ["start", "stop"]


def test_a_server_that_was_started_too_late_counts_as_started_by_the_bot() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.end(CLOUD, "start", problem=CommandFailed("on", 1))
    garage.finish("a")
    garage.answers(CLOUD)
    garage.wait(IDLE)
    assert garage.phase() == "stopping"


def test_a_stop_that_fails_is_tried_again_and_the_server_takes_jobs_meanwhile() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.finish("a")
    garage.wait(IDLE)
    failed = CommandFailed("off", 2)
    garage.end(CLOUD, "stop", problem=failed)
    assert garage.phase() == "on"
    assert Raised(Cause("stops", CLOUD), ServerNotStopped(CLOUD, failed)) in garage.job_table.alerts
    garage.ask("b")
    assert list(garage.job_table.prompts.in_flight(CLOUD))
    garage.finish("b")
    garage.wait(IDLE)
    assert garage.actions() == ["start", "stop", "stop"]
    garage.end(CLOUD, "stop")
    garage.wait(LATEST_STOP)
    alert = Raised(Cause("stops", CLOUD), ServerNotStopped(CLOUD, StillAnswering(LATEST_STOP)))
    assert alert in garage.job_table.alerts
    garage.wait(IDLE)
    garage.switch_off()
    assert garage.phase() == "off"
    assert garage.job_table.alerts[-1] == Cleared(Cause("stops", CLOUD))


def test_a_machine_that_is_taken_away_is_started_again_for_its_jobs() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.wait(IDLE)
    garage.vanishes(CLOUD)
    assert garage.told("a").note == ServersOffline((CLOUD,))
    garage.wait(FAILOVER_AFTER)
    assert garage.actions() == ["start", "start"]
    assert garage.told("a").note == ServersStarting((CLOUD,))


def test_a_machine_that_is_taken_away_without_jobs_is_stopped_to_be_sure() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.finish("a")
    garage.vanishes(CLOUD)
    garage.wait(FAILOVER_AFTER)
    assert garage.actions() == ["start", "stop"]
    garage.end(CLOUD, "stop")
    assert garage.phase() == "off"


def test_a_machine_that_somebody_switched_off_and_whose_stop_needs_it_to_be_on_is_started_again() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.finish("a")
    garage.wait(IDLE / 2)
    garage.vanishes(CLOUD)
    garage.wait(FAILOVER_AFTER)
    garage.end(CLOUD, "stop", problem=CommandFailed("ssh", 255))
    assert garage.phase() == "lost"
    garage.ask("b")
    assert garage.actions() == ["start", "stop", "start"]


def test_a_machine_that_cannot_be_reached_counts_as_off_after_some_stops_that_fail() -> None:
    garage = cloud_alone()
    garage.ask("a")
    garage.switch_on()
    garage.finish("a")
    garage.vanishes(CLOUD)
    garage.wait(FAILOVER_AFTER)
    for _ in range(MOST_STOPS):
        assert garage.phase() == "stopping"
        garage.end(CLOUD, "stop", problem=CommandFailed("ssh", 255))
        garage.wait(3600)
    assert (garage.phase(), garage.actions()) == ("off", ["start", *["stop"] * MOST_STOPS])
    assert isinstance(garage.job_table.alerts[-1], Raised)
    garage.answers(CLOUD)
    garage.wait(IDLE)
    assert garage.actions()[-1] == "stop", "it was on all the time, and the bot had started it"


def test_what_was_given_up_at_a_server_is_forgotten_when_it_is_stopped() -> None:
    garage = Garage({HOME: None, CLOUD: power(most_hours_per_day=1)})
    garage.ask("a", servers=(CLOUD,))
    garage.switch_on()
    garage.wait(3550 - START)
    garage.vanishes(CLOUD)
    garage.wait(FAILOVER_AFTER * FAILOVER_RUNNING)
    assert [leftover.server for leftover in garage.job("a").leftovers] == [CLOUD]
    garage.wait(60)
    garage.end(CLOUD, "stop")
    assert garage.phase() == "off"
    assert garage.job("a").leftovers == []


def test_a_server_that_loses_its_commands_is_expected_to_be_on() -> None:
    garage = cloud_alone()
    assert garage.expected == {CLOUD: "off"}
    garage.servers[CLOUD].configure(ServerSettings())
    garage.turn()
    assert garage.expected == {CLOUD: "on"}
    garage.ask("a")
    assert garage.told("a").note == ServersOffline((CLOUD,))


def test_the_jobs_of_a_machine_that_may_not_be_started_again_go_elsewhere() -> None:
    garage = Garage({CLOUD: power(most_hours_per_day=1), OTHER: power()})
    garage.ask("a", servers=(CLOUD,))
    garage.switch_on()
    garage.wait(3590 - START)
    garage.job("a").request = JobRequest(job=JobId("a"), workflow="picture", graph=graph(10), folder="out", owner="ada")
    garage.vanishes(CLOUD)
    garage.wait(FAILOVER_AFTER * FAILOVER_RUNNING + 10)
    assert {(server, action) for _, server, action in garage.commands[1:]} == {(OTHER, "start"), (CLOUD, "stop")}


def test_a_server_is_started_and_stopped_when_an_operator_wants_that() -> None:
    garage = cloud_alone()
    garage.plan.request(CLOUD, on=True)
    garage.turn()
    assert garage.actions() == ["start"]
    garage.switch_on()
    garage.ask("a")
    garage.plan.request(CLOUD, on=False)
    garage.turn()
    garage.ask("b")
    assert garage.phase() == "on", "it has a job"
    assert garage.told("b").note == ServersOff((CLOUD,))
    garage.finish("a")
    assert garage.phase() == "stopping"
    garage.switch_off()
    garage.wait(LEAST_BETWEEN_STARTS)
    assert garage.actions() == ["start", "stop", "start"], "b still needs it"


def test_an_operator_cannot_start_a_server_for_longer_than_it_may_be_on() -> None:
    garage = Garage({CLOUD: power(most_hours_per_day=1)}, (OnPeriod(CLOUD, "bot", 5000.0, 4900.0, None, 1400.0),))
    garage.plan.request(CLOUD, on=True)
    garage.wait(60)
    assert garage.commands == []


@pytest.mark.parametrize(
    ("period", "phase"),
    [
        (OnPeriod(CLOUD, "bot", 1000.0, 900.0, 20.0, 10.0), "off"),
        (OnPeriod(CLOUD, "bot", 1000.0, 900.0, 20.0), "off"),
        (OnPeriod(CLOUD, "bot", 20.0), "starting"),
        (OnPeriod(CLOUD, "bot", 1000.0, 900.0), "on"),
    ],
)
def test_a_bot_that_starts_again_knows_what_was_going_on_at_a_server_that_does_not_answer(
    period: OnPeriod, phase: Phase
) -> None:
    garage = Garage({CLOUD: power()}, (period,))
    assert garage.phase() == phase
    assert garage.used() == pytest.approx(period.started - (period.stopped or 0.0))


def test_a_bot_that_starts_again_stops_what_it_started_before() -> None:
    for starter, action in (("bot", ["stop"]), ("operator", ["stop"]), ("hand", [])):
        garage = Garage({CLOUD: power()}, (OnPeriod(CLOUD, starter, 1000.0, 900.0),))  # pyright: ignore[reportArgumentType]
        garage.answers(CLOUD)
        garage.wait(IDLE)
        assert garage.actions() == action


def test_a_connection_is_told_what_to_expect() -> None:
    garage = cloud_alone()
    assert garage.expected == {CLOUD: "off"}
    garage.ask("a")
    assert garage.expected == {CLOUD: "starting"}
    garage.switch_on()
    assert garage.expected == {CLOUD: "on"}
    garage.finish("a")
    garage.wait(IDLE)
    assert garage.expected == {CLOUD: "off"}


def test_nothing_is_started_while_the_bot_is_drained() -> None:
    garage = cloud_alone()
    garage.scheduler.line.open = False
    garage.ask("a")
    garage.wait(60)
    assert garage.commands == []


class Asked(Struct, frozen=True):
    """A job of a random day: when it is asked for, how long it runs, and where it can run."""

    at: float
    seconds: float
    servers: tuple[ServerName, ...]


class Nature(Struct, frozen=True):
    """What a machine does: how long its start takes, and whether its next commands work."""

    start: float
    works: tuple[bool, ...]


ASKED = st.builds(
    Asked,
    at=st.floats(0, 20_000),
    seconds=st.floats(1, 1200),
    servers=st.sampled_from([(), (HOME,), (CLOUD,), (OTHER,), (CLOUD, OTHER)]),
)

POWER = st.builds(
    power,
    idle_minutes=st.integers(1, 30),
    start_seconds=st.integers(1, 400),
    most_hours_per_day=st.integers(0, 2),
)

NATURE = st.builds(Nature, start=st.floats(1, 200), works=st.lists(st.booleans(), max_size=6).map(tuple))


class Day:
    """A day on which jobs are asked for, run and end; it checks after each turn what must always hold."""

    def __init__(self, home: bool, servers: dict[ServerName, tuple[Power, Nature]], asked: list[Asked]) -> None:
        known: dict[ServerName, Power | None] = {HOME: None} if home else {}
        self.garage = Garage(known | {name: each for name, (each, _) in servers.items()})
        self.natures = {name: nature for name, (_, nature) in servers.items()}
        self.powers = {name: each for name, (each, _) in servers.items()}
        self.asked = sorted(asked, key=lambda job: job.at)
        self.seconds: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self.due: list[tuple[float, ServerName, str]] = []
        """Commands that end, and machines that come up or go down."""
        self.tries = dict.fromkeys(servers, 0)
        self.overrun = dict.fromkeys(servers, 0.0)
        self.seen = 0

    def run(self) -> None:
        garage, number = self.garage, 0
        begin = garage.now
        while True:
            self._look()
            times = [*self.ends.values(), *(at for at, _, _ in self.due)]
            if number < len(self.asked):
                times.append(begin + self.asked[number].at)
            soonest = min([*times, garage.plan.due(garage.now)])
            if soonest > begin + 2 * DAY:
                break
            garage.now = max(garage.now, soonest)
            if number < len(self.asked) and begin + self.asked[number].at <= garage.now:
                each = self.asked[number]
                self.seconds[f"j{number}"] = each.seconds
                garage.ask(f"j{number}", servers=each.servers)
                number += 1
            for name in [name for name, end in self.ends.items() if end <= garage.now]:
                del self.ends[name]
                garage.finish(name)
            for event in [event for event in self.due if event[0] <= garage.now]:
                self.due.remove(event)
                self._happen(event[1], event[2])
            garage.turn()
            self._begin_runs()

    def _happen(self, server: ServerName, what: str) -> None:
        garage = self.garage
        match what:
            case "up" if garage.phase(server) == "starting":
                garage.answers(server)
            case "down":
                garage.vanishes(server)
            case "start works":
                garage.end(server, "start")
            case "start fails":
                garage.end(server, "start", problem=CommandFailed("on", 1))
            case "stop works":
                garage.end(server, "stop")
            case "stop fails":
                garage.end(server, "stop", problem=CommandFailed("off", 1))
            case _:
                pass

    def _begin_runs(self) -> None:
        """What was sent to a server runs there at once: each has one job at a time."""
        for name in self.garage.servers:
            for job, _ in self.garage.job_table.prompts.in_flight(name):
                if job.id not in self.ends:
                    self.ends[job.id] = self.garage.now + self.seconds[job.id]

    def _look(self) -> None:
        garage = self.garage
        self._begin_runs()
        for at, server, action in garage.commands[self.seen :]:
            nature = self.natures[server]
            works = self.tries[server] >= len(nature.works) or nature.works[self.tries[server]]
            self.tries[server] += 1
            if action == "stop":
                busy = [*garage.job_table.prompts.in_flight(server), *garage.job_table.prompts.fetching(server)]
                assert not busy, "a server with a job is never stopped"
            self.due.append((at + 5, server, f"{action} {'works' if works else 'fails'}"))
            if works:
                self.due.append(
                    (at + 5 + (nature.start if action == "start" else 1), server, "up" if action == "start" else "down")
                )
        self.seen = len(garage.commands)
        for server, each in self.powers.items():
            if each.most_hours_per_day:
                # What it has when the hours are over is finished; a stop that fails is tried again.
                self.overrun[server] = max(self.overrun[server], garage.used(server) - each.most_hours_per_day * 3600)


@settings(max_examples=40, deadline=None)
@given(
    home=st.booleans(),
    servers=st.fixed_dictionaries({CLOUD: st.tuples(POWER, NATURE), OTHER: st.tuples(POWER, NATURE)}),
    asked=st.lists(ASKED, min_size=1, max_size=25),
)
def test_whatever_is_asked_no_server_is_stopped_with_a_job_is_on_for_too_long_or_is_started_too_often(
    home: bool,
    servers: dict[ServerName, tuple[Power, Nature]],
    asked: list[Asked],
) -> None:
    day = Day(home, servers, asked)
    day.run()
    commands = day.garage.commands
    for server, nature in day.natures.items():
        starts = [at for at, name, action in commands if (name, action) == (server, "start")]
        gaps = [after - before for before, after in pairwise(starts)]
        assert all(gap >= LEAST_BETWEEN_STARTS - 1e-6 for gap in gaps)
        failed_stops = 2 * 3600 * nature.works.count(False)
        assert day.overrun[server] <= max(job.seconds for job in asked) + 60 + failed_stops
        if not failed_stops and not day.powers[server].most_hours_per_day:
            assert day.garage.phase(server) == "off", "at the end nobody needs it"
    unlimited = all(not each.most_hours_per_day for each in day.powers.values())
    left = [job for job in day.garage.job_table.jobs.values() if home or job.request.servers != (HOME,)]
    if unlimited:
        assert left == [], "every job was run"


def test_the_servers_that_a_bot_leaves_on_are_those_that_its_commands_started() -> None:
    def period(name: str, starter: Starter, *times: float | None) -> OnPeriod:
        return OnPeriod(ServerName(name), starter, *times)  # pyright: ignore[reportArgumentType]

    periods = [
        period("used", "bot", 900.0, 800.0, 300.0, 200.0),
        period("used", "bot", 100.0, 50.0),
        period("starting", "operator", 10.0),
        period("by hand", "hand", 500.0, 500.0),
        period("stopping", "bot", 500.0, 400.0, 10.0),
        period("off", "bot", 500.0, 400.0, 10.0, 5.0),
    ]
    assert left_on(periods) == ["used", "starting"]
    assert left_on([]) == []
