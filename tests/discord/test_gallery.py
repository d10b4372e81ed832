"""What the bot keeps for the gallery of the page while it runs."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from app.config.settings import Page
from app.core.gallery import GalleryQuery
from app.discord.message_ref import MessageRef, is_private, is_spoiler, write
from app.service.people.viewer import Viewer
from app.service.people.visibility import OwnOnly, Place
from app.service.queue.board import place_of
from app.service.results import thumbnails
from app.service.results.gallery import Gallery, Tile
from app.workflows.model import WorkflowError
from tests.conftest import inline
from tests.discord.one_backend import only_on
from tests.discord.stage import ENOUGH, Life, Stage, ended, job_of
from tests.discord.test_lists import SMALL

anyio_backend = only_on("asyncio")


async def tile_of(gallery: Gallery, viewer: Viewer) -> Tile:
    """The only entry, once somebody has tried to make its thumbnail."""
    with anyio.fail_after(ENOUGH):
        while True:
            (tile,) = (await gallery.page(viewer, GalleryQuery())).entries
            if tile.width:
                return tile
            await anyio.sleep(0.02)


def gallery_of(life: Life) -> Gallery:
    return Gallery(life.journal, OwnOnly(), is_spoiler=is_spoiler)


async def test_where_the_page_is_served_a_result_has_a_thumbnail_before_anybody_looks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "FIRST", 0.0)
    async with stage.bot(page_settings=Page(enabled=True)) as life:
        options = {"prompt": "a cat", "spoiler": True, **SMALL}
        message = await stage.result(stage.discord.slash("txt2img", options))
        await ended(life, job_of(message))
        gallery, alice = gallery_of(life), Viewer(stage.discord.alice.id)
        tile = await tile_of(gallery, alice)
        assert (tile.kind, tile.width, tile.height, tile.spoiler) == ("picture", 64, 64, True)
        path = await gallery.thumbnail(alice, tile.entry.job, 0)
        assert path is not None
        content = await inline(path.read_bytes)
        assert (content[:4], content[8:12]) == (b"RIFF", b"WEBP")
        assert not (await gallery.page(Viewer("1"), GalleryQuery())).entries


async def test_what_is_made_in_a_private_thread_is_for_those_who_see_the_thread(stage: Stage) -> None:
    discord = stage.discord
    thread, bob, carol = discord.open_thread("secret"), discord.person("bob"), discord.person("carol")
    thread.private, thread.members = True, {bob.id}
    async with stage.bot() as life:
        asked = discord.slash("txt2img", {"prompt": "a cat", **SMALL}, user=bob, channel=thread)
        job = await ended(life, job_of(await stage.result(asked)))
        again = await ended(life, job_of(await stage.result(stage.press(discord.message(asked), "Again", user=bob))))
        assert life.app.page_frontend is not None
        gallery = Gallery(life.journal, life.app.page_frontend.visibility)
        for person, seen in ((bob, [again.id, job.id]), (carol, []), (discord.alice, [again.id, job.id])):
            shown = [tile.entry.job for tile in (await gallery.page(Viewer(person.id), GalleryQuery())).entries]
            assert shown == seen, person.name
        with pytest.raises(WorkflowError):
            await gallery.job(Viewer(carol.id), job.id)
        assert place_of(job) == Place(discord.guild.id, thread.id, bob.id), "the queue hides it as well"


async def listed(life: Life, viewer: str) -> list[str]:
    """The jobs that somebody sees in the gallery."""
    assert life.app.page_frontend is not None
    page = await Gallery(life.journal, life.app.page_frontend.visibility).page(Viewer(viewer), GalleryQuery())
    return [tile.entry.job for tile in page.entries]


async def until_listed(life: Life, viewer: str, jobs: list[str]) -> None:
    """Wait until somebody sees these jobs."""
    with anyio.fail_after(ENOUGH):
        while True:
            if await listed(life, viewer) == jobs:
                return
            await anyio.sleep(0.02)


async def test_a_result_whose_message_was_deleted_is_only_for_its_person(stage: Stage) -> None:
    discord = stage.discord
    alice, bob = discord.alice.id, discord.person("bob").id
    async with stage.bot(page_settings=Page(enabled=True)) as life:
        made = [
            await stage.result(discord.slash("txt2img", {"prompt": prompt, **SMALL}))
            for prompt in ("a cat", "a dog", "a fox", "a bird")
        ]
        cat, dog, fox, bird = [(await ended(life, job_of(message))).id for message in made]
        # What is said in the channel comes along, and means nothing.
        discord.change_guild("MESSAGE_CREATE", discord.say("nice") | {"guild_id": discord.guild.id})
        discord.delete(discord.say("nice"))
        assert await listed(life, bob) == [bird, fox, dog, cat]
        discord.delete(made[0])
        await until_listed(life, bob, [bird, fox, dog])
        discord.purge(made[1:3])
        await until_listed(life, bob, [bird])
        assert await listed(life, alice) == [bird, fox, dog, cat]


async def test_a_result_that_came_as_a_direct_message_is_only_for_its_person(stage: Stage) -> None:
    discord = stage.discord
    bob = discord.person("bob").id
    async with stage.bot() as life:
        stage.hold()
        asked = discord.slash("txt2img", {"prompt": "a cat", **SMALL})
        job = job_of(await stage.until("[Cancel]", asked))
        discord.delete(discord.message(asked))
        stage.go_on()
        await ended(life, job)
        assert await listed(life, discord.alice.id) == [job]
        assert await listed(life, bob) == []


async def test_without_the_page_no_thumbnail_is_made_that_nobody_looks_at(stage: Stage) -> None:
    async with stage.bot() as life:
        message = await stage.result(stage.discord.slash("txt2img", {"prompt": "a cat", **SMALL}))
        await ended(life, job_of(message))
        (tile,) = (await gallery_of(life).page(Viewer(stage.discord.alice.id), GalleryQuery())).entries
        assert not tile.spoiler
        row = await life.journal.gallery_row(tile.entry.job)
        assert row is not None
        assert row.width is None
        assert not await inline(list[Path], stage.data.glob("results/**/*.thumbnail"))


def test_the_place_of_a_message_says_whether_others_may_see_it_and_whether_it_hides_its_files() -> None:
    plain = MessageRef(channel="1", user="2")
    assert not is_private(write(plain), "1")
    assert is_private(write(plain), "9"), "it is in a thread of the channel, or was sent to its person"
    assert not is_spoiler(write(plain))
    assert is_private(write(MessageRef(channel="1", user="2", deleted=True)), "1")
    assert is_spoiler(write(MessageRef(channel="1", user="2", spoiler=True)))
    assert not is_private("", "1")
    assert not is_spoiler("another frontend's")
