"""What the bot says about its health, and why it cannot say it, for the people who run it."""

from __future__ import annotations

import errno
from typing import cast

STARTING = "The bot is starting: Discord has not been reached yet."

STOPPING = "The bot is stopping: it takes no new jobs."

ON_STANDBY = "This front is on standby: it takes over when the active one is gone."

JOURNAL_NOT_OPEN = "The bot is starting: its journal is not open yet."

JOURNAL_SILENT = "The journal does not answer: look at its disk."


def body_too_large(most: int) -> str:
    """Why a request is not answered, also to people who have sent a form of the page. `most` is in bytes."""
    return f"What you sent is larger than {most // 1024} kB: go back, shorten it, and send it again."


def listen_problem(host: str, port: int, error: OSError) -> str:
    """Why the bot cannot answer at an address."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # anyio collects the errors of a name with several addresses.
    numbers = {error.errno, *(cause.errno for cause in _causes(error))}
    if errno.EADDRINUSE in numbers:
        return f"{address} is used by another program: end that one, or set another port as “listen” in [http]."
    if errno.EACCES in numbers or errno.EPERM in numbers:
        return f"The bot may not listen at {address}: set a port above 1023 as “listen” in [http]."
    return f"The bot cannot listen at {address}: set an address of this machine as “listen” in [http]."


def _causes(error: OSError) -> list[OSError]:
    match error.__cause__:
        case BaseExceptionGroup(exceptions=causes):
            return [cause for cause in cast("tuple[BaseException, ...]", causes) if isinstance(cause, OSError)]
        case OSError() as cause:
            return [cause]
        case _:
            return []
