"""What the web page needs of the frontend in which people ask for things."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from app.events import ServerName
from app.service.page_actions import PageActions
from app.service.people.names import Names
from app.service.people.visibility import Visibility
from app.workflows.load import Workflow


def no_workflows() -> Mapping[str, Workflow]:
    """For frontends without workflows."""
    return {}


def no_link(place: str) -> str:
    """For frontends whose messages have no address."""
    del place
    return ""


class PageFrontend(Struct, frozen=True, kw_only=True):
    """Who may see what, how it is called, and what can be done.

    `titles` returns the title of a workflow, and `server_names` has the public name of each server. Without `names`,
    ids are shown; without `actions`, nothing can be done. `is_spoiler` says whether the place of a job, in the
    frontend's format, hides its result at first. `mark` marks a preview as made by a machine. `workflows` returns those
    that are offered, by name, and `message_link` the address of the message at the place of a job, "" if it has none.
    """

    visibility: Visibility
    titles: Callable[[str], str]
    server_names: Mapping[ServerName, str]
    is_spoiler: Callable[[str], bool]
    names: Names | None = None
    actions: PageActions | None = None
    mark: Callable[[bytes], bytes] | None = None
    workflows: Callable[[], Mapping[str, Workflow]] = no_workflows
    message_link: Callable[[str], str] = no_link
