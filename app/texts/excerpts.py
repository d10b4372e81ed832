"""Excerpts of what a server or a file says, as parts of a sentence: one line, of limited length."""

from __future__ import annotations

LONGEST_NAME = 100
"""Characters of a name or a value: a node's title, a file, an input."""

LONGEST_MESSAGE = 300
"""Characters of a message in a server's own words."""


def one_line(text: str, longest: int) -> str:
    """The text on one line, without control characters, shortened to `longest` characters."""
    # No more of the text than can be needed: it may be a dump of megabytes.
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * longest]).split())
    return line if len(line) <= longest and len(text) <= 4 * longest else f"{line[: longest - 1]}…"


def brief(text: str) -> str:
    """A name or a value."""
    return one_line(text, LONGEST_NAME)


def quoted(text: str) -> str:
    """A name in quotation marks."""
    return f"“{brief(text)}”"


def sentence(text: str) -> str:
    """A message in somebody else's words, with a full stop if it has no end; "" for none."""
    line = one_line(text, LONGEST_MESSAGE)
    return line if not line or line.endswith((".", "!", "?", "…")) else f"{line}."
