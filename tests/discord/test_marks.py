"""What is posted says that a machine made it: to programs always, in words where a server wants that."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from app.events import Finished
from app.media_worker.mark import PACKET
from tests.discord.fake import FakeDiscord, Payload
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, ended, job_of, parts, photo, stage_for, words

anyio_backend = only_on("asyncio")


def posted(stage: Stage, message: Payload) -> list[bytes]:
    return [stage.discord.file(item["url"]) for item in message["attachments"]]


def alts(message: Payload) -> list[str]:
    return [item["description"] for part in parts(message) for item in part.get("items") or ()]


async def test_a_posted_picture_carries_the_mark_and_the_one_on_the_disk_does_not(stage: Stage) -> None:
    async with stage.bot() as life:
        message = await stage.result(stage.discord.slash("txt2img", prompt="a *cat*", width=64, height=64, count=2))
        data = posted(stage, message)
        assert len(data) == 2
        for picture in data:
            with Image.open(io.BytesIO(picture)) as opened:
                assert opened.info["xmp"] == PACKET
        assert alts(message) == ["Picture 1 of 2: a *cat*", "Picture 2 of 2: a *cat*"]
        assert "AI-generated" not in words(message)
        job = await ended(life, job_of(message))
        kept = [path.read_bytes() for path in stage.data.rglob("*.png")]
        assert isinstance(job.terminal_update, Finished)
        assert len(kept) == len(job.terminal_update.files) == 2
        assert not any(PACKET in picture for picture in kept)


async def test_the_picture_that_somebody_sent_is_not_said_to_be_made_by_a_machine(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(stage.discord.slash("remix", prompt="as a drawing", image=photo()))
        before, after = posted(stage, message)
        assert PACKET not in before
        assert PACKET in after


async def test_a_server_may_want_it_in_words_and_an_operator_may_want_no_mark(stage: Stage) -> None:
    here = int(stage.discord.guild.id)
    async with stage.bot(mark_results=False, label_guilds=(here,)):
        message = await stage.result(stage.discord.slash("txt2img", prompt="a cat", width=64, height=64))
        assert not any(PACKET in picture for picture in posted(stage, message))
        assert "AI-generated" in words(message)
    async with stage.bot(label_guilds=(here + 1,)):
        message = await stage.result(stage.discord.slash("txt2img", prompt="a cat", width=64, height=64))
        assert "AI-generated" not in words(message)


@pytest.mark.slow
async def test_previews_carry_the_mark_and_a_description(discord: FakeDiscord, tmp_path: Path) -> None:
    async with stage_for(discord, tmp_path, step_time=0.03, steps=120, previews=True) as stage, stage.bot():
        asked = discord.slash("txt2img", prompt="slow", width=64, height=64)
        await stage.result(asked)
        states = [one.state for one in discord.history(asked) if one.state["attachments"]]
        assert states[0]["attachments"][0]["filename"] == "preview.jpeg"
        for state in states:
            assert all(PACKET in picture for picture in posted(stage, state))
            assert set(alts(state)) == {"slow"}
