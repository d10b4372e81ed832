"""Who is notified of a result that took long, and how: what the operator allows, and what each person wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

import anyio

from app.ports import Json

Way: TypeAlias = Literal["mention", "dm", "never"]
"""How a person is notified: by a mention below the result, by a direct message, or not at all."""

WAYS: tuple[Way, ...] = ("mention", "dm", "never")

OFF = "off"
"""The operator's setting that notifies nobody, whatever people want."""

SAVED_AS = "/notify"
"""The name under which a person's choice is among their preferences. No workflow can have it, because its name is that
of a folder."""

WAY = "way"

REFUSED = 24 * 3600.0
"""Seconds for which nobody is written to directly again after Discord refused it."""

MOST_REFUSED = 4096
"""People of whom that is remembered."""


class Preferences(Protocol):
    """What is needed of the journal; see `app.core.journal_port.JobHistory`."""

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        """The owner's preferences, by workflow and slot."""
        ...

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """Replace the owner's preferences for a workflow; empty `values` delete them."""
        ...


class Notifications:
    """Which jobs are worth a notification, and which way each person wants it.

    `default` is the operator's: a `Way` for people who have not chosen, or `OFF`. A job is worth one if it took longer
    than `after` seconds.
    """

    def __init__(self, preferences: Preferences, default: str = "mention", after: float = 30.0) -> None:
        self._preferences = preferences
        self._default = default
        self.after = after
        self._refused: dict[str, float] = {}
        """Until when, by anyio's clock, nobody is written to directly, oldest first."""

    @property
    def enabled(self) -> bool:
        """Whether the operator allows notifications."""
        return self._default != OFF

    async def way_of(self, person: str) -> Way:
        """How this person is to be notified. May raise `JournalUnavailable`."""
        if not self.enabled:
            return "never"
        return self.chosen(await self._preferences.preferences(person))

    def chosen(self, saved: Mapping[str, Mapping[str, Json]]) -> Way:
        """How a person with these preferences is to be notified."""
        return _way(saved.get(SAVED_AS, {}).get(WAY)) or _way(self._default) or "never"

    def refused(self, person: str) -> None:
        """Remember that Discord does not let the bot write to this person directly."""
        self._refused.pop(person, None)
        self._refused[person] = anyio.current_time() + REFUSED
        while len(self._refused) > MOST_REFUSED:
            del self._refused[next(iter(self._refused))]

    def takes_direct_messages(self, person: str) -> bool:
        """Whether this person may be written to directly, as far as that is known."""
        return anyio.current_time() >= self._refused.get(person, 0.0)

    async def choose(self, person: str, way: str) -> None:
        """Save which way a person wants. May raise `JournalUnavailable`.

        Whoever wants direct messages gets another chance.
        """
        self._refused.pop(person, None)
        await self._preferences.prefer(person, SAVED_AS, {WAY: way})


def _way(name: Json) -> Way | None:
    return next((way for way in WAYS if way == name), None)


def workflow_settings(saved: Mapping[str, Mapping[str, Json]]) -> dict[str, Mapping[str, Json]]:
    """A person's preferences without the choice of how to be notified: those of workflows."""
    return {name: values for name, values in saved.items() if name != SAVED_AS}
