"""What moderators read. Names and reasons that come in are already escaped for Discord."""

from __future__ import annotations

from app.texts.wording import duration_text

LIMITS = "Limits of each person on this server"
BANS = "Bans on this server"
"""Headings."""

NO_LIMITS = "None."
NOBODY = "Nobody is banned."
HINT = "Set `jobs` or `seconds` with this command; 0 removes your limit. People with a role that has limits keep those."


def limits_line(jobs: int, seconds: int) -> str:
    """Limits of each person; 0 is none."""
    parts = [f"{jobs} {'job' if jobs == 1 else 'jobs'}"] if jobs else []
    parts += [f"{duration_text(seconds)} of GPU time a day"] if seconds else []
    return " · ".join(parts) or NO_LIMITS


def ceiling_line(jobs: int, seconds: int) -> str:
    """The limits that the people who run the bot have set, which count everywhere."""
    return f"The people who run the bot allow: {limits_line(jobs, seconds)}"


def ban(who: str, until: str, reason: str) -> str:
    """A ban; `until` is a Discord timestamp, "" for ever."""
    end = f"until {until}" if until else "until somebody uses /unban"
    return f"{who} {end}{f' · {reason}' if reason else ''}"


def banned(ban: str) -> str:
    """The answer to /ban."""
    return f"Banned: {ban}"


def unbanned(who: str) -> str:
    """The answer to /unban."""
    return f"{who} can make things here again."
