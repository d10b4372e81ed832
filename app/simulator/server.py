"""What a run needs of the server it runs on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from app.ports import Json, RunSync
from app.simulator.canvas import Value
from app.simulator.files import Files
from app.simulator.sockets import Sockets
from app.simulator.validation import Validator


class Cache:
    """Owns the results of earlier runs, by what they depend on."""

    def __init__(self) -> None:
        self.values: dict[bytes, Value] = {}
        self.shown: dict[bytes, dict[str, Json]] = {}


class World(Struct):
    """What a run needs of its server."""

    files: Files
    sockets: Sockets
    validator: Validator
    cache: Cache
    steps: int | None
    step_time: float
    previews: bool
    salt: str
    """Added to every model's name, so that another simulator paints otherwise."""
    run_sync: RunSync
    clock: Callable[[], int]
    gate: Callable[[], Awaitable[None]]
    """Awaited before each node and step: raises `Interrupted`, and waits while the server is held."""
