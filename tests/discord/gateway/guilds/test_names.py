"""Names for the page: as Discord has them, soon, and asked for once."""

from __future__ import annotations

import anyio
import pytest

from app.discord.gateway.guilds import names as module
from app.discord.gateway.guilds.names import CURRENT, DiscordNames
from tests.discord.fake import FakeDiscord
from tests.discord.gateway.guilds.test_visibility import sender_of

pytestmark = pytest.mark.anyio


async def test_names_are_those_that_people_see_in_discord_and_are_asked_for_once_an_hour(fake: FakeDiscord) -> None:
    clock = [1000.0]
    bob, thread = fake.person("bob"), fake.open_thread("drawings")
    bob.nick = "Bobby"
    async with sender_of(fake) as sender, anyio.create_task_group() as tasks:
        names = DiscordNames(tasks, sender, lambda: clock[0])
        for _ in range(2):
            assert await names.person(bob.id) == "Bob"
            assert await names.person(bob.id, fake.guild.id) == "Bobby"
            assert await names.guild(fake.guild.id) == "studio"
            assert await names.channel(thread.id) == "drawings"
            assert await names.channel(fake.dm().id) == ""
        asked = len(fake.requests)
        fake.guild.left.add(bob.id)
        bob.name = "robert"
        clock[0] += CURRENT
        assert await names.person(bob.id, fake.guild.id) == "Robert", "who left has no name there"
        assert len(fake.requests) == asked + 2


async def test_an_unknown_name_is_empty_and_what_is_no_id_is_not_asked_for(fake: FakeDiscord) -> None:
    async with sender_of(fake) as sender, anyio.create_task_group() as tasks:
        names = DiscordNames(tasks, sender)
        assert await names.person("123") == ""
        assert await names.guild("123") == ""
        asked = len(fake.requests)
        assert await names.person("") == ""
        assert await names.person("terminal", fake.guild.id) == ""
        assert await names.channel("../users/@me") == ""
        assert len(fake.requests) == asked


async def test_a_slow_or_absent_discord_delays_no_page_and_the_last_name_stays(
    fake: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    async with sender_of(fake) as sender, anyio.create_task_group() as tasks:
        names = DiscordNames(tasks, sender, lambda: clock[0])
        assert await names.guild(fake.guild.id) == "studio"
        clock[0] += CURRENT
        fake.fail("GET", "/guilds", status=503, times=None)
        assert await names.guild(fake.guild.id) == "studio"
        fake.heal()
        held = fake.fail("GET", "/channels", hold=True)
        monkeypatch.setattr(module, "PATIENCE", 0.0)
        assert await names.channel(fake.channel.id) == ""
        fake.state.do(held.lifted.set)
        monkeypatch.undo()
        assert await names.channel(fake.channel.id) == "art"
