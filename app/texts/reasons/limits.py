"""The sentences about limits: which one is reached, and when it ends."""

from __future__ import annotations

from typing import assert_never

from app.reasons.limits import BudgetReached, JobsReached, LimitReason, NoRoomForResults, Payer, SecondsReached, Whom
from app.texts.wording import duration_text


def limit_reason_text(reason: LimitReason) -> str:
    """The sentences for a request that is over a limit."""
    match reason:
        case JobsReached(whom=whom, most=most, unfinished=unfinished, free_in=free_in):
            jobs = f"{unfinished} of {most} {'job' if most == 1 else 'jobs'}"
            free = "Ask again when one has ended." if free_in is None else f"The next is free {in_about(free_in)}."
            return f"{_having(whom)} {jobs} running or waiting. {free}"
        case SecondsReached(whom=whom, most=most, left=left, needed=needed, free_in=free_in):
            day, job = f"{duration_text(most)} of GPU time a day", f"this needs about {duration_text(needed)}"
            if free_in is None:
                return f"{_having(whom)} {day}, and {job}. Ask for fewer or smaller results."
            return f"{_having(whom)} {duration_text(left)} left of {day}, and {job}. Ask again {in_about(free_in)}."
        case BudgetReached(payer=payer, window=window, most=most, left=left, needed=needed, free_in=free_in):
            budget, cost = f"{dollars(most)} a {window} for paid services", f"this costs {dollars(needed)}"
            if free_in is None:
                return f"{_paying(payer)} {budget}, and {cost}. Ask for fewer results."
            return f"{_paying(payer)} {dollars(left)} left of {budget}, and {cost}. Ask again {in_about(free_in)}."
        case NoRoomForResults():
            return "The disk of this bot has no room for more results. Ask again in a few minutes."
        case _:
            assert_never(reason)


def unknown_role(role: str) -> str:
    """A role of the configuration that no Discord server of the bot has."""
    return f"No server has the role {role} of [[limits.roles]]: correct its id, or remove it."


def in_about(seconds: float) -> str:
    """When something is expected, at least a second from now."""
    return f"in about {duration_text(max(1.0, seconds))}"


def dollars(amount: float) -> str:
    """An amount of money, with as many digits as it needs, but at least cents."""
    exact = f"{amount:.6f}".rstrip("0")
    return f"${exact if len(exact.partition('.')[2]) > 2 else f'{amount:.2f}'}"


def _paying(payer: Payer) -> str:
    """Whose budget it is, as the beginning of a sentence about what they have."""
    return "You have" if payer == "person" else "This bot has"


def _having(whom: Whom) -> str:
    """Whose limit it is, as the beginning of a sentence about what they have."""
    match whom:
        case "person" | "member":
            return "You have"
        case "channel":
            return "This channel has"
        case "guild":
            return "This server has"
