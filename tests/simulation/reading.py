"""What people read while a job goes on is true at the moment at which it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from app.discord.ui.components import Card, Text

SECRET = re.compile(r"https?://(?!discord\.com/)|\b\d+\.\d+\.\d+\.\d+\b|:\d{4,5}\b|\w(?:Error|Exception)\b|Traceback")
"""Words that say where a server is, or what went wrong inside of a program."""

TIME = re.compile(r"<t:(\d+):R>")

TIMELESS = "offline", "takes no new jobs", "no room for results"
"""Words of a message whose job starts nobody knows when."""

OFFLINE = "The image server is offline"

BAR = "▰", "▱"

ROUNDING = 2.0
"""Seconds by which a time may be in the past: it is rounded, and an edit takes a moment."""


def untrue(card: Card, *, now: float, in_time: bool, all_is_well: bool, was_taken: Callable[[], bool]) -> Iterator[str]:
    """Each sentence of a card of an unfinished job that is not true.

    `now` is by the clock of the bot's machine; `in_time` is whether that was not set and Discord did not hold the card
    back. `all_is_well` is whether nothing was wrong for a while, and `was_taken` whether a server has ever had the job.
    """
    text = "\n".join(block.text for block in card.blocks if isinstance(block, Text))
    if secret := SECRET.search(TIME.sub("", text)):
        yield f"“{secret[0]}” is for operators: {text!r}"
    for expected in map(int, TIME.findall(text)):
        if expected < now - ROUNDING and in_time:
            yield f"an expected time that is {now - expected:.0f} s ago: {text!r}"
        if any(words in text for words in TIMELESS):
            yield f"an expected time that nobody knows: {text!r}"
    if OFFLINE in text and all_is_well:
        yield f"a server that answers is said to be offline: {text!r}"
    if any(sign in text for sign in BAR) and not was_taken():
        yield f"a job that no server has had is said to run: {text!r}"
