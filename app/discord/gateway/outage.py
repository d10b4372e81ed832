"""What to do when Discord cannot be reached: wait and log why, or give up where waiting does not help."""

from __future__ import annotations

from functools import partial

import aiohttp
import anyio
import hikari
import structlog

from app.backoff import Pauses, backoff
from app.boundary import report_failure

logger = structlog.stdlib.get_logger(__name__)

REDIAL = partial(backoff, 1.0, 60.0, 0.0)
"""Pauses between two tries: Discord allows about a thousand sessions a day."""

CLOSED = {
    4004: "Discord does not accept the token: copy it anew from the developer portal into DISCORD_TOKEN.",
    4013: "Discord does not know the intents that were asked for.",
    4014: "Discord does not allow the intents that were asked for: allow them in the developer portal.",
}
"""Close codes after which waiting does not help. https://discord.com/developers/docs/topics/opcodes-and-status-codes"""


class SetupError(Exception):
    """Discord cannot be used as it is set up, and waiting does not help; the text says what to do."""


class Outage:
    """Counts the consecutive failures of one kind of request to Discord.

    The function `fatal` decides for which errors waiting does not help.
    """

    def __init__(self, what: str, *, pauses: Pauses = REDIAL) -> None:
        self._what = what
        self._pauses = pauses
        self._row = pauses()
        self._cause = ""

    async def wait(self, error: Exception) -> None:
        """Log the error, once for each cause in a row, and wait. Raises `SetupError` where waiting does not help."""
        if sentence := fatal(error):
            raise SetupError(sentence) from None
        cause = f"{type(error).__name__}: {error}"
        if cause != self._cause:
            self._cause = cause
            if isinstance(error, (hikari.HikariError, aiohttp.ClientError, OSError)):
                logger.warning(f"{self._what}; trying again until it works", reason=describe(error))
            else:
                report_failure(error, f"{self._what}; trying again until it works")
        await anyio.sleep(next(self._row))

    def over(self) -> None:
        """Record that the request succeeded."""
        if self._cause:
            logger.warning("Discord answers again")
        self._cause, self._row = "", self._pauses()


def fatal(error: Exception) -> str:
    """A sentence for an error after which waiting does not help; "" for any other."""
    match error:
        case hikari.UnauthorizedError():
            return CLOSED[4004]
        case hikari.GatewayServerClosedConnectionError(code=code):
            return CLOSED.get(int(code or 0), "")
        case _:
            return ""


def describe(error: Exception) -> str:
    """One line on what happened, without addresses."""
    match error:
        case hikari.GatewayServerClosedConnectionError(code=code, reason=reason):
            return f"Discord closed the connection ({code}): {reason}"
        case hikari.HTTPResponseError(status=status):
            return f"Discord answered with status {int(status)}"
        case TimeoutError():
            return "Discord did not answer in time"
        case _:
            return f"{type(error).__name__}: {error}"
