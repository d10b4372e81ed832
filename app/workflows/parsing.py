"""Parses numbers, sizes and booleans as people write them, and formats numbers for people."""

from __future__ import annotations

import re

from app.ports import Json

SIDES = re.compile(r"\s*(\d{1,9})\s*[x×*:, ]\s*(\d{1,9})\s*", re.IGNORECASE)
"""`1024x768`, and the other separators that people put between two numbers."""

LONGEST = 4000
"""Digits of a number; Python itself refuses to parse more than 4,300, with an error text meant for programmers."""


class NotMeant(ValueError):
    """A value cannot be parsed; the text says what it should have been, such as “a whole number”."""


def whole(value: Json) -> int:
    """Parse a whole number, exactly. Raises `NotMeant`."""
    try:
        if isinstance(value, str) and len(value) <= LONGEST:
            return int(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise NotMeant("a whole number")


def finite(value: Json) -> float:
    """Parse a number; infinity and NaN are refused. Raises `NotMeant`."""
    try:
        if isinstance(value, (str, int, float)) and abs(number := float(value)) < float("inf"):
            return number
    except (ValueError, OverflowError):
        pass
    raise NotMeant("a number")


def boolean(value: Json) -> bool:
    """Parse yes or no. Raises `NotMeant`."""
    match str(value).lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise NotMeant("true or false")


def sides(value: Json) -> tuple[int, int]:
    """Parse width and height from `1024x768` or [1024, 768]. Raises `NotMeant`."""
    match value:
        case str() if found := SIDES.fullmatch(value):
            return int(found[1]), int(found[2])
        case [width, height]:
            return whole(width), whole(height)
        case _:
            raise NotMeant("a size such as 1024x768")


def span(low: float | None, high: float | None) -> str:
    """Describe the limits of a number, of which at least one must be given."""
    if low is not None and high is not None:
        return f"within {plain(low)} to {plain(high)}"
    return f"at least {plain(low)}" if low is not None else f"at most {plain(high)}"


def plain(number: float | None) -> str:
    """Format a number as people write it; an int with every digit."""
    return str(number) if isinstance(number, int) else f"{number:g}"
