"""What the page shows and does, from the other parts of the bot."""

from __future__ import annotations

from msgspec import Struct

from app.service.live_queue import LiveQueue
from app.service.page_actions import PageActions


class PageParts(Struct, frozen=True, kw_only=True):
    """The parts of the bot that the page works with, once they are open."""

    live_queue: LiveQueue | None = None
    actions: PageActions | None = None
    """None where nothing can be done, as in the demo."""
