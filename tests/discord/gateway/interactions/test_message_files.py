"""The menu of a message takes the pictures that Discord itself has of what the message shows, and no others."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from app.discord.ui.menus import MOST_MENUS
from tests.discord.fake import Payload, Upload
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, modal, photo, words

anyio_backend = only_on("asyncio")

PHOTO = photo()
OUTSIDE = "https://pictures.example/cat.png"


def preview(stage: Stage, part: str) -> Payload:
    """An embed whose picture lies elsewhere, with Discord's own copy."""
    return {"type": "image", "url": OUTSIDE, part: {"url": OUTSIDE, "proxy_url": stage.discord.proxied(PHOTO)}}


def gallery(medium: Payload) -> Payload:
    return {"type": 17, "components": [{"type": 12, "items": [{"media": medium}]}]}


def embedded_image(stage: Stage) -> Payload:
    return stage.discord.say(OUTSIDE, embeds=[preview(stage, "image")])


def embedded_thumbnail(stage: Stage) -> Payload:
    return stage.discord.say(OUTSIDE, embeds=[preview(stage, "thumbnail")])


def second_embed(stage: Stage) -> Payload:
    hostile = {"type": "image", "image": {"url": OUTSIDE, "proxy_url": "https://cdn.discordapp.com@pictures.example/"}}
    return stage.discord.say("", embeds=[hostile, preview(stage, "image")])


def gallery_of_another_bot(stage: Stage) -> Payload:
    medium = {"url": OUTSIDE, "proxy_url": stage.discord.proxied(PHOTO), "content_type": "image/png"}
    return stage.discord.card(gallery(medium))


def gallery_without_a_media_type(stage: Stage) -> Payload:
    return stage.discord.card(gallery({"url": stage.discord.proxied(PHOTO)}))


def thumbnail_beside_a_text(stage: Stage) -> Payload:
    beside = {"type": 11, "media": {"url": OUTSIDE, "proxy_url": stage.discord.proxied(PHOTO)}}
    section = {"type": 9, "components": [{"type": 10, "content": "a cat"}], "accessory": beside}
    return stage.discord.card(section)


def forwarded_attachment(stage: Stage) -> Payload:
    return stage.discord.forward(stage.discord.say("look", files=[PHOTO]))


def forwarded_embed(stage: Stage) -> Payload:
    return stage.discord.forward(embedded_image(stage))


def forwarded_gallery(stage: Stage) -> Payload:
    return stage.discord.forward(gallery_of_another_bot(stage))


MESSAGES = [
    embedded_image,
    embedded_thumbnail,
    second_embed,
    gallery_of_another_bot,
    gallery_without_a_media_type,
    thumbnail_beside_a_text,
    forwarded_attachment,
    forwarded_embed,
    forwarded_gallery,
]


async def test_a_menu_takes_every_picture_that_discord_has(stage: Stage) -> None:
    async with stage.bot():
        for write in MESSAGES:
            opened = await stage.answered(stage.discord.message_menu("Image to image", write(stage)))
            assert "prompt" in modal(opened), write.__name__
            sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": write.__name__})
            assert await stage.until("[Again]", sent), write.__name__


@asynccontextmanager
async def elsewhere() -> AsyncGenerator[tuple[int, list[bytes]]]:
    """A server in the operator's own network: its port, and all that it was asked."""
    asked: list[bytes] = []

    async def answer(stream: ByteStream) -> None:
        async with stream:
            asked.append(await stream.receive())

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, answer)
        yield listener.extra(SocketAttribute.local_port), asked
        tasks.cancel_scope.cancel()


HOSTILE = [
    "http://127.0.0.1:{port}/cat.png",
    "http://localhost:{port}/cat.png",
    "https://127.0.0.1:{port}/cat.png",
    "http://[::1]:{port}/cat.png",
    "https://cdn.discordapp.com@127.0.0.1:{port}/cat.png",
    "http://{host}@127.0.0.1:{port}/cat.png",
    "http://x:y@{host}/attachments/cat.png",
    "https://cdn.discordapp.com:{port}/cat.png",
    "http://cdn.discordapp.com/cat.png",
    "https://cdn.discordapp.com.pictures.example/cat.png",
    "https://images-ext-1.discordapp.net.pictures.example/cat.png",
    "https://images-ext-x.discordapp.net/cat.png",
    "https://discordapp.net/cat.png",
    "https://127.0.0.1:{port}\\@cdn.discordapp.com/cat.png",
    "https://[cdn.discordapp.com/cat.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "file:///etc/passwd",
    "/etc/passwd",
    "",
]


async def test_a_hostile_address_is_one_sentence_and_never_fetched(stage: Stage) -> None:
    async with elsewhere() as (port, asked), stage.bot():
        host = stage.discord.url.removeprefix("http://")
        for template in HOSTILE:
            medium = {"url": template.format(port=port, host=host)}
            for both in (medium, medium | {"proxy_url": medium["url"]}):
                messages = [
                    stage.discord.say("", embeds=[{"type": "rich", "image": both, "thumbnail": both, "video": both}]),
                    stage.discord.card(gallery(both | {"content_type": "image/png"})),
                ]
                for message in [*messages, stage.discord.forward(messages[0])]:
                    chosen = stage.discord.message_menu("Image to image", message)
                    sentence = await stage.ephemeral_followup(chosen)
                    assert sentence == "There is no picture in this message that can be used.", template
        assert not asked


async def test_a_redirect_of_discords_host_is_not_followed(stage: Stage) -> None:
    async with elsewhere() as (port, asked), stage.bot():
        address = stage.discord.proxied(Upload("cat.png", PHOTO.content, "image/png"))
        stage.discord.state.cdn.redirects[address.partition("?")[0]] = f"http://127.0.0.1:{port}/cat.png"
        message = stage.discord.say("", embeds=[{"type": "image", "image": {"url": OUTSIDE, "proxy_url": address}}])
        opened = await stage.answered(stage.discord.message_menu("Image to image", message))
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a cat"})
        assert "Attach it again" in await stage.ephemeral_followup(sent)
        assert not asked


@pytest.mark.slow
async def test_as_many_menus_as_discord_allows_are_registered(stage: Stage) -> None:
    """One more than that would make Discord refuse them all."""
    manifest = (stage.workflows / "img2img" / "manifest.toml").read_text()
    for number in range(MOST_MENUS):
        folder = stage.workflows / f"another-{number:02}"
        folder.mkdir()
        (folder / "workflow.json").write_bytes((stage.workflows / "img2img" / "workflow.json").read_bytes())
        told = manifest.replace('"remix"', f'"another{number}"').replace('"Image to image"', f'"Menu {number}"')
        (folder / "manifest.toml").write_text(told)
    async with stage.bot():
        menus = {command["name"] for command in stage.discord.commands() if command["type"] == 3}
        assert menus == {f"Menu {number}" for number in range(MOST_MENUS)}
        assert "Menu 14" in words(await stage.until("Make something", stage.discord.slash("help")))
