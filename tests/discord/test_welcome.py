"""A server that adds the bot is welcomed once: whoever added it, else its system channel, else nobody."""

from __future__ import annotations

import anyio
import pytest

from app.discord.gateway.guilds import arrivals
from app.texts.discord.help import EXAMPLES
from tests.discord.fake import Payload
from tests.discord.fake.world import MEMBER, SEND_MESSAGES, Guild, describe_everyone, describe_guild
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, words

anyio_backend = only_on("trio")


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who added the bot is known at once, or not at all."""
    monkeypatch.setattr(arrivals, "PATIENCE", 0.1)


def welcomes(stage: Stage) -> list[Payload]:
    """All messages with which the bot greeted somebody."""
    return [
        message for message in stage.discord.messages if "### Hello!" in words(message) or "Thank" in words(message)
    ]


async def welcomed(stage: Stage, count: int = 1) -> Payload:
    await stage.discord.until(lambda: len(welcomes(stage)) == count)
    return welcomes(stage)[-1]


async def refused(stage: Stage, path: str) -> None:
    """Wait until Discord has refused a request."""
    await stage.discord.until(lambda: [one for one in stage.discord.requests if path in one.path and one.code])


async def said_to_nobody(stage: Stage, guild: Guild) -> bool:
    """Whether the journal has the welcome, and nobody reads one, also a little later."""
    await stage.discord.until(lambda: [one for one in stage.discord.requests if guild.id in one.path])
    await anyio.sleep(0.2)
    return not welcomes(stage)


async def test_whoever_added_the_bot_is_thanked_directly_and_only_once(stage: Stage) -> None:
    discord = stage.discord
    async with stage.bot():
        bob = discord.person("bob")
        guild = discord.add_bot("Bob's *studio*", bob, system_channel=True)
        message = await welcomed(stage)
        assert message["channel_id"] == discord.dm(bob).id
        assert "Bob's \\*studio\\*" in words(message)
        ids = {command["name"]: command["id"] for command in discord.commands()}
        assert f"</imagine:{ids['imagine']}>" in words(message)
        assert f"</help:{ids['help']}>" in words(message)
        assert discord.guild.id != guild.id
    async with stage.bot():
        # The servers of before are there again at a restart, and one may be left and joined again.
        discord.change_guild("GUILD_DELETE", {"id": guild.id})
        discord.change_guild("GUILD_CREATE", describe_guild(guild, [], []))
        discord.add_bot("Another", bob)
        await welcomed(stage, 2)
        await said_to_nobody(stage, guild)
        assert len(welcomes(stage)) == 2


async def test_the_audit_log_says_who_added_the_bot_where_it_may_be_read(stage: Stage) -> None:
    discord = stage.discord
    async with stage.bot():
        bob = discord.person("bob")
        entry = {"id": "9", "target_id": discord.state.bot.id, "user_id": bob.id, "action_type": 28}
        discord.arrival = lambda guild: setattr(guild, "audit_log", [entry])
        discord.add_bot("Studio")
        assert (await welcomed(stage))["channel_id"] == discord.dm(bob).id


async def test_where_nobody_is_known_or_takes_messages_the_system_channel_gets_a_greeting(stage: Stage) -> None:
    discord = stage.discord
    async with stage.bot():
        first = discord.add_bot("Studio", system_channel=True)
        message = await welcomed(stage)
        assert message["channel_id"] == first.system_channel
        assert f"[{EXAMPLES[0].label}]" in words(message)
        bob = discord.person("bob")
        bob.takes_dms = False
        second = discord.add_bot("Attic", bob, system_channel=True)
        assert (await welcomed(stage, 2))["channel_id"] == second.system_channel
        result = await stage.result(stage.press(message, EXAMPLES[0].label))
        assert result["channel_id"] == first.system_channel


async def test_where_the_bot_may_not_write_nobody_is_greeted(stage: Stage) -> None:
    discord = stage.discord

    def silence(guild: Guild) -> None:
        for channel in discord.state.channels.values():
            if channel.guild is guild:
                channel.bot_permissions = MEMBER & ~SEND_MESSAGES

    async with stage.bot():
        discord.arrival = silence
        guild = discord.add_bot("Studio", system_channel=True)
        await refused(stage, str(guild.system_channel))
        nobody = discord.add_bot("Attic")
        assert await said_to_nobody(stage, nobody)


async def test_servers_that_were_there_before_are_not_greeted_at_a_restart(stage: Stage) -> None:
    stage.discord.guild.system_channel = stage.discord.channel.id
    for _ in range(2):
        async with stage.bot():
            await stage.result(stage.discord.slash("txt2img", {"prompt": "a cat", "width": 64, "height": 64}))
            assert not welcomes(stage)


async def test_a_server_without_the_commands_is_not_greeted(stage: Stage) -> None:
    async with stage.bot(guilds=(int(stage.discord.guild.id),)):
        guild = stage.discord.add_bot("Elsewhere", system_channel=True)
        assert await said_to_nobody(stage, guild)


async def test_a_revoked_role_counts_at_once_where_discord_says_so(stage: Stage) -> None:
    discord = stage.discord
    async with stage.bot():
        stage.hold()
        asked = discord.slash("imagine", {"prompt": "a public fox"})
        await stage.until("[Cancel]", asked)
        bob = discord.person("bob")
        queue = discord.slash("queue", {}, user=bob)
        assert "a public fox" in await stage.ephemeral_followup(queue)
        discord.guild.everyone = 0
        role: Payload = {"guild_id": discord.guild.id, "role": describe_everyone(discord.guild)}
        discord.change_guild("GUILD_ROLE_UPDATE", role)
        with anyio.fail_after(30):
            text = "a public fox"
            while "a public fox" in text:
                text = await stage.ephemeral_followup(discord.slash("queue", {}, user=bob))
