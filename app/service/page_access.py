"""How people get to the web page, for the frontend in which they ask for it."""

from __future__ import annotations

from typing import Protocol


class PageAccess(Protocol):
    """Where the page is, and what lets somebody in."""

    @property
    def address(self) -> str:
        """The address of the page."""
        ...

    @property
    def has_login(self) -> bool:
        """Whether people can log in there by themselves."""
        ...

    def link(self, person: str) -> str:
        """An address that logs this person in: once, and only within `LINK_MINUTES`. It has at most 512 characters."""
        ...


LINK_MINUTES = 15
"""Minutes for which a link is valid."""
