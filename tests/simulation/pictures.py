"""The bytes of every picture: each job has its own, without drawing anything.

A picture's bytes follow from the seed and the size of the node that it begins with: the seed is its colour, and each
job has its own. So anybody who has a job's graph can say which bytes its person must get.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from unittest.mock import patch

from PIL import Image

from app.core.jobs.job import JobRequest
from app.ports import Graph, Json
from app.simulator.engine.cache import Result
from app.simulator.nodes.context import Call
from app.simulator.nodes.types import Images

SAVERS = frozenset({"SaveImage", "SaveImageWebsocket"})

LENGTH = 500
"""Bytes of one picture."""


def content(color: int, width: int) -> bytes:
    """The file of a picture of one colour (0xRRGGBB)."""
    return b"\x89PNG\r\n\x1a\n" + f"{color:06x} {width}".encode().ljust(LENGTH, b".")


def expected(graph: Graph, number: int = 0) -> list[bytes]:
    """The pictures that a graph makes, one for each node that saves, sorted.

    As the first of a batch it is followed by others, each with the next seeds: `number` says by which.
    """
    made: list[bytes] = []
    for node, entry in graph.items():
        if entry["class_type"] in SAVERS:
            inputs = _first(graph, node)
            made.append(content(_number(inputs, "seed") + number, _number(inputs, "width")))
    return sorted(made)


def expected_of(request: JobRequest) -> list[bytes]:
    """The pictures that a request makes, with those of its batch, sorted."""
    return sorted(made for number in range(request.pictures) for made in expected(request.graph, number))


def _first(graph: Graph, node: str) -> dict[str, Json]:
    """The inputs of the node that a picture comes from."""
    inputs = graph[node]["inputs"]
    assert isinstance(inputs, dict)
    for value in inputs.values():
        match value:
            case [str(source), int()]:
                return _first(graph, source)
            case _:
                continue
    return inputs


def _number(inputs: dict[str, Json], name: str) -> int:
    value = inputs[name]
    assert isinstance(value, int)
    return value


@contextmanager
def without_pixels(drew: Callable[[bytes], None]) -> Generator[None]:
    """Replace all drawing. `drew` is told the bytes of each preview when it is made."""

    def saved(picture: Image.Image, *_: object) -> bytes:
        red, green, blue = picture.getpixel((0, 0))  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        return content(int(red) << 16 | int(green) << 8 | int(blue), picture.width)  # pyright: ignore[reportUnknownArgumentType]

    def preview(pixels: bytes, *_: object) -> bytes:
        glimpse = b"\xff\xd8\xff\xe0" + pixels[:LENGTH]
        drew(glimpse)
        return glimpse

    async def plain(call: Call) -> Result:
        """EmptyImage, in the colour of its seed."""
        seed = call.whole("seed")
        colour = seed >> 16 & 255, seed >> 8 & 255, seed & 255
        return Result((Images((Image.new("RGB", (call.whole("width"), call.whole("height")), colour),)),))

    with (
        patch("app.simulator.art.painter.noise", preview),
        patch("app.simulator.nodes.save._png", saved),
        patch.dict("app.simulator.nodes.core._BY_NAME", {"EmptyImage": plain}),
    ):
        yield
