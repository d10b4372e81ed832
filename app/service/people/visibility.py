"""Who may see what others asked for: whoever may read the place where it is shown."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Place(Struct, frozen=True):
    """Where something is shown: a channel or thread of a Discord server, or, without `guild`, direct messages.

    `person` is who asked for it, with whom the direct messages are. Ids are "" if there is none.
    """

    guild: str
    channel: str
    person: str


class Visibility(Protocol):
    """Answers whether a person may see a place."""

    async def may_see(self, person: str, place: Place) -> bool:
        """Whether the person may see the place and read what was written there; False if that is not known.

        The answer may be as old as the frontend says. Returns within a few seconds.
        """
        ...


class OwnOnly:
    """A `Visibility` for frontends without places: everybody sees only what is their own."""

    async def may_see(self, person: str, place: Place) -> bool:
        """See `Visibility`."""
        return person == place.person


def no_spoiler(place: str) -> bool:
    """Whether a place, in the frontend's format, hides results at first: never, for frontends that hide none."""
    del place
    return False


async def may_read(visibility: Visibility, person: str, owner: str, place: Place | None) -> bool:
    """Whether a person may read what the owner asked for, which is shown in this place; None is no known place."""
    if person == owner:
        return True
    return place is not None and await visibility.may_see(person, place)
