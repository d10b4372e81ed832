"""What the page shows and does, from the other parts of the bot."""

from __future__ import annotations

from msgspec import Struct


class PageParts(Struct, frozen=True, kw_only=True):
    """The parts of the bot that the page works with, once they are open."""
