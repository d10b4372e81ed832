"""Parses numbers, sizes and booleans as people write them."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from app.ports import Json

SIDES = re.compile(r"\s*(\d{1,9})\s*[x×*:, ]\s*(\d{1,9})\s*", re.IGNORECASE)
"""`1024x768`, and the other separators that people put between two numbers."""

LONGEST = 4000
"""Digits of a number; Python itself refuses to parse more than 4,300, with an error text meant for programmers."""


Expected: TypeAlias = Literal["integer", "number", "boolean", "size"]
"""The type that a value should have had."""


class NotMeant(ValueError):
    """A value cannot be parsed as the `expected` type."""

    def __init__(self, expected: Expected) -> None:
        super().__init__(expected)
        self.expected: Expected = expected


def whole(value: Json) -> int:
    """Parse a whole number, exactly. Raises `NotMeant`."""
    try:
        if isinstance(value, str) and len(value) <= LONGEST:
            return int(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise NotMeant("integer")


def finite(value: Json) -> float:
    """Parse a number; infinity and NaN are refused. Raises `NotMeant`."""
    try:
        if isinstance(value, (str, int, float)) and abs(number := float(value)) < float("inf"):
            return number
    except (ValueError, OverflowError):
        pass
    raise NotMeant("number")


def boolean(value: Json) -> bool:
    """Parse yes or no. Raises `NotMeant`."""
    match str(value).lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise NotMeant("boolean")


def sides(value: Json) -> tuple[int, int]:
    """Parse width and height from `1024x768` or [1024, 768]. Raises `NotMeant`."""
    match value:
        case str() if parsed := SIDES.fullmatch(value):
            return int(parsed[1]), int(parsed[2])
        case [width, height]:
            return whole(width), whole(height)
        case _:
            raise NotMeant("size")
