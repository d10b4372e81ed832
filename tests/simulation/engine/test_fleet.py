"""Two fronts and their workers over the modelled engine: every promise of one bot holds for them together.

`python -m tests.simulation --fleet` plays as many worlds as wanted.
"""

from __future__ import annotations

import pytest

from tests.simulation.engine.fleet_mutations import FLEET_MUTATIONS, FleetMutation
from tests.simulation.engine.fleet_plan import fleet
from tests.simulation.scene import simulate

SEEDS = 2
"""Worlds on each backend, other ones on each."""

ENOUGH = 30
"""Worlds in which a change of the code must be found."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_promise_holds_for_two_fronts(seed: int) -> None:
    report = simulate(fleet(seed), "trio")
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@pytest.mark.parametrize("seed", range(SEEDS, 2 * SEEDS))
def test_every_promise_holds_for_two_fronts_on_asyncio_too(seed: int) -> None:
    report = simulate(fleet(seed), "asyncio")
    assert not report.broken, "\n".join([*report.trace, *report.broken])


@pytest.mark.parametrize("mutation", FLEET_MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_worlds_with_two_fronts_find_a_change_that_breaks_a_promise(mutation: FleetMutation) -> None:
    with mutation.change():
        found = (simulate(mutation.plan(seed), "trio").broken for seed in range(ENOUGH))
        assert any(mutation.says in sentence for broken in found for sentence in broken)
