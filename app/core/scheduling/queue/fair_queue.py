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

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from app.core.scheduling.queue.levels import TOLERANCE, Levels
from app.core.scheduling.queue.people import NUMBER, Entry, PeopleInOrder, Person
from app.core.scheduling.queue.queued_job import EVERYWHERE, Admits, QueuedJob
from app.events import JobId, ServerName

MOST_OVERTAKEN = 4
"""How often a job may be overtaken by later jobs of the same person whose models are loaded."""

Crowd: TypeAlias = list[tuple[float, float, int]]
"""The served seconds of each person with waiting jobs, the average charge of these jobs, and their number."""


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


class FairQueue:
    """Owns the waiting jobs, and the served seconds of each person."""

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}
        """Everybody with a waiting job."""
        self._order = PeopleInOrder()
        self._waiting: dict[JobId, QueuedJob] = {}
        self._absent: dict[str, float] = {}
        """Served seconds of people without a waiting job, as far as they matter when these people come back."""
        self._levels = Levels()
        self._overtaken: dict[JobId, int] = {}
        self._changed_people: dict[str, None] = {}
        self._admits: Admits | None = None

    @property
    def largest(self) -> float:
        """The largest charge of one job so far, in seconds."""
        return self._levels.largest

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job: JobId) -> bool:
        return job in self._waiting

    def copy(self) -> FairQueue:
        """A copy that can be changed independently."""
        other = FairQueue()
        other._people = {name: person.copy() for name, person in self._people.items()}
        other._order = self._order.copy()
        other._waiting = dict(self._waiting)
        other._absent, other._levels = dict(self._absent), self._levels.copy()
        other._overtaken = dict(self._overtaken)
        other._admits = self._admits
        return other

    def restore(self, served: Served) -> None:
        """Take over what was kept, before any job is added."""
        self._levels.restore(served.levels, served.largest)
        for person, seconds in served.people.items():
            self._remember(person, seconds)

    def changes(self) -> Served:
        """What is to be kept and has changed since the last call."""
        people = {person: self.served(person) for person in self._changed_people}
        self._changed_people.clear()
        levels, grown = self._levels.changes()
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
        return waiting.served if waiting is not None else self._absent.get(person, self._levels.of(EVERYWHERE))

    def first_of(self, person: str) -> JobId | None:
        """The waiting job of a person that was accepted first; None if there is none."""
        if (waiting := self._people.get(person)) is None:
            return None
        return min((jobs[0] for jobs in waiting.jobs.values()), key=NUMBER).job

    def jobs_of(self, person: str) -> Iterator[QueuedJob]:
        """The waiting jobs of a person, in order of acceptance."""
        waiting = self._people.get(person)
        return waiting.in_order() if waiting is not None else iter(())

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
            served = self._levels.start(self._absent.pop(job.person, 0.0), job.servers)
            person = self._people[job.person] = Person(served, job.number)
        else:
            self._order.remove(job.person, person)
            if job.servers not in person.jobs:
                person.served = max(person.served, self._levels.of(job.servers))
        person.put(job)
        person.first = min(person.first, job.number)
        self._waiting[job.job] = job
        self._list(job.person, person)

    def replace(self, job: QueuedJob) -> None:
        """Replace a waiting job by another form of it, with the same number and person: it keeps its place.

        Where its person has not waited so far, the level applies as for a new job.
        """
        person = self._people[job.person]
        self._order.remove(job.person, person)
        if job.servers not in person.jobs:
            start = self._levels.start(person.served, job.servers)
            person.served = start if person.count == 1 else max(person.served, start)
        person.drop(self._waiting[job.job])
        person.put(job)
        self._waiting[job.job] = job
        self._list(job.person, person)

    def remove(self, job_id: JobId) -> None:
        """Remove a job that no longer waits, if it is here."""
        if (job := self._waiting.get(job_id)) is not None:
            person = self._people[job.person]
            self._order.remove(job.person, person)
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
        for served, _, name in self._order.wanting({loaded, ""}, server):
            if served > least[0] + TOLERANCE:
                return None
            for job in self._candidates(self._on(server, self._people[name])):
                if not job.models or job.models == loaded:
                    return job
        return None

    def take(self, job: QueuedJob, server: ServerName, charge: float) -> None:
        """Remove a job because this server gets it, and charge its person."""
        if (least := self._least(server)) is not None:
            self._levels.reach(server, least[0])
        person = self._people[job.person]
        self._order.remove(job.person, person)
        for earlier in self._on(server, person):
            if earlier.number >= job.number:
                break
            self._overtaken[earlier.job] = self._overtaken.get(earlier.job, 0) + 1
        self._levels.charged(charge)
        person.served += charge
        self._changed_people[job.person] = None
        self._drop(job, person)

    def adopt(self, name: str, charge: float) -> None:
        """Charge a person for a job that a server has already."""
        self._levels.charged(charge)
        self.charge(name, charge)

    def charge(self, name: str, seconds: float) -> None:
        """Add to a person's served seconds; a correction may be negative."""
        self._changed_people[name] = None
        if (person := self._people.get(name)) is None:
            self._remember(name, self.served(name) + seconds)
            return
        self._order.remove(name, person)
        person.served += seconds
        self._list(name, person)

    def correct(self, name: str, seconds: float) -> None:
        """Correct a charge after the job ended, by at most the largest charge of one job.

        A person who waits is not corrected below the level: newcomers started there, because of the same charge.
        """
        seconds = max(-self.largest, min(seconds, self.largest))
        if (person := self._people.get(name)) is not None:
            level = min(self._levels.of(servers) for servers in person.jobs)
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
        before = sum(bisect_left(jobs, job.number, key=NUMBER) for jobs in own.jobs.values())
        start = own.served + before * own.charges / own.count
        return int(sum(min(count, (start - served) / each + 0.5) for served, each, count in crowd if served < start))

    def _on(self, server: ServerName, person: Person) -> Iterator[QueuedJob]:
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

    def _least(self, server: ServerName) -> Entry | None:
        """Who was served least of those with a job that this server may take; None if nobody has one."""
        for entry in self._order.waiting_for(server):
            if self._admits is None or any(True for _ in self._on(server, self._people[entry[2]])):
                return entry
        return None

    def _list(self, name: str, person: Person) -> None:
        """Put a person into the order, after a change."""
        person.needs = tuple(
            {(servers, job.models) for servers, jobs in person.jobs.items() for job in self._candidates(jobs)}
        )
        self._order.add(name, person)

    def _drop(self, job: QueuedJob, person: Person) -> None:
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
        if served > self._levels.lowest:
            self._absent[name] = served
