"""Translates the errors of coredis, anyio and the system into reasons."""

from __future__ import annotations

import socket
import ssl

from coredis.exceptions import AuthenticationError, BusyLoadingError, ResponseError

from app.library_errors import causes_of, short_message, system_message
from app.reasons.servers import EngineAway, EngineRefuses, TlsFailed, UnknownHost, UntrustedCertificate

EngineReason = EngineAway | EngineRefuses | UnknownHost | UntrustedCertificate | TlsFailed


def engine_reason(error: BaseException) -> EngineReason:
    """Why the engine cannot be used. coredis and anyio wrap the same few errors, so the innermost known one decides."""
    for cause in reversed(list(causes_of(error))):
        match cause:
            case AuthenticationError():
                return EngineRefuses(short_message(str(cause)) or "authentication required")
            case ssl.SSLCertVerificationError():
                return UntrustedCertificate(short_message(cause.verify_message))
            case ssl.SSLError():
                return TlsFailed(short_message(cause.reason or str(cause)))
            case socket.gaierror():
                return UnknownHost()
            case BusyLoadingError():
                return EngineAway(short_message(str(cause)))
            case ResponseError():
                return EngineRefuses(short_message(str(cause)))
            case TimeoutError():
                return EngineAway("no answer in time")
            case _:
                pass
    return EngineAway(system_message(error))
