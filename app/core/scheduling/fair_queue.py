"""Waiting jobs by person, and which is next: fair by seconds of GPU time, with a preference for loaded models.

Each person has a number of served seconds, divided by the person's weight. A free server takes a job from the people
whose served seconds are within `TOLERANCE` of the least; among them it prefers a job whose model it has loaded, and
then the person who was served least. The seconds a job is expected to take are charged when it is dispatched and
corrected when it has ended.

The bound: for two people who both wait and may use the same servers, served seconds differ by at most
`TOLERANCE + largest` plus the corrections of jobs in flight, where `largest` is the largest charge of one job. Proof:
let the level be the least served seconds of those who waited at the last decision. Everybody who waits has at least the
level, and at most `TOLERANCE + largest` more: newcomers start within these limits, and only somebody at most
`TOLERANCE` above the least is served, and then charged for one job. The level of the next decision is no lower.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from app.events import JobId, ServerName

TOLERANCE = 60.0
"""Served seconds by which a person may be ahead of the least served and still be preferred for a loaded model: three
times what loading a checkpoint typically takes."""

MOST_OVERTAKEN = 4
"""How often a job may be overtaken by later jobs of the same person whose models are loaded."""

Servers: TypeAlias = frozenset[ServerName]
"""The servers that can run a job; empty means all."""

EVERYWHERE: Servers = frozenset()

NOWHERE: Servers = frozenset({ServerName("")})
"""No server: none has this name."""

Crowd: TypeAlias = list[tuple[float, float, int]]
"""The served seconds of each person with waiting jobs, the average charge of these jobs, and their number."""


class QueuedJob(Struct, frozen=True, kw_only=True):
    """What the queue needs to know of a waiting job.

    `number` is the order of acceptance, `models` identifies the models that must be loaded ("" if there are none), and
    `seconds` is how long it is expected to run. Jobs with the same `batch` stay in order.
    """

    job: JobId
    number: int
    person: str
    servers: Servers = EVERYWHERE
    models: str = ""
    seconds: float = 1.0
    weight: float = 1.0
    batch: str = ""

    def runs_on(self, server: ServerName) -> bool:
        """Whether this server can run it."""
        return not self.servers or server in self.servers

    @property
    def charge(self) -> float:
        """What its person is charged for the expected seconds."""
        return self.seconds / self.weight


Admits: TypeAlias = Callable[[QueuedJob, ServerName], bool]
"""Whether a server that can run a waiting job may take it at present."""


class Choice(Struct, frozen=True):
    """The job that a server should take next, and whether its models are loaded there."""

    job: QueuedJob
    loaded: bool


class Served(Struct, frozen=True):
    """What is kept over a restart: the served seconds of people, the levels of servers, and the largest charge.

    As a change, it has only what changed; the largest charge only if it has grown.
    """

    people: Mapping[str, float] = {}
    levels: Mapping[ServerName, float] = {}
    largest: float = 0.0


NOTHING_SERVED = Served()


def together(earlier: Served, later: Served) -> Served:
    """What is to be kept after both changes."""
    return Served(
        {**earlier.people, **later.people},
        {**earlier.levels, **later.levels},
        max(earlier.largest, later.largest),
    )


class _Person(Struct):
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

    def copy(self) -> _Person:
        return replace(self, jobs={servers: list(jobs) for servers, jobs in self.jobs.items()})

    def put(self, job: QueuedJob) -> None:
        """Add a job."""
        insort(self.jobs.setdefault(job.servers, []), job, key=_NUMBER)
        self.count += 1
        self.charges += job.charge

    def drop(self, job: QueuedJob) -> None:
        """Remove a job."""
        jobs = self.jobs[job.servers]
        del jobs[bisect_left(jobs, job.number, key=_NUMBER)]
        if not jobs:
            del self.jobs[job.servers]
        self.count -= 1
        self.charges -= job.charge

    def on(self, server: ServerName) -> Iterator[QueuedJob]:
        """The jobs that this server can run, in order of acceptance."""
        lists = [jobs for servers, jobs in self.jobs.items() if not servers or server in servers]
        return iter(lists[0]) if len(lists) == 1 else merge(*lists, key=_NUMBER)


Key = TypeVar("Key")

_NUMBER = attrgetter("number")

_Entry: TypeAlias = tuple[float, int, str]
"""Served seconds, the number of the oldest waiting job, and the person: of two people who were served equally, the one
who asked first is next."""


class FairQueue:
    """Owns the waiting jobs, and the served seconds of each person."""

    def __init__(self) -> None:
        self._people: dict[str, _Person] = {}
        """Everybody with a waiting job."""
        self._orders: dict[Servers, list[_Entry]] = {}
        """Everybody with a waiting job for these servers, the one who was served least first."""
        self._by_models: dict[tuple[Servers, str], list[_Entry]] = {}
        """The same for those of whose jobs for these servers one that may be next needs these models."""
        self._waiting: dict[JobId, QueuedJob] = {}
        self._absent: dict[str, float] = {}
        """Served seconds of people without a waiting job, as far as they matter when these people come back."""
        self._levels: dict[ServerName, float] = {}
        """For each server, the least served seconds of those who waited for it when it took its last job: what
        newcomers start with. Somebody who comes while a long job runs is thus ahead of that job's owner."""
        self._highest = 0.0
        """The highest of these levels."""
        self._overtaken: dict[JobId, int] = {}
        self.largest = 0.0
        """The largest charge of one job so far, in seconds."""
        self._changed_people: dict[str, None] = {}
        self._changed_levels: dict[ServerName, None] = {}
        self._kept_largest = 0.0
        self._admits: Admits | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job: JobId) -> bool:
        return job in self._waiting

    def copy(self) -> FairQueue:
        """A copy that can be changed independently."""
        other = FairQueue()
        other._people = {name: person.copy() for name, person in self._people.items()}
        other._orders = {servers: list(order) for servers, order in self._orders.items()}
        other._by_models = {key: list(order) for key, order in self._by_models.items()}
        other._waiting = dict(self._waiting)
        other._absent, other._levels, other._highest = dict(self._absent), dict(self._levels), self._highest
        other._overtaken, other.largest = dict(self._overtaken), self.largest
        other._admits = self._admits
        return other

    def restore(self, served: Served) -> None:
        """Take over what was kept, before any job is added."""
        self._levels = dict(served.levels)
        self._highest = max(self._levels.values(), default=0.0)
        self.largest = self._kept_largest = served.largest
        for person, seconds in served.people.items():
            self._remember(person, seconds)

    def changes(self) -> Served:
        """What is to be kept and has changed since the last call."""
        people = {person: self.served(person) for person in self._changed_people}
        levels = {server: self._levels[server] for server in self._changed_levels}
        self._changed_people.clear()
        self._changed_levels.clear()
        grown = self.largest if self.largest > self._kept_largest else 0.0
        self._kept_largest = self.largest
        return Served(people, levels, grown)

    def admit(self, admits: Admits | None) -> None:
        """Say which servers may take which jobs that they can run, from now on and until the next call; None is all."""
        self._admits = admits

    def may_take(self, job: QueuedJob, server: ServerName) -> bool:
        """Whether this server can run a waiting job, and may."""
        return job.runs_on(server) and (self._admits is None or self._admits(job, server))

    def served(self, person: str) -> float:
        """The served seconds of a person, divided by the person's weights."""
        waiting = self._people.get(person)
        return waiting.served if waiting is not None else self._absent.get(person, self._level(EVERYWHERE))

    def first_of(self, person: str) -> JobId | None:
        """The waiting job of a person that was accepted first; None if there is none."""
        if (waiting := self._people.get(person)) is None:
            return None
        return min((jobs[0] for jobs in waiting.jobs.values()), key=_NUMBER).job

    def jobs_of(self, person: str) -> Iterator[QueuedJob]:
        """The waiting jobs of a person, in order of acceptance."""
        waiting = self._people.get(person)
        return merge(*waiting.jobs.values(), key=_NUMBER) if waiting is not None else iter(())

    def find(self, job: JobId) -> QueuedJob | None:
        """A waiting job; None if it does not wait."""
        return self._waiting.get(job)

    def waiting(self) -> Iterator[QueuedJob]:
        """All waiting jobs, in no particular order."""
        return iter(self._waiting.values())

    def add(self, job: QueuedJob) -> None:
        """Add a waiting job.

        Time without waiting jobs is not saved up: a person starts at no less than the level of the servers that can run
        the job. Nor is an old debt kept: at no more than `TOLERANCE + largest` above it.
        """
        if (person := self._people.get(job.person)) is None:
            served = self._start(self._absent.pop(job.person, 0.0), job.servers)
            person = self._people[job.person] = _Person(served, job.number)
        else:
            self._unlist(job.person, person)
            if job.servers not in person.jobs:
                person.served = max(person.served, self._level(job.servers))
        person.put(job)
        person.first = min(person.first, job.number)
        self._waiting[job.job] = job
        self._list(job.person, person)

    def replace(self, job: QueuedJob) -> None:
        """Replace a waiting job by another form of it, with the same number and person: it keeps its place.

        Where its person has not waited so far, the level applies as for a new job.
        """
        person = self._people[job.person]
        self._unlist(job.person, person)
        if job.servers not in person.jobs:
            start = self._start(person.served, job.servers)
            person.served = start if person.count == 1 else max(person.served, start)
        person.drop(self._waiting[job.job])
        person.put(job)
        self._waiting[job.job] = job
        self._list(job.person, person)

    def remove(self, job_id: JobId) -> None:
        """Remove a job that no longer waits, if it is here."""
        if (job := self._waiting.get(job_id)) is not None:
            person = self._people[job.person]
            self._unlist(job.person, person)
            self._drop(job, person)

    def next(self, server: ServerName, loaded: str) -> Choice | None:
        """The job that a free server with these loaded models should take; None if nobody waits for it."""
        if (job := self.next_loaded(server, loaded)) is not None:
            return Choice(job, loaded=True)
        if (least := self._least(server)) is None:
            return None
        _, _, name = least
        return Choice(next(self._candidates(self._on(server, self._people[name]))), loaded=False)

    def next_loaded(self, server: ServerName, loaded: str) -> QueuedJob | None:
        """The job that this server should take without loading other models; None if there is none."""
        if (least := self._least(server)) is None:
            return None
        for served, _, name in self._wanting({loaded, ""}, server):
            if served > least[0] + TOLERANCE:
                return None
            for job in self._candidates(self._on(server, self._people[name])):
                if not job.models or job.models == loaded:
                    return job
        return None

    def take(self, job: QueuedJob, server: ServerName, charge: float) -> None:
        """Remove a job because this server gets it, and charge its person."""
        if (least := self._least(server)) is not None:
            self._levels[server] = max(self._levels.get(server, 0.0), least[0])
            self._highest = max(self._highest, least[0])
            self._changed_levels[server] = None
        person = self._people[job.person]
        self._unlist(job.person, person)
        for earlier in self._on(server, person):
            if earlier.number >= job.number:
                break
            self._overtaken[earlier.job] = self._overtaken.get(earlier.job, 0) + 1
        self.largest = max(self.largest, charge)
        person.served += charge
        self._changed_people[job.person] = None
        self._drop(job, person)

    def adopt(self, name: str, charge: float) -> None:
        """Charge a person for a job that a server has already."""
        self.largest = max(self.largest, charge)
        self.charge(name, charge)

    def charge(self, name: str, seconds: float) -> None:
        """Add to a person's served seconds; a correction may be negative."""
        self._changed_people[name] = None
        if (person := self._people.get(name)) is None:
            self._remember(name, self.served(name) + seconds)
            return
        self._unlist(name, person)
        person.served += seconds
        self._list(name, person)

    def correct(self, name: str, seconds: float) -> None:
        """Correct a charge after the job ended, by at most the largest charge of one job.

        A person who waits is not corrected below the level: newcomers started there, because of the same charge.
        """
        seconds = max(-self.largest, min(seconds, self.largest))
        if (person := self._people.get(name)) is not None:
            level = min(self._level(servers) for servers in person.jobs)
            seconds = max(seconds, min(0.0, level - person.served))
        self.charge(name, seconds)

    def crowd(self) -> Crowd:
        """The averages from which `ahead_of` estimates."""
        return [
            (person.served, person.charges / person.count or 1e-9, person.count) for person in self._people.values()
        ]

    def ahead_of(self, job_id: JobId, crowd: Crowd) -> int:
        """About how many waiting jobs are dispatched before this one, as if all could run on the same servers.

        In a fair order, a job is next once its person's served seconds and the charges of the person's earlier jobs
        are the least.
        """
        job = self._waiting[job_id]
        own = self._people[job.person]
        before = sum(bisect_left(jobs, job.number, key=_NUMBER) for jobs in own.jobs.values())
        start = own.served + before * own.charges / own.count
        return int(sum(min(count, (start - served) / each + 0.5) for served, each, count in crowd if served < start))

    def _on(self, server: ServerName, person: _Person) -> Iterator[QueuedJob]:
        """The jobs of a person that this server can run and may take at present, in order of acceptance."""
        jobs, admits = person.on(server), self._admits
        return jobs if admits is None else (job for job in jobs if admits(job, server))

    def _candidates(self, jobs: Iterable[QueuedJob]) -> Iterator[QueuedJob]:
        """Those of one person's jobs, in order of acceptance, that may be next: each earlier one may be overtaken."""
        batches: set[str] = set()
        for number, job in enumerate(jobs):
            if number > MOST_OVERTAKEN:
                return
            if not job.batch or job.batch not in batches:
                yield job
                batches.add(job.batch)
            if self._overtaken.get(job.job, 0) >= MOST_OVERTAKEN:
                return

    def _least(self, server: ServerName) -> _Entry | None:
        """Who was served least of those with a job that this server may take; None if nobody has one."""
        for entry in self._in_order(
            [order for servers, order in self._orders.items() if not servers or server in servers]
        ):
            if self._admits is None or any(True for _ in self._on(server, self._people[entry[2]])):
                return entry
        return None

    def _wanting(self, models: set[str], server: ServerName) -> Iterator[_Entry]:
        """Those of whose jobs that this server can run one may be next and needs one of these models."""
        keys = [(servers, each) for servers in self._orders if not servers or server in servers for each in models]
        return self._in_order([order for key in keys if (order := self._by_models.get(key)) is not None])

    def _in_order(self, orders: Sequence[list[_Entry]]) -> Iterator[_Entry]:
        """The entries of these orders, the one who was served least first."""
        if len(orders) == 1:
            return iter(orders[0])
        # Whoever is in several of them has the same entry in each.
        return (entry for entry, _ in groupby(merge(*orders)))

    def _list(self, name: str, person: _Person) -> None:
        """Put a person into the orders, after a change."""
        entry = (person.served, person.first, name)
        for servers in person.jobs:
            insort(self._orders.setdefault(servers, []), entry)
        person.needs = tuple(
            {(servers, job.models) for servers, jobs in person.jobs.items() for job in self._candidates(jobs)}
        )
        for need in person.needs:
            insort(self._by_models.setdefault(need, []), entry)

    def _unlist(self, name: str, person: _Person) -> None:
        """Take a person out of the orders, before a change."""
        entry = (person.served, person.first, name)
        for servers in person.jobs:
            _delete(self._orders, servers, entry)
        for need in person.needs:
            _delete(self._by_models, need, entry)

    def _drop(self, job: QueuedJob, person: _Person) -> None:
        """Remove a job of a person who is not in the orders, and put the person there unless it was the last one."""
        del self._waiting[job.job]
        self._overtaken.pop(job.job, None)
        person.drop(job)
        if not person.count:
            del self._people[job.person]
            self._remember(job.person, person.served)
            return
        person.first = min(jobs[0].number for jobs in person.jobs.values())
        self._list(job.person, person)

    def _remember(self, name: str, served: float) -> None:
        """Keep the served seconds of a person without waiting jobs, unless everybody starts with more."""
        self._absent.pop(name, None)
        if served > min(self._levels.values(), default=0.0):
            self._absent[name] = served

    def _start(self, served: float, servers: Servers) -> float:
        """What somebody starts with who waits for these servers alone, after having been served so many seconds."""
        level = self._level(servers)
        return min(max(served, level), level + TOLERANCE + self.largest)

    def _level(self, servers: Servers) -> float:
        """What newcomers start with whose jobs these servers can run."""
        if servers == EVERYWHERE:
            return self._highest
        return max((self._levels[server] for server in servers if server in self._levels), default=0.0)


def _delete(orders: dict[Key, list[_Entry]], key: Key, entry: _Entry) -> None:
    order = orders[key]
    del order[bisect_left(order, entry)]
    if not order:
        del orders[key]
