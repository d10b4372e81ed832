"""What httpx says went wrong, as the Comfy port says it."""

from __future__ import annotations

import httpx

from app.comfy.reach import why
from app.ports import ConnectionLost, Refused


def failure(server: str, error: httpx.HTTPError | httpx.InvalidURL) -> ConnectionLost | Refused:
    """A loss, after which it is worth to ask again; nonsense is refused."""
    match error:
        case httpx.ConnectTimeout():
            told = f"it did not answer within {_limit(error, 'connect'):g} s"
        case httpx.TimeoutException():
            told = f"it said nothing for {_limit(error, 'read'):g} s"
        case httpx.RemoteProtocolError():
            told = "it hung up in the middle"
        case httpx.TransportError():
            told = why(error)
        case _:
            return Refused(f"{server} answers with nonsense: {error}.")
    return ConnectionLost(f"{server} cannot be reached: {told}")


def _limit(error: httpx.TimeoutException, which: str) -> float:
    """Seconds that the request was given."""
    return error.request.extensions["timeout"][which]
