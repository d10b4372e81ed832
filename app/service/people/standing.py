"""What a person may do in a place, for those who ask from elsewhere: an interaction in Discord brings it along."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from app.service.people.visibility import Place


class Standing(Struct, frozen=True, kw_only=True):
    """What a person may do in a place now, and what permissions and limits depend on there.

    `sees` is that of `app.service.people.visibility.Visibility`; `writes` says whether they may post there, `bot_posts`
    whether the bot may post results there. A moderator may manage the messages of the place. `parent` is the channel
    whose thread the place is, "" if it is none.
    """

    sees: bool = False
    writes: bool = False
    bot_posts: bool = False
    moderator: bool = False
    roles: frozenset[str] = frozenset()
    parent: str = ""


class Standings(Protocol):
    """Answers what people may do in places."""

    async def standing(self, person: str, place: Place) -> Standing | None:
        """What the person may do in the place; None if that is not known now.

        The answer may be as old as the frontend says. Returns within a few seconds.
        """
        ...
