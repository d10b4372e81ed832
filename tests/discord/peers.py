"""A small bot of hikari and lightbulb, as a stranger would write it, for the fake to be tried with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import hikari
import lightbulb
from hikari.impl import (
    CacheSettings,
    ContainerComponentBuilder,
    MediaGalleryComponentBuilder,
    MessageActionRowBuilder,
    ModalActionRowBuilder,
)

from tests.discord.fake import FakeDiscord

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fcffff3f0300"
    "05fe02fe0def46b80000000049454e44ae426082"
)
"""The smallest PNG: one pixel."""


def picture_card(text: str) -> ContainerComponentBuilder:
    """A V2 container with a text, a gallery of one picture and a button."""
    card = ContainerComponentBuilder()
    card.add_text_display(text)
    gallery = MediaGalleryComponentBuilder()
    gallery.add_media_gallery_item(hikari.Bytes(PICTURE, "out.png"))
    card.add_component(gallery)
    row = MessageActionRowBuilder()
    row.add_interactive_button(hikari.ButtonStyle.SECONDARY, "again", label="Again")
    card.add_component(row)
    return card


class Imagine(lightbulb.SlashCommand, name="imagine", description="Make a picture"):
    prompt = lightbulb.string("prompt", "What to paint", max_length=1500)
    image = lightbulb.attachment("init-image", "Where to begin", default=None)
    steps = lightbulb.integer("steps", "How long", default=20, min_value=1, max_value=50)

    @lightbulb.invoke
    async def invoke(self, ctx: lightbulb.Context) -> None:
        await ctx.defer()
        await ctx.interaction.edit_initial_response(component=picture_card(self.prompt))


async def complete(ctx: lightbulb.AutocompleteContext[str]) -> None:
    typed = str(ctx.focused.value or "")
    await ctx.respond([name for name in ("sdxl", "sd15", "flux") if typed in name])


class Model(lightbulb.SlashCommand, name="model", description="Choose a model"):
    model = lightbulb.string("model", "Which", autocomplete=complete)

    @lightbulb.invoke
    async def invoke(self, ctx: lightbulb.Context) -> None:
        await ctx.respond(self.model, ephemeral=True)


class UseAsInput(lightbulb.MessageCommand, name="Use as input"):
    @lightbulb.invoke
    async def invoke(self, ctx: lightbulb.Context) -> None:
        await ctx.respond(f"{len(self.target.attachments)} pictures", ephemeral=True)


async def on_component(event: hikari.ComponentInteractionCreateEvent) -> None:
    row = ModalActionRowBuilder()
    row.add_text_input("prompt", "Prompt", required=True, max_length=1500)
    await event.interaction.create_modal_response("Once more", "edit", component=row)


async def on_modal(event: hikari.ModalInteractionCreateEvent) -> None:
    [[field]] = event.interaction.components
    await event.interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, field.value)


def make_bot(fake: FakeDiscord, *, token: str | None = None, intents: int = 0) -> hikari.GatewayBot:
    """A bot that speaks to the fake and to nobody else."""
    return hikari.GatewayBot(
        token or fake.token,
        rest_url=fake.rest_url,
        banner=None,
        logs=None,
        suppress_optimization_warning=True,
        intents=hikari.Intents(intents),
        auto_chunk_members=False,
        cache_settings=CacheSettings(components=hikari.api.CacheComponents.NONE),
    )


@asynccontextmanager
async def running_bot(fake: FakeDiscord, *, intents: int = 0) -> AsyncGenerator[hikari.GatewayBot]:
    """The bot, ready, for the length of the block."""
    bot = make_bot(fake, intents=intents)
    client = lightbulb.client_from_app(bot)
    for command in (Imagine, Model, UseAsInput):
        client.register(command)
    bot.subscribe(hikari.ComponentInteractionCreateEvent, on_component)
    bot.subscribe(hikari.ModalInteractionCreateEvent, on_modal)
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
    try:
        await bot.start(check_for_updates=False)
        await client.start()
        yield bot
    finally:
        with anyio.move_on_after(5, shield=True):
            await client.stop()
            if bot.is_alive:
                await bot.close()
