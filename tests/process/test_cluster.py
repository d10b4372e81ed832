"""Fronts, workers and Valkey as processes while everything goes wrong: nothing is lost, and nothing is shown twice.

`python -m tests.process.cluster` does the same with more jobs.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.process.cluster.faults import OF_FRONTS, OF_VALKEY, OF_WORKERS
from tests.process.cluster.scenarios import with_faults, with_restarts


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; one front runs on each backend."""
    return "asyncio"


async def test_every_job_ends_once_whatever_is_killed_frozen_cut_off_or_full(tmp_path: Path) -> None:
    with anyio.fail_after(300):
        outcome = await with_faults(tmp_path, 60, 1, print, is_long=False)
    assert not outcome.broken, "\n".join(outcome.broken)
    assert outcome.delivered == outcome.jobs >= 60
    assert outcome.faults.keys() >= {*OF_FRONTS, *OF_WORKERS, *OF_VALKEY}


async def test_every_acknowledged_request_ends_while_two_fronts_are_restarted(tmp_path: Path) -> None:
    with anyio.fail_after(300):
        outcome = await with_restarts(tmp_path, 2, 20.0, 1, print)
    assert not outcome.broken, "\n".join(outcome.broken)
    assert outcome.delivered == outcome.jobs >= 40
    assert not outcome.left_thinking
