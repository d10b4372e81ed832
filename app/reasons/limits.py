"""Why a request for a job is not accepted: a limit of how much people may ask for is reached. Plain data."""

from __future__ import annotations

from typing import Literal, TypeAlias

from app.reasons import Reason

Whom: TypeAlias = Literal["person", "member", "channel", "guild"]
"""Whose jobs a limit counts: those of a person everywhere, of a person in this Discord server, or of everybody in the
channel or in the Discord server."""


class JobsReached(Reason, frozen=True):
    """`unfinished` jobs are not finished, and only `most` may be; the next one ends in about `free_in` seconds.

    `free_in` is None if that is not known.
    """

    whom: Whom
    most: int
    unfinished: int
    free_in: float | None = None


class SecondsReached(Reason, frozen=True):
    """Of `most` GPU seconds within 24 hours, `left` are left, and the job is expected to need `needed`.

    Enough of them return in `free_in` seconds; None if the job needs more than there are.
    """

    whom: Whom
    most: int
    left: float
    needed: float
    free_in: float | None = None


Payer: TypeAlias = Literal["person", "everybody"]
"""Whose spending a limit counts: that of one person, or that of everybody together."""

Window: TypeAlias = Literal["day", "month"]
"""The time for which what was spent counts: 24 hours, or 30 days."""


class NoRoomForResults(Reason, frozen=True):
    """The bot has no room for more results: those of earlier jobs wait on their servers until there is some."""


class BudgetReached(Reason, frozen=True):
    """Of `most` dollars within a rolling day or month, `left` are left, and the request costs `needed`.

    Enough of them return in `free_in` seconds; None if the request costs more than there are.
    """

    payer: Payer
    window: Window
    most: float
    left: float
    needed: float
    free_in: float | None = None


LimitReason: TypeAlias = JobsReached | SecondsReached | BudgetReached | NoRoomForResults
