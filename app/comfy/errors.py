"""Translates the errors of httpx, aiohttp, trio and ssl into the errors of the ports."""

from __future__ import annotations

import socket
import ssl

import httpx

from app.library_errors import causes_of, short_message, system_message
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
            return Refused(AnswerInvalid(short_message(str(error)) or type(error).__name__), certain=False)


def _limit(request: httpx.Request | None, which: str) -> float:
    """The timeout of the request, in seconds."""
    return request.extensions["timeout"][which] if request is not None else 0.0


def _left(error: httpx.RemoteProtocolError) -> bool:
    message = str(error)
    return "disconnected" in message or "closed connection" in message or "incomplete" in message


def network_reason(error: BaseException) -> NetworkReason:
    """The reason for an error of the network.

    trio, asyncio, aiohttp and httpx wrap the same few errors, and some wrappers look like what they wrap, so the
    innermost known error decides.
    """
    for cause in reversed(list(causes_of(error))):
        match cause:
            case ssl.SSLCertVerificationError():
                return UntrustedCertificate(short_message(cause.verify_message))
            case ssl.SSLError():
                return TlsFailed(short_message(cause.reason or str(cause)))
            case ConnectionRefusedError():
                return RefusedConnection()
            case socket.gaierror():
                return UnknownHost()
            case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
                return HungUp()
            case _:
                pass
    return OutOfReach(system_message(error))
