"""Why another machine could not be reached, in plain words, whichever library noticed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import cast

LONGEST = 100
"""Letters of a library's own words that a sentence may hold."""


def why(error: BaseException) -> str:
    """Say it in half a sentence that begins with “it”, or with “its”.

    trio, asyncio, aiohttp and httpx wrap the same few errors, and some wrappers pretend to be what they wrap:
    so the innermost error that means something is the one that tells.
    """
    causes = list(_causes(error))[::-1]
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not to be trusted: {cause.verify_message}"
            case ssl.SSLError():
                return f"it speaks no TLS that we do: {cause.reason or cause}"
            case ConnectionRefusedError():
                return "it refused the connection"
            case socket.gaierror():
                return "its name is not known"
            case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
                return "it hung up"
            case _:
                pass
    told = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    return f"it is out of reach: {shortened(told) or type(error).__name__}"


def shortened(told: str) -> str:
    """The first line of what a library says, for a sentence: some repeat everything that the server sent."""
    line = next(iter(told.splitlines()), "").strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and below it whatever led to it, outermost first."""
    seen: set[int] = set()
    ahead = [error]
    while ahead:
        cause = ahead.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        match cause:
            case BaseExceptionGroup(exceptions=inner):
                ahead += cast("tuple[BaseException, ...]", inner)
            case _:
                pass
        # Also a suppressed context: httpcore says `from None`, and hides the one thing worth knowing.
        ahead += [other for other in (cause.__cause__, cause.__context__) if other is not None]
