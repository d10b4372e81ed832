"""The shapes of pictures, as classes of the style sheet: inline styles are forbidden, and no picture must be cut."""

from __future__ import annotations

import math

STEP = 1.04
"""Each shape is so many times as wide as the one before: a picture in the nearest one loses 2 % at most."""

NARROWEST, WIDEST = -23, 28
"""Steps from a square. What is narrower than 0.4 or wider than 3 is cut: among others, it would be a line."""

SQUARE = "r100"


def ratio_class(width: int, height: int) -> str:
    """The class of the shape of a picture; that of a square if the size is not known."""
    if width <= 0 or height <= 0:
        return SQUARE
    steps = round(math.log(width / height) / math.log(STEP))
    return _name(min(max(steps, NARROWEST), WIDEST))


def style_rules() -> str:
    """The rules of all classes, as they stand in the style sheet: `--r` is the width divided by the height."""
    return "\n".join(f".{_name(steps)} {{ --r: {STEP**steps:.3f}; }}" for steps in range(NARROWEST, WIDEST + 1))


def _name(steps: int) -> str:
    return f"r{round(100 * STEP**steps)}"
