"""What the errors of libraries say, and what led to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

LONGEST = 100
"""Maximum number of characters of a message in a reason."""


def short_message(message: str) -> str:
    """The first line of a library's message, shortened: some repeat everything that a server sent."""
    line = next(iter(message.splitlines()), "").strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and then everything that led to it, outermost first.

    A suppressed context counts: httpcore raises `from None`, which hides the actual cause.
    """
    seen: set[int] = set()
    ahead = [error]
    while ahead:
        cause = ahead.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            ahead += cast("BaseExceptionGroup[BaseException]", cause).exceptions
        ahead += [each for each in (cause.__cause__, cause.__context__) if each is not None]


def system_message(error: BaseException) -> str:
    """What the system says about the innermost of its errors that led to this one, else what the error says."""
    messages = [cause.strerror for cause in causes_of(error) if isinstance(cause, OSError) and cause.strerror]
    return short_message(messages[-1] if messages else str(error)) or type(error).__name__
