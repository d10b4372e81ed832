"""Nothing is lost: worlds in which everything goes wrong, and in which every promise holds all the same.

`just simulate-faults N` plays as many as wanted; a seed that fails is added below, with a name.
"""

from __future__ import annotations

import pytest
import trio
from hypothesis import HealthCheck, given, settings

from tests.simulation.plan import Fault, Plan, Want, drawn, plans
from tests.simulation.scene import simulate
from tests.simulation.teeth import TEETH, Tooth

SEEDS = 200
ON_ASYNCIO = 40
"""The rules are the same code on both; the other backend has a scheduler of its own."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_promise_holds_whatever_goes_wrong(seed: int) -> None:
    report = simulate(drawn(seed), "trio")
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + ON_ASYNCIO))
def test_every_promise_holds_on_asyncio_too(seed: int) -> None:
    report = simulate(drawn(seed), "asyncio")
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@given(plan=plans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@pytest.mark.parametrize("without", TEETH, ids=lambda tooth: tooth.__name__)
def test_the_simulation_finds_out_a_house_without_one_of_its_rules(without: Tooth) -> None:
    with without():
        assert any(simulate(drawn(seed), "trio").broken for seed in range(SEEDS))


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_bot_that_dies_again_and_again_loses_nothing(backend: str) -> None:
    wants = tuple(Want(at=0.3 * number) for number in range(12))
    deaths = tuple(Fault(at=1.0 + 1.7 * number, kind="kill", seconds=0.3, which=0) for number in range(20))
    report = simulate(Plan(chance=1, wants=wants, faults=deaths), backend)
    assert not report.broken, "\n".join([*report.trace, *report.broken])
