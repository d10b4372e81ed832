"""What the bot of a front does before it runs."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from app.cli.run import client_id_of
from app.journal.sqlite import open_journal
from tests.conftest import inline, virtual
from tests.journal.access.test_publishing import Board


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def test_a_front_that_is_not_the_active_one_any_more_does_not_wait_for_its_journal(tmp_path: Path) -> None:
    board, lost, answers = Board(), anyio.Event(), list[str | None]()
    opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False, publisher=board)
    async with opening as journal:
        known = await client_id_of(journal, lost)
        assert known == await client_id_of(journal, None)
        board.held = False

        async def read() -> None:
            answers.append(await client_id_of(journal, lost))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.sleep(60)
            assert answers == [], "the engine may confirm it again"
            lost.set()
    assert answers == [None]
    assert known
