"""What people write, read as numbers, sizes, yes and no; and numbers written for people."""

from __future__ import annotations

import re

from app.ports import Json

SIDES = re.compile(r"\s*(\d{1,9})\s*[x×*:, ]\s*(\d{1,9})\s*", re.IGNORECASE)
"""`1024x768`, and what else people put between two numbers."""

LONGEST = 4000
"""Digits of a number; Python itself refuses to read more than 4,300, with a sentence for programmers."""


class NotMeant(ValueError):
    """It cannot be read; the text is what it should have been, such as “a whole number”."""


def whole(value: Json) -> int:
    """A whole number, exact. Raises `NotMeant`."""
    try:
        if isinstance(value, str) and len(value) <= LONGEST:
            return int(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise NotMeant("a whole number")


def finite(value: Json) -> float:
    """A number, neither infinite nor none. Raises `NotMeant`."""
    try:
        if isinstance(value, (str, int, float)) and abs(number := float(value)) < float("inf"):
            return number
    except (ValueError, OverflowError):
        pass
    raise NotMeant("a number")


def boolean(value: Json) -> bool:
    """Yes or no. Raises `NotMeant`."""
    match str(value).lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise NotMeant("true or false")


def sides(value: Json) -> tuple[int, int]:
    """Width and height, from `1024x768` or [1024, 768]. Raises `NotMeant`."""
    match value:
        case str() if found := SIDES.fullmatch(value):
            return int(found[1]), int(found[2])
        case [width, height]:
            return whole(width), whole(height)
        case _:
            raise NotMeant("a size such as 1024x768")


def span(low: float | None, high: float | None) -> str:
    """What a number must be: within its limits, of which at least one is told."""
    if low is not None and high is not None:
        return f"within {plain(low)} to {plain(high)}"
    return f"at least {plain(low)}" if low is not None else f"at most {plain(high)}"


def plain(number: float | None) -> str:
    """A number as people write it; whole ones with every digit."""
    return str(number) if isinstance(number, int) else f"{number:g}"
