"""Preferences of people who have none."""

from __future__ import annotations

from collections.abc import Mapping

import anyio.lowlevel

from app.ports import Json


class NoPreferences:
    """See `app.service.people.notifications.Preferences`: nobody has chosen anything, and nobody does."""

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        await anyio.lowlevel.checkpoint()
        del owner
        return {}

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        raise AssertionError
