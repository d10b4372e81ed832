"""What people typed is shown as they typed it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.discord.text import escape, shorten


def _plain(text: str) -> str:
    """What a reader sees of an escaped text, by Discord's rule for backslashes."""
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text)


@given(st.text())
def test_an_escaped_text_reads_as_it_was_typed(text: str) -> None:
    assert _plain(escape(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("**bold**", "||spoiler||", "`code`", "> quote", "# heading", "- list", "+ list", "1. list", "~~gone~~"),
        *("[a](https://b)", "<@123>", "@everyone", "<t:0:R>", "https://evil.example", "__line__", "\\*"),
    ],
)
def test_no_mark_stays_active(text: str) -> None:
    active = re.sub(r"\\.", "", escape(text))
    assert not re.search(r"[*_~`|>#\[\]()<@:]|^[+-] |^\d+\. ", active)


@given(st.text(), st.integers(1, 40))
def test_a_shortened_text_has_room(text: str, most: int) -> None:
    short = shorten(text, most)
    assert len(short) <= most
    assert short == text or short.endswith("…")


def test_no_emoji_is_cut_in_half() -> None:
    family = "👩‍👩‍👧"
    assert shorten(f"ab{family}cd", 5) == "ab…"
    assert shorten("ab👍🏽cd", 4) == "ab…"
    assert shorten("abécd".replace("é", "e\u0301"), 4) == "ab…"
