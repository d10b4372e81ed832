"""What the statements of all tables share: how rows are read, and which texts can be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class ReadRows(Protocol):
    """Runs a statement with its values, and returns the rows that it reads. Raises `JournalError`."""

    def __call__(self, query: str, /, *values: object) -> Sequence[Sequence[Any]]:
        """Run it."""
        ...


def is_encodable(text: str) -> bool:
    """Whether SQLite can store a text: a lone half of a surrogate pair cannot be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
