"""What a node is given when it runs, and what it may give back."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

from msgspec import Struct
from PIL import Image

from app.ports import Graph, Json, RunSync
from app.simulator.engine.cache import Result
from app.simulator.engine.clients import Sockets
from app.simulator.engine.files import Files
from app.simulator.http import binary_frames
from app.simulator.nodes.definitions import Catalog
from app.simulator.nodes.types import Images, Value

T = TypeVar("T")


class NodeFailed(Exception):
    """A node broke. `kind` is the qualified name of the exception, as the frame tells it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Interrupted(Exception):
    """Somebody interrupted the prompt."""


class NodeContext(Struct):
    """What all nodes share. `steps` overrides every sampler's own; `step_time` is in seconds.

    `salt` is added to every model's name where something is painted.
    """

    catalog: Catalog
    files: Files
    sockets: Sockets
    run_sync: RunSync
    rng: random.Random
    steps: int | None
    step_time: float
    previews: bool
    salt: str


class Step(Protocol):
    """Tell progress; raises `Interrupted`."""

    async def __call__(
        self, value: int, maximum: int, image: bytes | None = None, form: int = binary_frames.JPEG
    ) -> None:
        """This many steps are done; perhaps with a picture. Waits while the worker is held."""
        ...


class Call(Struct):
    """One node at work."""

    node: str
    class_type: str
    inputs: dict[str, Value]
    graph: Graph
    extra_data: dict[str, Json]
    client: str | None
    context: NodeContext
    step: Step

    def words(self, name: str, default: str = "") -> str:
        """A text."""
        value = self.inputs.get(name, default)
        return value if isinstance(value, str) else default

    def number(self, name: str, default: float = 0) -> float:
        """A number."""
        value = self.inputs.get(name, default)
        return value if isinstance(value, (int, float)) else default

    def whole(self, name: str, default: int = 0) -> int:
        """A whole number."""
        return int(self.number(name, default))

    def get(self, name: str, kind: type[T]) -> T | None:
        """An input, if it is of this kind."""
        value = self.inputs.get(name)
        return value if isinstance(value, kind) else None

    def first(self, kind: type[T]) -> T | None:
        """The first input of this kind, whatever it is called."""
        return next((value for value in self.inputs.values() if isinstance(value, kind)), None)

    def pictures(self) -> tuple[Image.Image, ...]:
        """The first batch of pictures among the inputs; a grey one where there is none."""
        found = self.first(Images)
        return found.batch if found else (Image.new("RGB", (512, 512), (120, 124, 132)),)


class Expansion(Struct, frozen=True):
    """Instead of a result: nodes to run first, and which of their outputs are the result's."""

    graph: Graph
    outputs: tuple[tuple[str, int], ...]


Node: TypeAlias = Callable[[Call], Awaitable[Result | Expansion]]
"""What a class does."""
