"""In which channel the bot may post: https://discord.com/developers/docs/topics/permissions."""

from __future__ import annotations

from unittest import mock

import hikari
import pytest
from hikari.impl import EntityFactoryImpl

from app.discord.gateway.guilds.channels import first_writable
from tests.discord.fake.wire import Payload
from tests.discord.fake.world import (
    ADMINISTRATOR,
    ATTACH_FILES,
    MEMBER,
    READ_HISTORY,
    SEND_MESSAGES,
    VIEW_CHANNEL,
    Channel,
    Guild,
    Person,
    describe_everyone,
)

FACTORY = EntityFactoryImpl(app=mock.Mock())
GUILD = Guild("100", "studio")
EVERYONE, PAINTER, GUEST, BOT = "100", "200", "300", "400"
ROLE, MEMBER_ITSELF = 0, 1
NEEDED = VIEW_CHANNEL | SEND_MESSAGES | ATTACH_FILES | READ_HISTORY

Overwrite = tuple[str, int, int, int]
"""Whose, of which type, what it allows, and what it denies."""


def chosen(*channels: Payload, everyone: int = MEMBER, painter: int = 0) -> str:
    """The name of the channel that is chosen for a bot with two roles; "" if there is none."""
    roles = [describe_everyone(GUILD) | {"permissions": str(everyone)}]
    roles += [roles[0] | {"id": PAINTER, "permissions": str(painter)}, roles[0] | {"id": GUEST, "permissions": "0"}]
    member = Person(BOT, "atelier", roles=[PAINTER, GUEST], bot=True).membership()
    place = first_writable(
        [FACTORY.deserialize_guild_text_channel(channel) for channel in channels if channel["type"] == 0],
        [FACTORY.deserialize_role(role, guild_id=hikari.Snowflake(GUILD.id)) for role in roles],
        FACTORY.deserialize_member(member, guild_id=hikari.Snowflake(GUILD.id)),
    )
    return str(place.name) if place is not None else ""


def channel(*overwrites: Overwrite, name: str = "art", position: int = 0) -> Payload:
    described = Channel(f"50{position}", name, GUILD).describe() | {"position": position}
    described["permission_overwrites"] = [
        {"id": ident, "type": kind, "allow": str(allow), "deny": str(deny)} for ident, kind, allow, deny in overwrites
    ]
    return described


@pytest.mark.parametrize("permission", [VIEW_CHANNEL, SEND_MESSAGES, ATTACH_FILES, READ_HISTORY])
def test_each_permission_is_needed(permission: int) -> None:
    assert chosen(channel(), everyone=NEEDED) == "art"
    assert chosen(channel(), everyone=NEEDED & ~permission) == ""
    assert chosen(channel(), everyone=NEEDED & ~permission, painter=permission) == "art"
    assert chosen(channel((EVERYONE, ROLE, 0, permission))) == ""


def test_overwrites_of_roles_go_before_those_of_everybody_and_those_of_the_bot_before_all() -> None:
    shut = (EVERYONE, ROLE, 0, SEND_MESSAGES)
    assert chosen(channel(shut, (PAINTER, ROLE, SEND_MESSAGES, 0))) == "art"
    assert chosen(channel((PAINTER, ROLE, SEND_MESSAGES, 0), (GUEST, ROLE, 0, SEND_MESSAGES))) == "art"
    assert chosen(channel((PAINTER, ROLE, 0, SEND_MESSAGES), (EVERYONE, ROLE, SEND_MESSAGES, 0))) == ""
    assert chosen(channel(shut, (BOT, MEMBER_ITSELF, SEND_MESSAGES, 0))) == "art"
    assert chosen(channel((PAINTER, ROLE, SEND_MESSAGES, 0), (BOT, MEMBER_ITSELF, 0, SEND_MESSAGES))) == ""
    assert chosen(channel(shut, ("999", ROLE, SEND_MESSAGES, 0))) == ""


def test_an_administrator_may_post_everywhere() -> None:
    assert chosen(channel((EVERYONE, ROLE, 0, NEEDED)), painter=ADMINISTRATOR) == "art"


def test_the_first_by_position_is_chosen() -> None:
    shut = channel((EVERYONE, ROLE, 0, SEND_MESSAGES), name="rules")
    assert chosen(channel(name="third", position=2), channel(name="second", position=1), shut) == "second"
