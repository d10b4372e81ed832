"""What httpx says went wrong, as the Comfy port says it."""

from __future__ import annotations

import httpx

from app.comfy.reach import shortened, why
from app.ports import ConnectionLost, Refused


def failure(server: str, error: Exception, request: httpx.Request | None = None) -> ConnectionLost | Refused:
    """A loss, after which it is worth to ask again; anything else is refused, and nobody knows what the server did."""
    match error:
        case httpx.ConnectTimeout():
            told = f"it did not answer within {_limit(request, 'connect'):g} s"
        case httpx.PoolTimeout():
            told = "too many requests wait for it"
        case httpx.TimeoutException():
            told = f"it said nothing for {_limit(request, 'read'):g} s"
        case httpx.RemoteProtocolError():
            # h11 says both in its own words.
            told = "it hung up in the middle" if _left(error) else "its answer is not HTTP"
        case httpx.TransportError() | OSError():
            told = why(error)
        case _:
            reason = shortened(str(error)) or type(error).__name__
            return Refused(f"{server} answers with nonsense: {reason}.", certain=False)
    return ConnectionLost(f"{server} cannot be reached: {told}")


def _limit(request: httpx.Request | None, which: str) -> float:
    """Seconds that the request was given."""
    return request.extensions["timeout"][which] if request is not None else 0.0


def _left(error: httpx.RemoteProtocolError) -> bool:
    told = str(error)
    return "disconnected" in told or "closed connection" in told or "incomplete" in told
