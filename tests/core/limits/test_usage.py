"""Limits of how much people may ask for: nothing over one is ever accepted, and the counters are those of a recount."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from app.core.jobs.job import JobRequest
from app.core.limits.usage import DAY, MINUTE, Allowance, Origin, Usage, Use, Used
from app.events import JobId
from app.reasons.limits import JobsReached, LimitReason, SecondsReached, Whom

ADA = Origin("ada", "guild", "channel")
WHOM: tuple[Whom, ...] = ("person", "member", "channel", "guild")


def request(name: str, *allowances: Allowance, origin: Origin = ADA) -> JobRequest:
    """A request of somebody, somewhere."""
    return JobRequest(
        job=JobId(name),
        workflow="w",
        graph={},
        folder="",
        owner=origin.person,
        guild=origin.guild,
        channel=origin.channel,
        allowances=allowances,
    )


def refusal(usage: Usage, asked: JobRequest, seconds: float, now: float) -> LimitReason | None:
    return usage.refusal(asked.origin, asked.allowances, seconds, now)


def accept(usage: Usage, asked: JobRequest, seconds: float) -> None:
    usage.accept(asked.job, asked.origin, seconds)


def server_done(usage: Usage, asked: JobRequest) -> None:
    usage.server_done(asked.job, asked.origin)


def ended(usage: Usage, asked: JobRequest) -> None:
    usage.ended(asked.job, asked.origin)


def seconds_of(usage: Usage, origin: Origin, whom: Whom = "person", *, now: float = 0.0) -> Used:
    (used,) = usage.used(origin, [Allowance(whom)], now)
    return used


def test_a_job_more_than_the_limit_is_refused_until_one_has_ended() -> None:
    usage, two = Usage(), Allowance("person", jobs=2)
    for name in "ab":
        assert refusal(usage, request(name, two), 5.0, 0.0) is None
        accept(usage, request(name, two), 5.0)
    assert refusal(usage, request("c", two), 5.0, 0.0) == JobsReached("person", 2, 2)
    ended(usage, request("a", two))
    assert refusal(usage, request("c", two), 5.0, 0.0) is None


def test_expected_seconds_are_reserved_until_the_run_was_measured() -> None:
    usage, minute = Usage(), Allowance("person", seconds=60)
    accept(usage, request("a", minute), 50.0)
    assert refusal(usage, request("b", minute), 11.0, 0.0) == SecondsReached("person", 60, 10.0, 11.0, DAY)
    assert refusal(usage, request("b", minute), 10.0, 0.0) is None
    usage.spend([Use(ADA, 20.0)], 0.0)
    server_done(usage, request("a"))
    assert refusal(usage, request("b", minute), 40.0, 0.0) is None
    assert seconds_of(usage, ADA).unfinished == 1, "its results are still being downloaded"
    ended(usage, request("a"))
    assert seconds_of(usage, ADA) == Used(Allowance("person"), 0, 20.0, 20.0, DAY + MINUTE)


def test_a_job_that_never_ran_uses_nothing() -> None:
    usage = Usage()
    accept(usage, request("a"), 50.0)
    ended(usage, request("a"))
    assert seconds_of(usage, ADA) == Used(Allowance("person"), 0, 0.0)


def test_used_seconds_return_after_a_day_and_a_refusal_says_when_enough_of_them_do() -> None:
    usage, limit = Usage(), Allowance("person", seconds=100)
    usage.spend([Use(ADA, 60.0)], 0.0)
    usage.spend([Use(ADA, 40.0)], 5000.0)
    reason = refusal(usage, request("a", limit), 30.0, 6000.0)
    assert reason == SecondsReached("person", 100, 0.0, 30.0, DAY + MINUTE - 6000.0)
    later = refusal(usage, request("a", limit), 70.0, 6000.0)
    assert later == SecondsReached("person", 100, 0.0, 70.0, DAY + MINUTE - 1000.0)
    assert refusal(usage, request("a", limit), 30.0, DAY + MINUTE) is None
    assert seconds_of(usage, ADA, now=DAY + MINUTE).seconds == 40.0
    assert seconds_of(usage, ADA, now=DAY + MINUTE + 5000.0).seconds == 0.0


def test_a_job_that_needs_more_than_there_is_never_fits() -> None:
    reason = refusal(Usage(), request("a", Allowance("guild", seconds=60)), 61.0, 0.0)
    assert reason == SecondsReached("guild", 60, 60.0, 61.0, None)


def test_everybody_in_a_channel_and_in_a_server_counts_together() -> None:
    usage = Usage()
    accept(usage, request("a", origin=Origin("bob", "guild", "channel")), 5.0)
    accept(usage, request("b", origin=Origin("cid", "guild", "other")), 5.0)
    accept(usage, request("c", origin=Origin("ada", "elsewhere", "far")), 5.0)
    counts = {whom: seconds_of(usage, ADA, whom).unfinished for whom in WHOM}
    assert counts == {"person": 1, "member": 0, "channel": 1, "guild": 2}
    limited = request("d", Allowance("person", jobs=2), Allowance("guild", jobs=2))
    assert refusal(usage, limited, 5.0, 0.0) == JobsReached("guild", 2, 2)


def test_a_direct_message_has_no_server() -> None:
    usage, origin = Usage(), Origin("ada", "", "dm")
    accept(usage, request("a", origin=origin), 5.0)
    assert list(origin.accounts()) == ["person:ada", "channel:dm"]
    assert seconds_of(usage, origin).unfinished == 1


def test_a_request_without_a_person_is_not_counted() -> None:
    usage = Usage()
    accept(usage, request("a", origin=Origin()), 5.0)
    usage.spend([Use(Origin(), 5.0)], 0.0)
    ended(usage, request("a", origin=Origin()))
    assert refusal(usage, request("b", Allowance("person", jobs=1), origin=Origin()), 5.0, 0.0) is None


def test_zero_is_no_limit() -> None:
    usage = Usage()
    for number in range(200):
        assert refusal(usage, request(str(number), Allowance("person")), 1000.0, 0.0) is None
        accept(usage, request(str(number)), 1000.0)


@given(
    st.lists(st.tuples(st.floats(0.0, 3 * DAY), st.floats(0.01, 1000.0)), max_size=40).map(sorted),
    st.floats(0.0, 2 * DAY),
)
def test_a_run_counts_for_a_day_and_at_most_a_minute_longer(runs: list[tuple[float, float]], later: float) -> None:
    usage, now = Usage(), 0.0
    for at, seconds in runs:
        now = at
        usage.spend([Use(ADA, seconds)], now)
    now += later
    counted = seconds_of(usage, ADA, now=now).seconds
    assert counted >= sum(seconds for at, seconds in runs if now - at < DAY) - 0.001 * len(runs)
    assert counted <= sum(seconds for at, seconds in runs if now - at <= DAY + MINUTE) + 0.001 * len(runs)


PEOPLE = st.sampled_from(["ada", "bob"])
PLACES = st.sampled_from([("g", "c"), ("g", "d"), ("h", "e"), ("", "dm")])
COST = st.integers(0, 40_000).map(lambda milliseconds: milliseconds / 1000)
ALLOWANCES = st.lists(
    st.builds(Allowance, st.sampled_from(WHOM), st.integers(0, 4), st.integers(0, 60)), max_size=3
).map(tuple)


class Requests(RuleBasedStateMachine):
    """Any order of requests, runs, ends, hours and restarts, beside a list of what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.usage = Usage()
        self.now = 0.0
        self.unfinished: dict[JobId, tuple[JobRequest, float]] = {}
        self.runs: list[tuple[float, Origin, float]] = []
        self.number = 0

    @rule(person=PEOPLE, place=PLACES, seconds=COST, allowances=ALLOWANCES)
    def ask(self, person: str, place: tuple[str, str], seconds: float, allowances: tuple[Allowance, ...]) -> None:
        self.number += 1
        wanted = request(f"j{self.number}", *allowances, origin=Origin(person, *place))
        refused = refusal(self.usage, wanted, seconds, self.now)
        fits = all(self.fits(wanted, seconds, allowance) for allowance in allowances)
        assert (refused is None) == fits
        if refused is None:
            accept(self.usage, wanted, seconds)
            self.unfinished[wanted.job] = wanted, seconds

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data(), seconds=COST)
    def run(self, data: st.DataObject, seconds: float) -> None:
        """A server is done with a job."""
        wanted, _ = self.unfinished[data.draw(st.sampled_from(sorted(self.unfinished)))]
        self.usage.spend([Use(wanted.origin, seconds)], self.now)
        server_done(self.usage, wanted)
        self.runs.append((self.now, wanted.origin, seconds))
        self.unfinished[wanted.job] = wanted, 0.0

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data(), seconds=COST, allowances=ALLOWANCES)
    def edit(self, data: st.DataObject, seconds: float, allowances: tuple[Allowance, ...]) -> None:
        """A waiting job becomes another one, unless it needs more seconds than before and than are left."""
        wanted, before = self.unfinished.pop(data.draw(st.sampled_from(sorted(self.unfinished))))
        refused = self.usage.edit_refusal([wanted.job], wanted.origin, allowances, seconds, self.now)
        fits = all(self.fits(wanted, seconds, replace(allowance, jobs=0)) for allowance in allowances)
        assert (refused is None) == (seconds <= before or fits)
        if refused is None:
            self.usage.edited(wanted.job, wanted.origin, seconds)
        self.unfinished[wanted.job] = wanted, (before if refused else seconds)

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        wanted, _ = self.unfinished.pop(data.draw(st.sampled_from(sorted(self.unfinished))))
        ended(self.usage, wanted)
        ended(self.usage, wanted)

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.now += 3600.0 * hours

    @rule()
    def restart(self) -> None:
        """The counters are made anew from the unfinished jobs and the measured runs; hours ago are exact."""
        self.usage = Usage()
        recent = [run for run in self.runs if self.now - run[0] <= DAY]
        self.usage.spend([Use(origin, seconds, self.now - at) for at, origin, seconds in recent], self.now)
        for wanted, seconds in self.unfinished.values():
            accept(self.usage, wanted, seconds)

    @invariant()
    def counters_are_those_of_a_recount(self) -> None:
        for origin in self.origins():
            for whom in WHOM:
                used = seconds_of(self.usage, origin, whom, now=self.now)
                if origin.account(whom):
                    assert (used.unfinished, used.seconds) == self.recount(origin, whom)

    @invariant()
    def nothing_is_kept_for_people_who_have_nothing(self) -> None:
        if not self.unfinished and not any(self.now - at <= DAY + MINUTE for at, _, _ in self.runs):
            self.usage.used(ADA, [], self.now)
            assert not self.usage._accounts  # pyright: ignore[reportPrivateUsage]

    def origins(self) -> Iterator[Origin]:
        yield from {wanted.origin for wanted, _ in self.unfinished.values()} | {run[1] for run in self.runs}

    def fits(self, wanted: JobRequest, seconds: float, allowance: Allowance) -> bool:
        origin = wanted.origin
        unfinished, used = self.recount(origin, allowance.whom) if origin.account(allowance.whom) else (0, 0.0)
        jobs_fit = not allowance.jobs or unfinished < allowance.jobs
        return jobs_fit and (not allowance.seconds or round(1000 * (used + seconds)) <= 1000 * allowance.seconds)

    def recount(self, origin: Origin, whom: Whom) -> tuple[int, float]:
        """What counts, of all that is unfinished and that was run; hours are longer than the minute of doubt."""
        account = origin.account(whom)
        unfinished = [seconds for wanted, seconds in self.unfinished.values() if wanted.origin.account(whom) == account]
        runs = [run[2] for run in self.runs if run[1].account(whom) == account and self.now - run[0] <= DAY]
        return len(unfinished), sum(round(1000 * seconds) for seconds in (*unfinished, *runs)) / 1000


TestRequests = Requests.TestCase
