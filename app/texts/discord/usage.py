"""What the page of /usage says: how much somebody can still ask for."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.limits.spending import DOLLAR, SpendingUsed
from app.core.limits.usage import Used
from app.reasons.limits import Whom
from app.texts.reasons.limits import dollars, in_about
from app.texts.wording import duration_text

USAGE = "What you can still ask for"
"""The heading."""

NO_LIMITS = "You have no limits here."


def usage_lines(used: Used) -> Iterator[str]:
    """What is left of one allowance, a line for each of its limits."""
    allowance, who = used.allowance, _who(used.allowance.whom)
    if allowance.jobs:
        left = max(0, allowance.jobs - used.unfinished)
        yield f"{who}: {left} of {allowance.jobs} {'job' if allowance.jobs == 1 else 'jobs'} left"
    if allowance.seconds:
        left = max(0.0, allowance.seconds - used.seconds)
        day = f"{who}: {duration_text(left)} of {duration_text(allowance.seconds)} of GPU time a day left"
        returns_in = used.returns_in
        yield (
            day
            if returns_in is None
            else f"{day} · {duration_text(max(1.0, used.returning))} more {in_about(returns_in)}"
        )


def spending_line(used: SpendingUsed) -> str:
    """What is left of the money for paid services."""
    limit = used.limit
    left, most = max(0, limit.most - used.spent) / DOLLAR, limit.most / DOLLAR
    who = "You" if limit.payer == "person" else "Everybody together"
    line = f"{who}: {dollars(left)} of {dollars(most)} a {limit.window} left for paid services"
    if used.returns_in is None:
        return line
    return f"{line} · {dollars(used.returning / DOLLAR)} more {in_about(used.returns_in)}"


def weight_line(weight: float) -> str:
    """How much of the servers' time somebody gets beside others."""
    return f"When others wait too, you get {weight:g} times as much time on the servers as one of them."


def _who(whom: Whom) -> str:
    """Whose allowance it is."""
    match whom:
        case "person":
            return "You"
        case "member":
            return "You, on this server"
        case "channel":
            return "Everybody in this channel"
        case "guild":
            return "Everybody on this server"
