"""Translates the errors of httpx, aiohttp, trio and ssl into the errors of the ports, in plain words."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import cast

import httpx

from app.ports import ConnectionLost, Refused


def translate_error(server: str, error: Exception, request: httpx.Request | None = None) -> ConnectionLost | Refused:
    """The error of the ports for an exception: `ConnectionLost` if another attempt may help.

    Anything else is `Refused` and not `certain`, because it is not known what the server did.
    """
    match error:
        case httpx.ConnectTimeout():
            told = f"it did not answer within {_limit(request, 'connect'):g} s"
        case httpx.PoolTimeout():
            told = "too many requests wait for it"
        case httpx.TimeoutException():
            told = f"it said nothing for {_limit(request, 'read'):g} s"
        case httpx.RemoteProtocolError():
            # h11 reports both cases as this error.
            told = "it hung up in the middle" if _left(error) else "its answer is not HTTP"
        case httpx.TransportError() | OSError():
            told = describe_network_error(error)
        case _:
            reason = shortened(str(error)) or type(error).__name__
            return Refused(f"{server} answers with nonsense: {reason}.", certain=False)
    return ConnectionLost(f"{server} cannot be reached: {told}")


def _limit(request: httpx.Request | None, which: str) -> float:
    """The timeout of the request, in seconds."""
    return request.extensions["timeout"][which] if request is not None else 0.0


def _left(error: httpx.RemoteProtocolError) -> bool:
    told = str(error)
    return "disconnected" in told or "closed connection" in told or "incomplete" in told


LONGEST = 100
"""Maximum number of characters of a library's message in a sentence."""


def describe_network_error(error: BaseException) -> str:
    """Describe an error in half a sentence that begins with “it” or “its”.

    trio, asyncio, aiohttp and httpx wrap the same few errors, and some wrappers look like what they wrap, so the
    innermost known error decides.
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
    """Shorten a library's message to its first line, for a sentence: some repeat everything that the server sent."""
    line = next(iter(told.splitlines()), "").strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and then everything that led to it, outermost first."""
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
        # Also follow a suppressed context: httpcore raises `from None`, which hides the actual cause.
        ahead += [other for other in (cause.__cause__, cause.__context__) if other is not None]
