"""Translates the errors of coredis, anyio and the system into reasons."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import cast

from coredis.exceptions import AuthenticationError, BusyLoadingError, ResponseError

from app.reasons.servers import EngineAway, EngineRefuses, TlsFailed, UnknownHost, UntrustedCertificate

LONGEST = 100
"""Maximum number of characters of a message in a reason."""

EngineReason = EngineAway | EngineRefuses | UnknownHost | UntrustedCertificate | TlsFailed


def engine_reason(error: BaseException) -> EngineReason:
    """Why the engine cannot be used. coredis and anyio wrap the same few errors, so the innermost known one decides."""
    causes = list(_causes(error))[::-1]
    for cause in causes:
        match cause:
            case AuthenticationError():
                return EngineRefuses(_shortened(str(cause)) or "authentication required")
            case ssl.SSLCertVerificationError():
                return UntrustedCertificate(_shortened(cause.verify_message))
            case ssl.SSLError():
                return TlsFailed(_shortened(cause.reason or str(cause)))
            case socket.gaierror():
                return UnknownHost()
            case BusyLoadingError():
                return EngineAway(_shortened(str(cause)))
            case ResponseError():
                return EngineRefuses(_shortened(str(cause)))
            case TimeoutError():
                return EngineAway("no answer in time")
            case _:
                pass
    message = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    return EngineAway(_shortened(message) or type(error).__name__)


def _shortened(message: str) -> str:
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
        if isinstance(cause, BaseExceptionGroup):
            ahead += cast("BaseExceptionGroup[BaseException]", cause).exceptions
        ahead += [each for each in (cause.__cause__, cause.__context__) if each is not None]
