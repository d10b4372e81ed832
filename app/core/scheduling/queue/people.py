"""People with waiting jobs, and their order: the one who was served least first."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from app.core.scheduling.queue.queued_job import QueuedJob, Servers
from app.events import ServerName

Key = TypeVar("Key")

NUMBER = attrgetter("number")

Entry: TypeAlias = tuple[float, int, str]
"""Served seconds, the number of the oldest waiting job, and the person: of two people who were served equally, the one
who asked first is next."""


class Person(Struct):
    """The waiting jobs of one person by the servers that can run them, each list in order of acceptance."""

    served: float
    first: int = 0
    """The number of the oldest waiting job: of two people who were served equally, the one who asked first is next."""
    count: int = 0
    charges: float = 0.0
    """The sum of the charges of all waiting jobs."""
    jobs: dict[Servers, list[QueuedJob]] = field(default_factory=dict[Servers, list[QueuedJob]])
    needs: tuple[tuple[Servers, str], ...] = ()
    """The models of the jobs that may be next, for each set of servers, as others find this person by them."""

    def copy(self) -> Person:
        """A copy that can be changed independently."""
        return replace(self, jobs={servers: list(jobs) for servers, jobs in self.jobs.items()})

    def put(self, job: QueuedJob) -> None:
        """Add a job."""
        insort(self.jobs.setdefault(job.servers, []), job, key=NUMBER)
        self.count += 1
        self.charges += job.charge

    def drop(self, job: QueuedJob) -> None:
        """Remove a job."""
        jobs = self.jobs[job.servers]
        del jobs[bisect_left(jobs, job.number, key=NUMBER)]
        if not jobs:
            del self.jobs[job.servers]
        self.count -= 1
        self.charges -= job.charge

    def in_order(self) -> Iterator[QueuedJob]:
        """All jobs, in order of acceptance."""
        return merge(*self.jobs.values(), key=NUMBER)

    def on(self, server: ServerName) -> Iterator[QueuedJob]:
        """The jobs that this server can run, in order of acceptance."""
        lists = [jobs for servers, jobs in self.jobs.items() if not servers or server in servers]
        return iter(lists[0]) if len(lists) == 1 else merge(*lists, key=NUMBER)


class PeopleInOrder:
    """Owns the order of people, for each set of servers that can run jobs of theirs, and for each need of models."""

    def __init__(self) -> None:
        self._orders: dict[Servers, list[Entry]] = {}
        """Everybody with a waiting job for these servers, the one who was served least first."""
        self._by_models: dict[tuple[Servers, str], list[Entry]] = {}
        """The same for those of whose jobs for these servers one that may be next needs these models."""

    def copy(self) -> PeopleInOrder:
        """A copy that can be changed independently."""
        other = PeopleInOrder()
        other._orders = {servers: list(order) for servers, order in self._orders.items()}
        other._by_models = {key: list(order) for key, order in self._by_models.items()}
        return other

    def add(self, name: str, person: Person) -> None:
        """Put a person into the orders, after a change."""
        entry = (person.served, person.first, name)
        for servers in person.jobs:
            insort(self._orders.setdefault(servers, []), entry)
        for need in person.needs:
            insort(self._by_models.setdefault(need, []), entry)

    def remove(self, name: str, person: Person) -> None:
        """Take a person out of the orders, before a change."""
        entry = (person.served, person.first, name)
        for servers in person.jobs:
            _delete(self._orders, servers, entry)
        for need in person.needs:
            _delete(self._by_models, need, entry)

    def waiting_for(self, server: ServerName) -> Iterator[Entry]:
        """Everybody with a job that this server can run, in order."""
        return _in_order([order for servers, order in self._orders.items() if not servers or server in servers])

    def wanting(self, models: Iterable[str], server: ServerName) -> Iterator[Entry]:
        """Those of whose jobs that this server can run one may be next and needs one of these models, in order."""
        keys = [(servers, each) for servers in self._orders if not servers or server in servers for each in models]
        return _in_order([order for key in keys if (order := self._by_models.get(key)) is not None])


def _in_order(orders: Sequence[list[Entry]]) -> Iterator[Entry]:
    """The entries of these orders, the one who was served least first."""
    if len(orders) == 1:
        return iter(orders[0])
    # Whoever is in several of them has the same entry in each.
    return (entry for entry, _ in groupby(merge(*orders)))


def _delete(orders: dict[Key, list[Entry]], key: Key, entry: Entry) -> None:
    order = orders[key]
    del order[bisect_left(order, entry)]
    if not order:
        del orders[key]
