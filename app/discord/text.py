"""Text for Discord, shortened and escaped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_MARKS = re.compile(r"[\\*_~`|>#\[\]()<@:+\-]|(?<=\d)\.(?=\s)")
"""Every character that starts something in Discord's markdown: emphasis, spoilers, code, quotes, headings, lists,
masked links, mentions, timestamps, and the colon, without which no address becomes a link. A backslash before a
character that is neither a letter nor a digit makes it literal."""

_JOINED = frozenset({"\u200d", "\ufe0e", "\ufe0f", "\u20e3"})
"""Characters that belong to the one before: the joiner of emoji families, variation selectors, the keycap."""


_INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that count as letters or symbols, and that nobody sees."""

MOST_MARKS = 3
"""Combining marks on one character: more would cover the lines above and below."""


def one_line(text: str, most: int) -> str:
    """What a person wrote, as one line of at most `most` characters of it, for the middle of a text; "" for blanks.

    It is escaped, nothing in it is invisible, and text from right to left does not turn what stands beside it.
    """
    visible: list[str] = []
    marks = letters = 0
    for sign in text:
        if letters > most:
            # The rest would be cut off.
            break
        kind = unicodedata.category(sign)
        marks = marks + 1 if kind in {"Mn", "Me"} and sign not in _JOINED else 0
        if kind in {"Cc", "Zl", "Zp", "Zs"} or sign in _INVISIBLE:
            visible.append(" ")
        elif sign in _JOINED or (kind not in {"Cf", "Cs", "Cn", "Co"} and marks <= MOST_MARKS):
            visible.append(sign)
            letters += sign not in _JOINED and kind[0] != "M"
    line = " ".join("".join(visible).split())
    if all(sign in _JOINED or unicodedata.category(sign)[0] in "ZM" for sign in line):
        return ""
    line = escape(shorten(line, most))
    return f"\u2068{line}\u2069" if any(unicodedata.bidirectional(sign) in {"R", "AL"} for sign in line) else line


def escape(text: str) -> str:
    """Escape markdown so that the text is shown as it was typed; the result is at most twice as long."""
    return _MARKS.sub(lambda match: f"\\{match[0]}", text)


def shorten(text: str, most: int) -> str:
    """Shorten to at most `most` characters, ending in “…” if anything was cut; never splits an emoji."""
    if len(text) <= most:
        return text
    end = max(most - 1, 0)
    while end > 0 and (_belongs(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return (text[:end].rstrip() + "…")[:most]


def whole_lines(lines: Iterable[str], room: int, more: str) -> list[str]:
    """As many whole lines as there is room for, in characters; `more` is the last one if any was left out."""
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return [*kept, more]
        kept.append(line)
    return kept


def _belongs(sign: str) -> bool:
    """Whether a character is drawn on the one before it."""
    return sign in _JOINED or bool(unicodedata.combining(sign)) or "\U0001f3fb" <= sign <= "\U0001f3ff"
