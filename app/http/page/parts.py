"""What the page shows and does, from the other parts of the bot."""

from __future__ import annotations

from msgspec import Struct

from app.service.gallery import Gallery
from app.service.live_queue import LiveQueue
from app.service.names import Names
from app.service.page_actions import PageActions


class PageParts(Struct, frozen=True, kw_only=True):
    """The parts of the bot that the page works with, once they are open.

    Where nothing runs any more there is no `live_queue`; without Discord there are no `names`, and ids are shown, and
    no `actions`, because nothing can be done.
    """

    gallery: Gallery
    live_queue: LiveQueue | None = None
    names: Names | None = None
    actions: PageActions | None = None
