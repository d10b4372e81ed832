"""Nothing is lost: worlds in which everything goes wrong, and in which every promise holds all the same.

`just simulate-faults N` plays as many as wanted, on one backend or the other; a seed that fails is added below, with
what it found.
"""

from __future__ import annotations

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from msgspec.structs import replace

from tests.simulation.core_mutations import TEETH, Tooth, first_come_first_served
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.notification_mutations import NOTIFICATION_MUTATIONS
from tests.simulation.plan import Fault, Plan, Want, crowded, drawn, plans
from tests.simulation.scene import simulate

SEEDS = 20
"""Worlds on each backend, other ones on each: both have a scheduler of their own. Those of the planted mistakes, which
are played without them, too, are three times as many."""

CROWDED = 3
"""Worlds on each backend with few people who have many jobs, on up to sixteen servers."""

ENOUGH = 200
"""Worlds in which a change of the code must be found."""

FIRST = {
    "without_catching_up": 4,
    "without_fences": 51,
    "with_looks_while_posting": 11,
    "without_withdrawing": 9,
    "without_insisting": 34,
    "without_nonces": 8,
}
"""The seeds that are played first, because they find these: whatever changes here, others will."""

PLANTED = (*MUTATIONS, *NOTIFICATION_MUTATIONS)
"""Changes that must be found."""

FOUND = {
    "a farewell promised that a job goes on which was never written down": (208, "asyncio"),
    "a message that was posted twice showed what was true the first time": (598, "trio"),
}
"""Seeds that broke a promise once."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_promise_holds_whatever_goes_wrong(seed: int) -> None:
    report = simulate(drawn(seed), "trio")
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@pytest.mark.parametrize("seed", range(SEEDS, 2 * SEEDS))
def test_every_promise_holds_on_asyncio_too(seed: int) -> None:
    report = simulate(drawn(seed), "asyncio")
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@pytest.mark.parametrize("seed", range(CROWDED))
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_every_promise_holds_for_few_people_with_many_jobs_on_many_servers(backend: str, seed: int) -> None:
    report = simulate(crowded(2 * seed + (backend == "asyncio")), backend)
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@pytest.mark.parametrize(("seed", "backend"), FOUND.values(), ids=FOUND)
def test_what_a_seed_has_found_stays_repaired(seed: int, backend: str) -> None:
    report = simulate(drawn(seed), backend)
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@given(plan=plans())
@example(plan=replace(drawn(11), chance=2, faults=(Fault(0.0, "operator_cancel", 0.0, 0),)))
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_promise_holds_in_worlds_that_hypothesis_draws(plan: Plan) -> None:
    report = simulate(plan, "trio")
    assert not report.broken


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_the_same_seed_gives_the_same_trace_to_the_byte(backend: str) -> None:
    first, second = (simulate(drawn(11), backend).trace for _ in range(2))
    assert len(first) > 100
    assert first == second


def test_trio_still_lets_us_decide_the_order_of_its_tasks() -> None:
    assert hasattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING")  # pyright: ignore[reportPrivateUsage]
    assert hasattr(trio._core._run._r, "seed")  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("drain", [False, True])
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_stop_ends_a_life_and_a_drain_waits_for_what_runs(backend: str, drain: bool) -> None:
    wants = tuple(Want(at=1.0 + number, seconds=20.0) for number in range(3))
    stop = Fault(at=10.0, kind="stop", seconds=5.0, which=0)
    report = simulate(Plan(chance=1, wants=wants, faults=(stop,), drain=drain), backend)
    assert not report.broken, "\n".join([*report.trace, *report.broken])
    (end,) = [float(line.split()[0]) for line in report.trace if "the bot ends with 0" in line]
    assert (40.0 < end < 50.0) if drain else (10.0 < end < 12.0)


@pytest.mark.parametrize("without", TEETH, ids=lambda tooth: tooth.__name__)
def test_the_simulation_finds_out_a_house_without_one_of_its_rules(without: Tooth) -> None:
    first = FIRST.get(without.__name__, 0)
    with without():
        assert any(simulate(drawn((first + seed) % ENOUGH), "trio").broken for seed in range(ENOUGH))


def test_the_crowded_worlds_find_a_queue_that_is_not_fair() -> None:
    with first_come_first_served():
        # This world is the first that finds it; if something changes, another one will.
        worlds = (simulate(crowded(36 + seed), "trio").broken for seed in range(ENOUGH))
        assert any("the bound is" in sentence for broken in worlds for sentence in broken)


@pytest.mark.parametrize("mutation", PLANTED, ids=lambda mutation: mutation.name)
def test_the_simulation_finds_a_change_that_breaks_a_promise(mutation: Mutation) -> None:
    with mutation.change():
        found = (simulate(mutation.plan(seed), "trio").broken for seed in range(ENOUGH))
        assert any(mutation.says in sentence for broken in found for sentence in broken)


@pytest.mark.parametrize("number", range(len(PLANTED)), ids=[one.name for one in PLANTED])
def test_the_plans_in_which_changes_are_found_break_nothing_without_them(number: int) -> None:
    report = simulate(PLANTED[number].plan(0), ("trio", "asyncio")[number % 2])
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_bot_that_dies_again_and_again_loses_nothing(backend: str) -> None:
    wants = tuple(Want(at=0.3 * number) for number in range(12))
    deaths = tuple(Fault(at=1.0 + 1.7 * number, kind="kill", seconds=0.3, which=0) for number in range(20))
    report = simulate(Plan(chance=1, wants=wants, faults=deaths), backend)
    assert not report.broken, "\n".join([*report.trace, *report.broken])
