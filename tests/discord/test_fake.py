"""The fake Discord, tried with an unmodified bot."""

from __future__ import annotations

import anyio
import hikari
import pytest

from tests.discord.fake import FakeDiscord, Impossible, Upload, buttons_of, media_of, text_of
from tests.discord.peers import PICTURE, make_bot, running_bot


@pytest.fixture
def anyio_backend() -> str:
    """Hikari knows asyncio only."""
    return "asyncio"


async def test_commands_are_registered_and_keep_their_ids(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        first = fake.commands()
    assert {command["name"] for command in first} == {"imagine", "model", "Use as input"}
    async with running_bot(fake):
        assert fake.commands() == first
    assert len(fake.requested("PUT", "/commands")) == 1


async def test_a_deferred_command_is_resolved_by_an_edit_with_a_picture(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        interaction = fake.slash("imagine", prompt="a cat", init_image=Upload("a.png", PICTURE))
        await fake.until(lambda: len(fake.history(interaction)) == 2)
    assert [revision.state["flags"] for revision in fake.history(interaction)] == [1 << 7, 1 << 15]
    assert interaction.latency is not None
    assert interaction.latency < 3
    message = fake.message(interaction)
    assert text_of(message) == "a cat"
    assert buttons_of(message) == {"Again": "again"}
    [url] = media_of(message)
    assert fake.file(url) == PICTURE
    assert fake.requested("PATCH", "/webhooks/")[0].files == [("out.png", len(PICTURE))]


async def test_a_button_opens_a_modal_which_is_answered(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        interaction = fake.slash("imagine", prompt="a cat")
        await fake.until(lambda: len(fake.history(interaction)) == 2)
        click = fake.click(fake.message(interaction), "again")
        await fake.until(lambda: click.response == 9)
        with pytest.raises(Impossible):
            fake.submit_modal(click, {"prompt": ""})
        sent = fake.submit_modal(click, {"prompt": "a dog"})
        await fake.until(lambda: sent.original)
    assert fake.message(sent)["content"] == "a dog"


async def test_completions_are_offered(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        typing = fake.autocomplete("model", "model", "sd")
        await fake.until(lambda: typing.response)
    assert [choice["value"] for choice in typing.data["choices"]] == ["sdxl", "sd15"]


async def test_a_context_menu_gives_the_message(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        message = fake.say("look", files=[Upload("a.png", PICTURE), Upload("b.png", PICTURE)])
        interaction = fake.message_menu("Use as input", message)
        await fake.until(lambda: interaction.original)
    assert fake.message(interaction)["content"] == "2 pictures"
    assert fake.message(interaction)["flags"] == 1 << 6


async def test_what_came_during_an_outage_comes_with_the_resume(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        fake.gateway.refusing = True
        fake.gateway.abort()
        await fake.until(lambda: not fake.gateway.connected)
        typing = fake.autocomplete("model", "model", "flux")
        fake.gateway.refusing = False
        await fake.until(lambda: typing.response)
    assert (fake.gateway.count(2), fake.gateway.count(6)) == (1, 1)


async def test_opcode_7_makes_the_bot_resume(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        fake.gateway.reconnect()
        await fake.until(lambda: fake.gateway.count(6))
        await fake.until(lambda: fake.gateway.connected)
        assert fake.gateway.count(2) == 1


async def test_opcode_9_makes_the_bot_identify_again(fake: FakeDiscord) -> None:
    async with running_bot(fake):
        fake.gateway.invalidate()
        await fake.until(lambda: fake.gateway.count(2) == 2)
        await fake.until(lambda: fake.gateway.connected)


async def test_heartbeats_are_answered_and_a_bot_notices_when_not(fake: FakeDiscord) -> None:
    # The bot resumes if an answer takes longer than this, on a busy machine too.
    fake.gateway.heartbeat = 0.5
    async with running_bot(fake):
        await fake.until(lambda: fake.gateway.count(1) >= 3)
        assert fake.gateway.count(6) == 0
        fake.gateway.acknowledges = False
        await fake.until(lambda: fake.gateway.count(6))


@pytest.mark.parametrize("code", [4004, 4014])
async def test_a_fatal_close_ends_the_bot(fake: FakeDiscord, code: int) -> None:
    async with running_bot(fake) as bot:
        fake.gateway.close(code)
        with pytest.raises(hikari.GatewayServerClosedConnectionError) as closed:
            await bot.join()
    assert closed.value.code == code


async def test_privileged_intents_must_be_switched_on(fake: FakeDiscord) -> None:
    with pytest.raises(hikari.GatewayServerClosedConnectionError) as closed:
        async with running_bot(fake, intents=1 << 15):
            pass
    assert closed.value.code == 4014


async def test_a_wrong_token_is_refused(fake: FakeDiscord) -> None:
    bot = make_bot(fake, token=fake.token.replace("aaa", "bbb"))
    with pytest.raises(hikari.UnauthorizedError):
        await bot.start(check_for_updates=False)
    await bot.close()


async def test_presences_are_recorded(fake: FakeDiscord) -> None:
    async with running_bot(fake) as bot:
        await bot.update_presence(activity=hikari.Activity(name="3 pictures", type=hikari.ActivityType.WATCHING))
        await fake.until(lambda: fake.gateway.count(3))
    assert fake.gateway.presences[-1]["game"]["name"] == "3 pictures"


async def test_a_bot_that_sees_guilds_takes_the_fakes_description_of_one(fake: FakeDiscord) -> None:
    async with anyio.create_task_group() as tasks:
        bot = make_bot(fake, intents=1)

        async def on_guild(event: hikari.GuildAvailableEvent) -> None:
            assert event.guild.name == "studio"
            tasks.cancel_scope.cancel()

        bot.subscribe(hikari.GuildAvailableEvent, on_guild)
        try:
            await bot.start(check_for_updates=False)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await bot.close()
