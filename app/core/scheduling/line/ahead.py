"""Why a waiting job is where it is in line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from app.core.scheduling.queue.fair_queue import FairQueue
from app.core.scheduling.queue.queued_job import QueuedJob

EQUAL = 0.5
"""Served seconds by which two people may differ and still count as served equally."""


class Ahead(Struct, frozen=True):
    """What starts before a waiting job: so many people's jobs, by the reason, and so many earlier requests of its own.

    `had_less` are people who had less of the servers' time, `asked_earlier` people who had as much and asked first, and
    `preferred` people whose models are loaded or whose jobs other servers can run.
    """

    had_less: int = 0
    asked_earlier: int = 0
    preferred: int = 0
    own: int = 0


class _First(Struct, frozen=True):
    """The first job of a person in line: its number, and what the person was served when it starts."""

    number: int
    served: float


def ahead_of_each(order: Iterable[QueuedJob], queue: FairQueue) -> Iterator[Ahead]:
    """What starts before each of these jobs, which are the first in line, in order.

    Each job is charged to its person when it starts, as the scheduler does. So somebody who has the least now may have
    had more than another one when their second job is next.
    """
    served: dict[str, float] = {}
    first: dict[str, _First] = {}
    requests: dict[str, dict[str, None]] = {}
    for job in order:
        mine = served.setdefault(job.person, queue.served(job.person))
        less = earlier = preferred = 0
        for person, ahead in first.items():
            if person == job.person:
                continue
            if ahead.served < mine - EQUAL:
                less += 1
            elif ahead.number < job.number and ahead.served <= mine + EQUAL:
                earlier += 1
            else:
                preferred += 1
        own = requests.setdefault(job.person, {})
        request = job.batch or job.job
        yield Ahead(less, earlier, preferred, len(own.keys() - {request}))
        own[request] = None
        first.setdefault(job.person, _First(job.number, mine))
        served[job.person] = mine + job.charge
