"""The checks of the simulated worlds themselves, where no world would show at once that one is wrong."""

from __future__ import annotations

import random
from unittest.mock import patch

import anyio
import pytest

from app.discord import custom_id
from app.discord.messages.ports import SendError
from app.discord.ui.components import Button, Card, Row
from app.events import JobId
from tests.conftest import virtual
from tests.simulation.answers import FINE, Verdict, error_of
from tests.simulation.board import CHANNEL, Board
from tests.simulation.invariants import check_deleted_messages_stay_away

JOB = JobId("job")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(request.param)


def shown(job: JobId) -> Card:
    """A card about a job."""
    return Card((Row((Button("Cancel", custom_id.write("cancel", job)),)),))


@pytest.mark.parametrize("answers", ["as it is", "otherwise"])
@pytest.mark.parametrize("records", [True, False])
@pytest.mark.anyio
async def test_a_new_message_for_a_deleted_one_is_wrong_only_if_the_bot_knows_it(answers: str, records: bool) -> None:
    board = Board(random.Random(0), random.Random(0), lambda _, __: None, lambda _: None)
    caller = await board.command("ada")
    await board.edit(caller.channel, caller.message, shown(JOB))
    board.messages[0].delete()
    verdict = FINE if answers == "as it is" else Verdict(refused=error_of(403, 50001))
    with patch.object(board.answers, "verdict", lambda: verdict), pytest.raises(SendError):
        await board.edit(caller.channel, caller.message, shown(JOB))
    board.bot_died(lambda _: records)
    await anyio.sleep(10.0)
    await board.create(CHANNEL, shown(JOB), "nonce00")
    assert any(check_deleted_messages_stay_away(board)) == (answers == "as it is" and records)
