"""Translates the errors of httpx, aiohttp, trio and ssl into the errors of the ports."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import cast

import httpx

from app.ports import ConnectionLost, Refused
from app.reasons.servers import (
    AnswerInvalid,
    HungUp,
    NetworkReason,
    NoAnswer,
    NotHttp,
    OutOfReach,
    RefusedConnection,
    SaysNothing,
    TlsFailed,
    TooManyRequests,
    UnknownHost,
    UntrustedCertificate,
)


def translate_error(error: Exception, request: httpx.Request | None = None) -> ConnectionLost | Refused:
    """The error of the ports for an exception: `ConnectionLost` if another attempt may help.

    Anything else is `Refused` and not `certain`, because it is not known what the server did.
    """
    match error:
        case httpx.ConnectTimeout():
            return ConnectionLost(NoAnswer(_limit(request, "connect")))
        case httpx.PoolTimeout():
            return ConnectionLost(TooManyRequests())
        case httpx.TimeoutException():
            return ConnectionLost(SaysNothing(_limit(request, "read")))
        case httpx.RemoteProtocolError():
            # h11 reports both cases as this error.
            return ConnectionLost(HungUp() if _left(error) else NotHttp())
        case httpx.TransportError() | OSError():
            return ConnectionLost(network_reason(error))
        case _:
            return Refused(AnswerInvalid(shortened(str(error)) or type(error).__name__), certain=False)


def _limit(request: httpx.Request | None, which: str) -> float:
    """The timeout of the request, in seconds."""
    return request.extensions["timeout"][which] if request is not None else 0.0


def _left(error: httpx.RemoteProtocolError) -> bool:
    message = str(error)
    return "disconnected" in message or "closed connection" in message or "incomplete" in message


LONGEST = 100
"""Maximum number of characters of a library's message in a reason."""


def network_reason(error: BaseException) -> NetworkReason:
    """The reason for an error of the network.

    trio, asyncio, aiohttp and httpx wrap the same few errors, and some wrappers look like what they wrap, so the
    innermost known error decides.
    """
    causes = list(_causes(error))[::-1]
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                return UntrustedCertificate(shortened(cause.verify_message))
            case ssl.SSLError():
                return TlsFailed(shortened(cause.reason or str(cause)))
            case ConnectionRefusedError():
                return RefusedConnection()
            case socket.gaierror():
                return UnknownHost()
            case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
                return HungUp()
            case _:
                pass
    message = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    return OutOfReach(shortened(message) or type(error).__name__)


def shortened(message: str) -> str:
    """Shorten a library's message to its first line: some repeat everything that the server sent."""
    line = next(iter(message.splitlines()), "").strip()
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
