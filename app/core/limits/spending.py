"""What is spent on services that bill for each run: whether one more run is within the budget, and what is left of it.

Nobody reports what a run cost, so the price that the operator states counts. It is reserved when a job is accepted.
When the job has ended, it counts as spent, unless it is certain that no node that costs money ran.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from app.core.limits.usage import DAY
from app.events import JobId, NodeId
from app.ports import History
from app.reasons.limits import BudgetReached, Payer, Window

Money: TypeAlias = int
"""Millionths of a US dollar, so that sums stay exact."""

DOLLAR: Money = 1_000_000

WINDOWS: dict[Window, float] = {"day": DAY, "month": 30 * DAY}
"""How long a run counts, in seconds."""


class SpendingLimit(Struct, frozen=True):
    """How much may be spent within a rolling day or month: by each person, or by everybody together."""

    payer: Payer
    window: Window
    most: Money


class Payment(Struct, frozen=True):
    """What one run of a job costs, which of its nodes cost it, and the limits that apply.

    Without `nodes`, it is not known which they are.
    """

    price: Money
    nodes: tuple[NodeId, ...] = ()
    limits: tuple[SpendingLimit, ...] = ()

    def due(self, history: History | None) -> Money:
        """What counts as spent for a prompt that a server had and that ended like this; None if its end is not known.

        It is nothing only if the history proves that none of the nodes ran: a node that fails may have been billed.
        """
        if history is None or not self.nodes:
            return self.price
        match history.outcome:
            case "success":
                ran = any(node not in history.cached for node in self.nodes)
            case "failed" | "interrupted" if history.executed is not None and history.node:
                # A node with a dot in its id was made by another node, perhaps as a copy of one that costs money.
                began = {history.node, *history.executed}
                ran = any(node in self.nodes or "." in node for node in began)
            case _:
                ran = True
        return self.price if ran else 0


def with_limits(payment: Payment | None, other: Payment | None) -> Payment | None:
    """A payment with the limits of another one, if there is one."""
    return payment if payment is None or other is None else replace(payment, limits=other.limits)


class Spent(Struct, frozen=True):
    """Money that a person spent `age` seconds ago."""

    person: str
    amount: Money
    age: float = 0.0


class SpendingUsed(Struct, frozen=True):
    """What is spent or reserved of a limit; `returning` of it returns in `returns_in` seconds, None if nothing does."""

    limit: SpendingLimit
    spent: Money
    returning: Money = 0
    returns_in: float | None = None


class _Entry(Struct, frozen=True):
    at: float
    person: str
    amount: Money


class Spending:
    """Owns what is reserved and what was spent. `now` is in seconds of any clock that never goes back."""

    def __init__(self) -> None:
        self._reserved: dict[JobId, tuple[str, Money]] = {}
        self._spent: deque[_Entry] = deque()
        """Oldest first."""

    def refusal(self, payment: Payment, person: str, needed: Money, now: float) -> BudgetReached | None:
        """The first limit that a request of this person would exceed; None if there is none."""
        for limit in payment.limits:
            left = max(0, limit.most - self._used(limit, person, now))
            if needed > left:
                free_in = None if needed > limit.most else self._free_in(limit, person, needed - left, now)
                amounts = (limit.most / DOLLAR, left / DOLLAR, needed / DOLLAR)
                return BudgetReached(limit.payer, limit.window, *amounts, free_in)
        return None

    def reserve(self, job: JobId, person: str, amount: Money) -> None:
        """Reserve what an unfinished job costs."""
        if amount:
            self._reserved[job] = (person, amount)

    def settle(self, job: JobId, spent: Money, now: float) -> None:
        """Replace the reservation of a job that has ended by what counts as spent for it."""
        if (reserved := self._reserved.pop(job, None)) is not None and spent:
            self._spent.append(_Entry(now, reserved[0], spent))

    def load(self, earlier: Iterable[Spent], now: float) -> None:
        """Count what was spent before this process began, oldest first."""
        self._spent.extend(_Entry(now - max(0.0, spent.age), spent.person, spent.amount) for spent in earlier)

    def used(self, limits: Iterable[SpendingLimit], person: str, now: float) -> list[SpendingUsed]:
        """What is used of each limit of a person."""
        rows: list[SpendingUsed] = []
        for limit in limits:
            oldest = next(self._entries(limit, person, now), None)
            row = SpendingUsed(limit, self._used(limit, person, now))
            if oldest is not None:
                returns_in = oldest.at + WINDOWS[limit.window] - now
                row = SpendingUsed(limit, row.spent, oldest.amount, returns_in)
            rows.append(row)
        return rows

    def _used(self, limit: SpendingLimit, person: str, now: float) -> Money:
        reserved = sum(
            amount for owner, amount in self._reserved.values() if limit.payer == "everybody" or owner == person
        )
        return reserved + sum(entry.amount for entry in self._entries(limit, person, now))

    def _entries(self, limit: SpendingLimit, person: str, now: float) -> Iterator[_Entry]:
        """What counts against a limit, oldest first."""
        while self._spent and self._spent[0].at <= now - WINDOWS["month"]:
            self._spent.popleft()
        for entry in self._spent:
            if entry.at > now - WINDOWS[limit.window] and (limit.payer == "everybody" or entry.person == person):
                yield entry

    def _free_in(self, limit: SpendingLimit, person: str, excess: Money, now: float) -> float:
        """In how many seconds so much returns; the whole window if unfinished jobs have it."""
        for entry in self._entries(limit, person, now):
            excess -= entry.amount
            if excess <= 0:
                return entry.at + WINDOWS[limit.window] - now
        return WINDOWS[limit.window]


def money(dollars: float) -> Money:
    """An amount in US dollars."""
    return round(dollars * DOLLAR)
