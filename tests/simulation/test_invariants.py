"""The checks of the simulated worlds themselves, where no world would show at once that one is wrong."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

import anyio
import pytest

from app.core.jobs.job import Job, JobRequest, State
from app.discord import custom_id, message_ref
from app.discord.message_ref import MessageRef
from app.discord.messages.ports import SendError
from app.discord.ui.components import Button, Card, Row
from app.events import Finished, JobId, ServerName
from app.journal.opening import open_store
from tests.conftest import virtual
from tests.simulation.answers import FINE, Verdict, error_of
from tests.simulation.board import CHANNEL, DIRECT, GUILD, Board
from tests.simulation.invariants import check_deleted_messages_stay_away, check_the_gallery

if TYPE_CHECKING:
    from tests.simulation.recorder import Recorder

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


def test_a_result_that_others_see_although_its_message_is_elsewhere_is_found(tmp_path: Path) -> None:
    recorder = cast("Recorder", SimpleNamespace(deleted=set[JobId]()))
    request = JobRequest(job=JOB, workflow="w", graph={}, folder="", owner="ada", guild=GUILD, channel=CHANNEL)
    job = Job(request=request, state=State.DELIVERED, notified=True)
    job.terminal_update = Finished(ServerName("here"), files=("a.png",), job=JOB)
    with open_store(tmp_path / "atelier.db", clock=lambda: 1.0, durable=False) as store:
        assert list(check_the_gallery(store, {JOB: job}, recorder)) != [], "it is not there"
        for channel, wrong in ((CHANNEL, False), (DIRECT, True)):
            job.place = message_ref.write(MessageRef(channel=channel, user="ada"))
            store.write([([job], [])])
            assert any(check_the_gallery(store, {JOB: job}, recorder)) == wrong
        store.hide_from_gallery(JOB, "others")
        assert not any(check_the_gallery(store, {JOB: job}, recorder))
