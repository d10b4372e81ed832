"""A typical Discord bot for comparison: it asks ComfyUI once a second whether a picture is finished.

Its pictures are those of `bench.lag`, whatever the prompt is.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import uuid

import aiohttp
import hikari

from app.ports import Json
from bench.lag import graph

SEEDS = itertools.count()


async def _picture(session: aiohttp.ClientSession, prompt: str) -> bytes:
    while True:
        async with session.get(f"/history/{prompt}") as answer:
            history = await answer.json()
        if prompt in history:
            break
        await asyncio.sleep(1)
    image = next(image for output in history[prompt]["outputs"].values() for image in output["images"])
    async with session.get("/view", params=image) as answer:
        return await answer.read()


async def _imagine(session: aiohttp.ClientSession, interaction: hikari.CommandInteraction) -> None:
    await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
    prompt = str(uuid.uuid4())
    body: dict[str, Json] = {"prompt": graph(next(SEEDS)), "client_id": uuid.uuid4().hex, "prompt_id": prompt}  # pyright: ignore[reportAssignmentType]
    async with session.post("/prompt", json=body) as answer:
        answer.raise_for_status()
    picture = await _picture(session, prompt)
    await interaction.edit_initial_response("Here it is.", attachment=hikari.Bytes(picture, "picture.png"))


def main() -> None:
    bot = hikari.GatewayBot(
        os.environ["DISCORD_TOKEN"], rest_url=os.environ["DISCORD_REST_URL"], banner=None, logs=None
    )
    sessions: list[aiohttp.ClientSession] = []

    @bot.listen()
    async def start(_: hikari.StartedEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        sessions.append(aiohttp.ClientSession(os.environ["COMFYUI_URL"]))
        application = await bot.rest.fetch_application()
        command = bot.rest.slash_command_builder("txt2img", "A picture from words.")
        command.add_option(hikari.CommandOption(type=hikari.OptionType.STRING, name="prompt", description="Words."))
        for name in ("steps", "width", "height"):
            command.add_option(hikari.CommandOption(type=hikari.OptionType.INTEGER, name=name, description="Not used."))
        await bot.rest.set_application_commands(application, [command])

    @bot.listen()
    async def interact(event: hikari.InteractionCreateEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        if isinstance(event.interaction, hikari.CommandInteraction):
            await _imagine(sessions[0], event.interaction)

    @bot.listen()
    async def stop(_: hikari.StoppedEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        await sessions[0].close()

    bot.run(check_for_updates=False)


if __name__ == "__main__":
    main()
