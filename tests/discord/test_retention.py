"""What people read of what was deleted because it is old, and what is never kept."""

from __future__ import annotations

import time

from app.config.settings import Retention
from app.journal.opening import JOURNAL
from app.retention.actor import DAY, RetentionActor
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, ended, job_of
from tests.discord.test_buttons import imagined
from tests.discord.test_recovery import imagine

anyio_backend = only_on("asyncio")


async def test_buttons_say_what_the_retention_has_deleted(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage)
        await ended(life, job_of(first))
        later = 40 * DAY

        def clock() -> float:
            return time.time() + later

        settings = Retention(files=30)
        await RetentionActor(settings, stage.data, life.journal, clock=clock).clean_up()
        opened = stage.press(first, "Image to image")
        assert "The result was deleted. Make it again first." in await stage.ephemeral_followup(opened)
        await RetentionActor(Retention(jobs=30), stage.data, life.journal, clock=clock).clean_up()
        for label in ("Again", "Image to image", "Details", "More…"):
            sentence = await stage.ephemeral_followup(stage.press(first, label))
            assert "This job was removed because it is old. Start again with a command." in sentence


async def test_no_token_of_an_interaction_is_ever_on_the_disk(stage: Stage) -> None:
    """Whoever has a token can post in the bot's name for 15 minutes, so it is kept in memory only."""
    async with stage.bot() as life:
        first = await imagined(stage)
        stage.hold()
        waiting = imagine(stage)
        await stage.until("[Cancel]", waiting)
        stage.go_on()
        second = await stage.result(stage.press(first, "Again"))
        await ended(life, job_of(second))
        tokens = [interaction.token.encode() for interaction in stage.discord.state.interactions.all.values()]
        assert len(tokens) >= 3
        stored = [(path, path.read_bytes()) for path in stage.data.rglob("*") if path.is_file()]
        assert {JOURNAL, f"{JOURNAL}-wal"} <= {path.name for path, _ in stored}
        assert any(job_of(first).encode() in content for _, content in stored)
        assert not [(path.name, token) for path, content in stored for token in tokens if token in content]
