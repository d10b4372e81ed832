"""The arguments of a node when it runs, and what it may return or raise."""

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
from app.simulator.version import Version

T = TypeVar("T")

_PREVIEW_METHODS = {"none", "auto", "latent2rgb", "taesd"}
"""The values of `extra_data.preview_method` that override the server's; with any other, the server's holds."""


class NodeFailed(Exception):
    """A node failed. `kind` is the qualified name of the exception, as in the frame."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Interrupted(Exception):
    """The prompt was interrupted."""


class NodeContext(Struct):
    """What all nodes share. `steps` overrides every sampler's steps; `step_time` is in seconds,
    and `pace` multiplies the seconds of the test nodes.

    `version` is what the simulator acts as; `salt` is added to the model's name for every painted image.
    """

    version: Version
    catalog: Catalog
    files: Files
    sockets: Sockets
    run_sync: RunSync
    rng: random.Random
    steps: int | None
    step_time: float
    pace: float
    previews: bool
    salt: str


class Step(Protocol):
    """Reports a node's progress. Raises `Interrupted`."""

    async def __call__(
        self, value: int, maximum: int, image: bytes | None = None, form: int = binary_frames.JPEG
    ) -> None:
        """Report `value` of `maximum` steps, optionally with a preview image. Waits while the worker is held."""
        ...


class Call(Struct):
    """One execution of a node, with its inputs."""

    node: str
    class_type: str
    inputs: dict[str, Value]
    graph: Graph
    extra_data: dict[str, Json]
    client: str | None
    context: NodeContext
    step: Step

    def words(self, name: str, default: str = "") -> str:
        """Return a text input; `default` if it is missing or not a text."""
        value = self.inputs.get(name, default)
        return value if isinstance(value, str) else default

    def number(self, name: str, default: float = 0) -> float:
        """Return a number input; `default` if it is missing or not a number."""
        value = self.inputs.get(name, default)
        return value if isinstance(value, (int, float)) else default

    def whole(self, name: str, default: int = 0) -> int:
        """Return a number input as an int."""
        return int(self.number(name, default))

    def get(self, name: str, kind: type[T]) -> T | None:
        """Return an input if it is of this type, else None."""
        value = self.inputs.get(name)
        return value if isinstance(value, kind) else None

    @property
    def previews(self) -> bool:
        """Whether to send previews: by the server's `--preview-method`, or by the prompt's, from 0.26 on."""
        method = self.extra_data.get("preview_method") if self.context.version.modern else None
        return method != "none" if method in _PREVIEW_METHODS else self.context.previews

    def first(self, kind: type[T]) -> T | None:
        """Return the first input of this type, whatever its name; None if there is none."""
        return next((value for value in self.inputs.values() if isinstance(value, kind)), None)

    def pictures(self) -> tuple[Image.Image, ...]:
        """Return the first batch of images among the inputs; if there is none, one grey image."""
        images = self.first(Images)
        return images.batch if images else (Image.new("RGB", (512, 512), (120, 124, 132)),)


class Expansion(Struct, frozen=True):
    """Returned in place of a result: nodes to run first, and which of their outputs become the node's outputs."""

    graph: Graph
    outputs: tuple[tuple[str, int], ...]


Node: TypeAlias = Callable[[Call], Awaitable[Result | Expansion]]
"""The function that does the work of a class."""
