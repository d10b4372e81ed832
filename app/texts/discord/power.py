"""What people read of servers that the bot starts and stops. Names that come in are already escaped for Discord."""

from __future__ import annotations

from app.core.servers.power import PowerView
from app.texts.wording import duration_text

STATES = {
    "off": "off until a job needs it",
    "starting": "being started",
    "on": "offline",
    "stopping": "being stopped",
}
"""The state of a server that does not answer."""


def power_text(name: str, view: PowerView) -> str:
    """A server that does not answer, and for how long it was on."""
    return f"**{name}**: {STATES[view.state]} · {hours_text(view)}"


def hours_text(view: PowerView) -> str:
    """For how long a server was on within a day."""
    return f"on for {duration_text(view.used)} of the last 24 hours"
