"""What everything in the fake speaks: JSON objects, Discord's errors, its time and its ids."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from math import ceil
from typing import Any, TypeAlias, cast

Payload: TypeAlias = dict[str, Any]
"""A JSON object as it stands on the wire."""

EPOCH = 1420070400.0
"""Discord's ids count milliseconds from the first second of 2015."""

EPHEMERAL = 1 << 6
LOADING = 1 << 7
SUPPRESS_EMBEDS = 1 << 2
COMPONENTS_V2 = 1 << 15


class ApiError(Exception):
    """Discord says no: an HTTP status, a JSON error code, a sentence, and for 50035 the tree of complaints."""

    def __init__(
        self, status: int, code: int, message: str, errors: Payload | None = None, more: Payload | None = None
    ) -> None:
        super().__init__(f"{status} {code} {message} {errors or ''}")
        self.status, self.code, self.message, self.errors = status, code, message, errors
        self.more = more or {}

    def body(self) -> Payload:
        """What the answer carries."""
        said: Payload = {"message": self.message, "code": self.code} | self.more
        return said | ({"errors": self.errors} if self.errors else {})


def copied(value: Any) -> Any:
    """A copy of a JSON value. `copy.deepcopy` takes five times as long, as it looks for cycles."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in cast("Payload", value).items()}
    if isinstance(value, list):
        return [copied(item) for item in cast("list[Any]", value)]
    return value


def invalid(path: str, code: str, message: str) -> ApiError:
    """A 50035 with one complaint at a dotted path, such as `components.0.custom_id`."""
    tree: Payload = {"_errors": [{"code": code, "message": message}]}
    for part in reversed(path.split(".") if path else []):
        tree = {part: tree}
    return ApiError(400, 50035, "Invalid Form Body", tree)


def length(path: str, value: object, low: int, high: int) -> None:
    """Check the length of a text or list. Raises 50035."""
    size = len(value) if isinstance(value, (str, list)) else 0  # pyright: ignore[reportUnknownArgumentType]
    if size > high:
        raise invalid(path, "BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")
    if size < low:
        raise invalid(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")


def between(path: str, value: object, low: int, high: int) -> None:
    """Check a number that may be missing. Raises 50035."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
    if not low <= value <= high:
        code = "NUMBER_TYPE_MAX" if value > high else "NUMBER_TYPE_MIN"
        raise invalid(path, code, f"int value should be between {low} and {high}.")


def address(path: str, url: object, longest: int, *schemes: str) -> None:
    """Check an address that may be missing. Raises 50035."""
    if url is None:
        return
    length(path, url, 1, longest)
    scheme, mark, rest = str(url).partition("://")
    if not mark or not rest or any(letter.isspace() for letter in rest):
        raise invalid(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
    if scheme.lower() not in schemes:
        message = f'Scheme "{scheme}" is not supported. Scheme must be one of {schemes}.'
        raise invalid(path, "URL_TYPE_INVALID_SCHEME", message)


class Clock:
    """The real time, and what a test has skipped of it. Seconds since 1970."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._stopped: float | None = None

    def now(self) -> float:
        return (time.monotonic() if self._stopped is None else self._stopped) + self._offset

    def freeze(self) -> None:
        """From now on time passes by `advance` only."""
        self._stopped = time.monotonic()

    def advance(self, seconds: float) -> None:
        """Let time pass at once: tokens expire, buckets refill, acknowledgements are late."""
        self._offset += seconds

    def stamp(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="microseconds")


@dataclass
class Flakes:
    """Mints ids that grow and carry the time."""

    clock: Clock
    _count: count[int] = field(default_factory=count)

    def new_prompt_id(self) -> str:
        return str((int((self.clock.now() - EPOCH) * 1000) << 22) | (next(self._count) & 0x3FFFFF))


def pause(seconds: float) -> float:
    """Seconds that a client is told to wait, with milliseconds, rounded up: it must not come too early."""
    return ceil(seconds * 1000) / 1000


def items(payload: Payload, name: str) -> list[Payload]:
    """The list of objects under a name; empty where there is none, or null."""
    return payload.get(name) or []


def inner(payload: Payload, name: str) -> Payload:
    """The object under a name; empty where there is none, or null."""
    return payload.get(name) or {}


def walk(components: list[Payload], path: str = "components") -> Iterator[tuple[str, Payload]]:
    """Every component of a tree with its dotted path, parents first."""
    for index, component in enumerate(components):
        here = f"{path}.{index}"
        yield here, component
        yield from walk(items(component, "components"), f"{here}.components")
        for name in ("accessory", "component"):
            if child := component.get(name):
                yield f"{here}.{name}", child
