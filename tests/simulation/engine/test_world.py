"""A front and two workers over the modelled engine: nothing is done twice, or after it was taken back."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
import trio

from app.engine.worker.lease import Lease
from tests.conftest import virtual
from tests.simulation.engine.world import World

SEEDS = 1
"""Worlds on each backend."""

ENOUGH = 10
"""Worlds in which a mistake must be found."""


def played(seed: int, folder: Path, backend: str = "trio") -> World:
    """One world, to its end."""
    if backend == "trio":
        trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # pyright: ignore[reportPrivateUsage]
        trio._core._run._r.seed(seed)  # pyright: ignore[reportPrivateUsage]
    worlds: list[World] = []

    async def play() -> None:
        worlds.append(World(seed, folder))
        await worlds[0].play()

    name, options = virtual(backend)
    anyio.run(play, backend=name, backend_options=options)
    return worlds[0]


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_workers_keep_their_promises_whatever_happens_to_the_engine(seed: int, backend: str, tmp_path: Path) -> None:
    world = played(seed, tmp_path, backend)
    assert not world.wrong, "\n".join(world.wrong)
    assert len(world.posted) > 50
    assert world.withdrawn
    assert world.events > 200


async def claim_nothing(_: Lease, __: str, ___: float) -> bool:
    """A worker that does whatever it has read."""
    return True


@pytest.mark.parametrize("mistake", ["no claim before POST"])
def test_a_planted_mistake_is_found(mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lease, "claim", claim_nothing)
    assert any(played(seed, tmp_path).wrong for seed in range(ENOUGH)), mistake
