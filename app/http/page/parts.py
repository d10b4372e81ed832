"""What the page shows and does, from the other parts of the bot."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from app.events import ServerName
from app.service.page_actions import PageActions
from app.service.page_frontend import no_link, no_workflows
from app.service.people.names import Names
from app.service.queue.live_queue import LiveQueue
from app.service.results.gallery import Gallery
from app.workflows.load import Workflow


class PageParts(Struct, frozen=True, kw_only=True):
    """The parts of the bot that the page works with, once they are open.

    Where nothing runs any more there is no `live_queue`; without Discord there are no `names`, and ids are shown, and
    no `actions`, because nothing can be done. `workflows` returns those that are offered now, by name; `server_names`
    maps each server to the name that people may read. `message_link` returns the address of the message at a job's
    place, in the frontend's format, "" for none.
    """

    gallery: Gallery
    live_queue: LiveQueue | None = None
    names: Names | None = None
    actions: PageActions | None = None
    workflows: Callable[[], Mapping[str, Workflow]] = no_workflows
    server_names: Mapping[ServerName, str] = {}
    message_link: Callable[[str], str] = no_link
