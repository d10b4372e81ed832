"""By how much a picture is made larger on each side, and how large it stands in the new one. Pure arithmetic."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Extension: TypeAlias = Literal["zoom", "left", "right", "up", "down"]
"""Zoom out on all sides, or pan to one."""

MULTIPLE = 16
"""Pixels: sides of latents are multiples of 8 or 16 pixels."""

ZOOM = 1.5
"""How many times as much a picture shows in each direction after a zoom; its size stays the same."""

PAN = 0.5
"""The part of a picture's side that a pan adds to it."""

LONGEST_SIDE = 2048
"""Pixels of the longer side of a picture that was panned; a picture that would get larger is scaled down."""

SHORTEST_SIDE = 64
"""Pixels of a side below which nothing is made larger."""


class Frame(Struct, frozen=True):
    """The size at which the picture stands in the new one, and the pixels to add around it."""

    width: int
    height: int
    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    @property
    def whole(self) -> tuple[int, int]:
        """The width and the height of the new picture."""
        return self.left + self.width + self.right, self.top + self.height + self.bottom


def extended(extension: Extension, width: int, height: int) -> Frame:
    """The frame around a picture of this size, in pixels."""
    if extension == "zoom":
        return _zoomed(_rounded(width), _rounded(height))
    across = extension in {"left", "right"}
    longer = max(width * (1 + PAN), height) if across else max(width, height * (1 + PAN))
    scale = min(1.0, LONGEST_SIDE / longer)
    inner_width, inner_height = _rounded(width * scale), _rounded(height * scale)
    added = _rounded((inner_width if across else inner_height) * PAN)
    match extension:
        case "left":
            return Frame(inner_width, inner_height, left=added)
        case "right":
            return Frame(inner_width, inner_height, right=added)
        case "up":
            return Frame(inner_width, inner_height, top=added)
        case "down":
            return Frame(inner_width, inner_height, bottom=added)


def _zoomed(width: int, height: int) -> Frame:
    inner_width, inner_height = _rounded(width / ZOOM), _rounded(height / ZOOM)
    # The sides of the padding are multiples of half the step, which `ImagePadForOutpaint` asks for.
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    return Frame(inner_width, inner_height, left, width - inner_width - left, top, height - inner_height - top)


def _rounded(pixels: float) -> int:
    return max(SHORTEST_SIDE, round(pixels / MULTIPLE) * MULTIPLE)
