"""What people typed, made fit to stand in a message: shown as it was typed, and no longer than there is room."""

from __future__ import annotations

import re
import unicodedata

_MARKS = re.compile(r"[\\*_~`|>#\[\]()<@:+\-]|(?<=\d)\.(?=\s)")
"""Whatever begins something in Discord's markdown: emphasis, spoilers, code, quotes, headings, lists, masked
links, mentions, timestamps, and the colon without which no address becomes a link. A backslash before a sign
that is no letter and no digit makes it plain."""

_JOINED = frozenset({"\u200d", "\ufe0e", "\ufe0f", "\u20e3"})
"""Signs that belong to their neighbour: the joiner of emoji families, variation selectors, the keycap."""


def escape(text: str) -> str:
    """Markdown, shown as it was typed; at most twice as long."""
    return _MARKS.sub(lambda found: f"\\{found[0]}", text)


def shorten(text: str, most: int) -> str:
    """At most so many characters, the last one “…” where something is missing; never half an emoji."""
    if len(text) <= most:
        return text
    end = max(most - 1, 0)
    while end > 0 and (_belongs(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return (text[:end].rstrip() + "…")[:most]


def _belongs(sign: str) -> bool:
    """Whether a sign is drawn on the one before it."""
    return sign in _JOINED or bool(unicodedata.combining(sign)) or "\U0001f3fb" <= sign <= "\U0001f3ff"
