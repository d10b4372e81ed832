"""Pictures in another size: the one place where Pillow's types need numpy, which nobody here has."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image
from PIL.Image import Resampling

Box = tuple[float, float, float, float]


def resized(
    picture: Image.Image,
    size: tuple[int, int],
    method: Resampling = Resampling.BILINEAR,
    box: Box | None = None,
) -> Image.Image:
    """The picture, or a part of it, in this size."""
    return picture.resize(size, method, box)  # pyright: ignore[reportUnknownMemberType]


def curve(picture: Image.Image, change: Callable[[int], float]) -> Image.Image:
    """A grey picture with every level (0 to 255) changed."""
    levels = [max(0, min(255, round(change(level)))) for level in range(256)]
    return picture.point(levels)  # pyright: ignore[reportUnknownMemberType]
