"""The names of people and places, where only their ids are stored."""

from __future__ import annotations

from typing import Protocol


class Names(Protocol):
    """Answers within a second. A name may be as old as the frontend says, and is "" if it is not known now."""

    async def person(self, person: str, guild: str = "") -> str:
        """The name of a person: if a `guild` is named, the one that they have there."""
        ...

    async def guild(self, guild: str) -> str:
        """The name of a Discord server."""
        ...

    async def channel(self, channel: str) -> str:
        """The name of a channel or thread; direct messages have none."""
        ...
