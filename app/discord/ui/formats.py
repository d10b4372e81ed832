"""The shapes of a picture that a form offers: about as many pixels as usual, in the sides that the slots take. Pure."""

from __future__ import annotations

from math import sqrt

from app.discord.ui.components import Choice
from app.texts import forms as texts
from app.workflows.model import Slot

RATIOS = ((1, 1), (3, 4), (4, 3), (9, 16), (16, 9))
"""Width and height of the shapes."""

STEP = 64
"""Pixels: sides are multiples of it, because models were trained on such pictures."""

LARGEST = 16_384
"""The longest side in pixels where a slot has no limit."""


def side_texts(width: int, height: int) -> str:
    """Two sides as a value: `1024x768`."""
    return f"{width}x{height}"


def formats(width: Slot, height: Slot, usual: tuple[int, int], current: tuple[int, int] | None) -> tuple[Choice, ...]:
    """The shapes with about as many pixels as `usual`, and the `current` one if it is another. They differ."""
    by_value: dict[str, Choice] = {}
    area = usual[0] * usual[1]
    for across, down in RATIOS:
        sides = _fitting(width, height, sqrt(area * across / down), sqrt(area * down / across))
        if sides is not None:
            value = side_texts(*sides)
            by_value.setdefault(value, Choice(texts.format_label(across, down, *sides), value))
    if current is not None and (value := side_texts(*current)) not in by_value:
        by_value = {value: Choice(texts.current_format(*current), value), **by_value}
    return tuple(by_value.values())


def _fitting(width: Slot, height: Slot, across: float, down: float) -> tuple[int, int] | None:
    """The sides, reduced until the slots take them, in multiples of `STEP`; None if they never do."""
    most_across, most_down = width.maximum or LARGEST, height.maximum or LARGEST
    factor = min(1.0, most_across / across, most_down / down)
    sides = round(across * factor / STEP) * STEP, round(down * factor / STEP) * STEP
    if sides[0] < max(width.minimum or 0, STEP) or sides[1] < max(height.minimum or 0, STEP):
        return None
    return sides if sides[0] <= most_across and sides[1] <= most_down else None
