"""Which events of Discord's gateway a front sends to the active front, and what of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

INTERACTION = "INTERACTION_CREATE"

ANSWERABLE = 3.0
"""Seconds for which an interaction can be answered for the first time.
https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-callback"""

JOINED = "GUILD_CREATE"

RELAYED = frozenset(
    {
        INTERACTION,
        JOINED,
        "INTEGRATION_CREATE",
        "GUILD_UPDATE",
        "GUILD_DELETE",
        "GUILD_ROLE_CREATE",
        "GUILD_ROLE_UPDATE",
        "GUILD_ROLE_DELETE",
        "CHANNEL_UPDATE",
        "CHANNEL_DELETE",
        "THREAD_UPDATE",
        "THREAD_DELETE",
        "THREAD_MEMBERS_UPDATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
    }
)
"""What the bot listens to, by Discord's names."""

EMPTIED = (
    *("channels", "emojis", "guild_scheduled_events", "members", "presences", "roles", "soundboard_sounds"),
    *("stage_instances", "stickers", "threads", "voice_states"),
)
"""Lists of a Discord server which can be megabytes, and which nobody reads."""


def relayed(name: str, payload: Mapping[str, Any]) -> bytes | None:
    """The payload of an event to send; None if nobody listens to it."""
    if name not in RELAYED:
        return None
    if name == JOINED and "unavailable" in payload:
        # The bot was there before.
        return None
    if name in {JOINED, "GUILD_UPDATE"}:
        payload = {**payload, **{key: [] for key in EMPTIED if key in payload}}
    return msgspec.json.encode(dict(payload))


def lasts(name: str) -> float:
    """Seconds for which an event is worth something, 0 for without end."""
    return ANSWERABLE if name == INTERACTION else 0.0
