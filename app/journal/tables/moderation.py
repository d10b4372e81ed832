"""The tables of what moderators decided, and of who decided it."""

from __future__ import annotations

import sqlite3

import msgspec

from app.core.limits.moderation import AuditEntry, Ban, Decision, Decisions, GuildLimits, Unban
from app.journal.tables.rows import ReadRows

ACTIONS: dict[type[Decision], str] = {Ban: "ban", Unban: "unban", GuildLimits: "limits"}
"""How decisions are called in the audit."""


def decide(database: sqlite3.Connection, decision: Decision, person: str, now: float) -> None:
    """Record a decision and a row of the audit, and delete bans that are over."""
    execute = database.execute
    match decision:
        case Ban(guild=guild, banned=banned, id=ident, reason=reason, until=until):
            row = (guild, banned, ident, reason, until)
            execute("INSERT OR REPLACE INTO bans (guild, banned, id, reason, until) VALUES (?, ?, ?, ?, ?)", row)
        case Unban(guild=guild, banned=banned, id=ident):
            execute("DELETE FROM bans WHERE guild = ? AND banned = ? AND id = ?", (guild, banned, ident))
        case GuildLimits(guild=guild, jobs=jobs, seconds=seconds):
            row = (guild, jobs, seconds)
            execute("INSERT OR REPLACE INTO guild_limits (guild, jobs, seconds) VALUES (?, ?, ?)", row)
    execute("DELETE FROM bans WHERE until <= ?", (now,))
    action, details = ACTIONS[type(decision)], msgspec.json.encode(decision).decode()
    entry = (now, decision.guild, person, action, details)
    execute("INSERT INTO audit (at, guild, person, action, details) VALUES (?, ?, ?, ?, ?)", entry)


def decisions(rows: ReadRows, now: float) -> Decisions:
    """What moderators have decided, as far as it is not over."""
    bans = rows("SELECT guild, banned, id, reason, until FROM bans WHERE until IS NULL OR until > ?", now)
    limits = rows("SELECT guild, jobs, seconds FROM guild_limits")
    return Decisions(
        tuple(Ban(guild=g, banned=b, id=i, reason=reason, until=until) for g, b, i, reason, until in bans),
        tuple(GuildLimits(guild=guild, jobs=jobs, seconds=seconds) for guild, jobs, seconds in limits),
    )


def audit(rows: ReadRows) -> list[AuditEntry]:
    """All decisions, oldest first."""
    return [AuditEntry(*row) for row in rows("SELECT at, guild, person, action, details FROM audit ORDER BY number")]
