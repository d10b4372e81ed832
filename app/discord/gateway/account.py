"""The bot's account in Discord: who it is, how it is invited, and what it may do where. Only reads, by REST."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

import aiohttp
import anyio
import hikari
from hikari.impl import RESTClientImpl
from hikari.urls import REST_API_URL
from msgspec import Struct

from app.discord.bridge import cancel_stray_tasks, loop_bridge
from app.discord.gateway.bot import check_token, hikari_bot
from app.discord.gateway.guilds.invite import INVITED, invite_link
from app.discord.gateway.outage import SetupError, describe, fatal

MOST_GUILDS = 100
"""Discord servers that are looked at."""

PATIENCE = 30.0
"""Seconds for all answers of Discord."""


class Guild(Struct, frozen=True):
    """A Discord server of the bot; `missing` are the permissions that its roles do not give it there."""

    id: int
    name: str
    missing: tuple[str, ...] = ()


class Account(Struct, frozen=True):
    """The bot's application; `guilds` are the Discord servers to which it was invited, at most `MOST_GUILDS`.

    `clock_ahead` is by how many seconds this machine's clock is ahead of Discord's, None if that is not known.
    """

    id: int
    name: str
    guilds: tuple[Guild, ...] = ()
    clock_ahead: float | None = None

    @property
    def invite_link(self) -> str:
        """The address that invites the bot to a Discord server."""
        return invite_link(self.id)


async def read_account(token: str, rest_url: str) -> Account:
    """Ask Discord, at `rest_url` unless it is "", whose token this is. Raises `SetupError`, whose text says why not."""
    check_token(token)

    async def ask() -> Account:
        bot = hikari_bot(token, rest_url)
        async with cancel_stray_tasks(_ignore, hikari):
            cast("RESTClientImpl", bot.rest).start()
            try:
                with anyio.fail_after(PATIENCE):
                    application = await bot.rest.fetch_application()
                    guilds = [_guild(guild) async for guild in bot.rest.fetch_my_guilds().limit(MOST_GUILDS)]
                    ahead = await _clock_ahead(rest_url or REST_API_URL)
            except Exception as error:  # noqa: BLE001  also what hikari cannot read
                raise SetupError(fatal(error) or describe(error)) from None
            finally:
                with anyio.CancelScope(shield=True):
                    await bot.rest.close()
        return Account(int(application.id), application.name, tuple(guilds), ahead)

    async with loop_bridge() as (into_asyncio, _):
        return await into_asyncio(ask)


async def _clock_ahead(rest_url: str) -> float | None:
    """By how many seconds our clock is ahead, from the date in any answer; hikari does not show it."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{rest_url}/gateway") as response:
            theirs = parsedate_to_datetime(response.headers["Date"])
    except (aiohttp.ClientError, KeyError, ValueError):
        return None
    return (datetime.now(UTC) - theirs).total_seconds()


def _guild(guild: hikari.OwnGuild) -> Guild:
    allowed = guild.my_permissions
    missing = hikari.Permissions.NONE if allowed & hikari.Permissions.ADMINISTRATOR else INVITED & ~allowed
    names = [str(permission.name).replace("_", " ").title() for permission in INVITED if permission & missing]
    return Guild(int(guild.id), guild.name, tuple(names))


def _ignore(_: str, __: BaseException | None, ___: object) -> None:
    """Errors in hikari's own tasks have no place here: each request reports its own."""
