"""The roles of Discord servers: which is higher, and which exist."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import anyio
import hikari
import structlog
from msgspec import Struct

from app.discord.gateway.rest.client import RestSender
from app.discord.messages.ports import SendError
from app.texts.reasons.limits import unknown_role

logger = structlog.stdlib.get_logger(__name__)

CURRENT = 600.0
"""Seconds for which positions count as current: roles are rarely moved."""


MOST_GUILDS = 100
"""Discord servers whose roles are read: each is a request."""


async def unknown_roles(rest: hikari.api.RESTClient, roles: Collection[str]) -> list[str]:
    """Those of these roles that no Discord server of the bot has; none if it is in too many servers to ask.

    Raises `hikari.HTTPError`.
    """
    guilds = [guild.id async for guild in rest.fetch_my_guilds().limit(MOST_GUILDS + 1)] if roles else []
    missing = list(roles) if 0 < len(guilds) <= MOST_GUILDS else []
    for guild in guilds if missing else ():
        known = {str(role.id) for role in await rest.fetch_roles(guild)}
        missing = [role for role in missing if role not in known]
    return missing


class _Known(Struct, frozen=True):
    positions: Mapping[str, int]
    until: float


class GuildRoles:
    """Knows the positions of the roles of each Discord server, as far as Discord has said them."""

    def __init__(self, sender: RestSender) -> None:
        self._sender = sender
        self._known: dict[str, _Known] = {}

    async def positions(self, guild: str) -> Mapping[str, int]:
        """The position of each role by its id, at most `CURRENT` seconds old if Discord answers."""
        known = self._known.get(guild)
        if known is not None and anyio.current_time() < known.until:
            return known.positions
        try:
            positions = await self._sender.role_positions(guild)
        except SendError as error:
            logger.info("the roles of a server are not known", guild=guild, reason=str(error))
            return known.positions if known is not None else {}
        self._known[guild] = _Known(positions, anyio.current_time() + CURRENT)
        return positions

    async def warn_of_unknown(self, roles: Collection[str]) -> None:
        """Log those of these roles that no Discord server has, if Discord says so."""
        try:
            for role in await self._sender.ask(lambda rest: unknown_roles(rest, roles)):
                logger.warning("a role with limits is in no server", reason=unknown_role(role))
        except SendError as error:
            logger.info("the roles with limits could not be looked up", reason=str(error))
