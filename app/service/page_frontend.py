"""What the web page needs of the frontend in which people ask for jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from app.events import ServerName
from app.service.names import Names
from app.service.page_actions import PageActions
from app.service.visibility import Visibility


class PageFrontend(Struct, frozen=True, kw_only=True):
    """Who may see what, what people and things are called, and what can be done.

    `title` returns what people call a workflow, `is_spoiler` whether a place hides its results until somebody clicks,
    and `mark` writes into a preview that a machine made it.
    """

    visibility: Visibility
    names: Names
    actions: PageActions
    title: Callable[[str], str]
    server_names: Mapping[ServerName, str]
    is_spoiler: Callable[[str], bool]
    mark: Callable[[bytes], bytes]
