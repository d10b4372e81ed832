"""The roles of Discord servers: which is higher, and which exist."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import structlog
from msgspec import Struct

from app.discord.gateway.rest import RestSender
from app.discord.messages.ports import SendError

logger = structlog.stdlib.get_logger(__name__)

CURRENT = 600.0
"""Seconds for which positions count as current: roles are rarely moved."""


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
