"""What became of everything: figures, and each promise that was broken."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio
from msgspec import Struct

from app.core.jobs.job import Job, State, TransitionRow
from app.discord.messages.open_requests import LOOK
from app.journal.opening import JOURNAL, open_store
from tests.discord.fake import buttons_of, media_of
from tests.discord.fake.wire import Payload
from tests.discord.stage import job_of, words
from tests.process.cluster.cluster import TERMINAL, Cluster
from tests.process.cluster.people import People, Wish

ENDING = 120.0
"""Seconds in which everything that was accepted ends once nothing goes wrong any more."""

ALL = 100_000
"""More jobs than there are."""

LEFT = 2 * LOOK
"""Seconds in which the active front answers those whom another one has told that it thinks."""

HURT = 5.0
"""Seconds before a front dies, freezes or is cut off in which requests may stay at “thinking”: nothing was accepted."""


class Outcome(Struct):
    """The figures of a run, in seconds where they are times, and what was `broken`, one sentence each."""

    seconds: float
    jobs: int
    delivered: int
    unanswered: int
    """Requests that Discord itself had to answer, because no front was there."""
    refused: int
    left_thinking: int
    """Requests that were acknowledged in the moment in which a front died, and are no jobs."""
    prompts: int
    """Prompts that ran at the simulators to their end."""
    longest_wait: float
    faults: dict[str, int]
    broken: list[str]


async def outcome(
    cluster: Cluster, people: People, began: float, faults: dict[str, int], periods: Sequence[tuple[float, float]]
) -> Outcome:
    """Wait until everything has ended, and look at all of it."""
    broken: list[str] = []
    with anyio.move_on_after(ENDING):
        while people.open:
            people.look()
            await anyio.sleep(0.1)
    broken += [f"{wish.stage} for ever: {people.read(wish)}" for wish in people.open]
    active, standby = await cluster.pair()
    jobs = await _ended(active.folder)
    states = Counter(job.state for job, _ in jobs)
    broken += [f"{job.id} is {job.state.name}, told: {job.notified}" for job, _ in jobs if not _is_well(job)]
    for job, rows in jobs:
        ends = {(row.transition.state, row.transition.version) for row in rows if row.transition.state in TERMINAL}
        if len(ends) != 1:
            broken.append(f"{job.id} ended {len(ends)} times: {ends}")
    messages = Counter(job_of(message) for message in cluster.discord.messages if buttons_of(message))
    broken += [
        f"{job_of(message)} is shown as {words(message)!r}"
        for message in cluster.discord.messages
        if not is_result(message)
    ]
    ids = {job.id for job, _ in jobs}
    broken += [f"{job} is in {count} messages" for job, count in messages.items() if count != 1]
    broken += [f"{job} is in no message" for job in ids - set(messages)]
    broken += [f"{wish.job} was accepted and is in no journal" for wish in people.accepted if wish.job not in ids]
    copies = {job.id for job, _ in _journal(standby.folder)}
    broken += [f"{job} is in one journal only" for job in ids ^ copies]

    def forgotten() -> list[Wish]:
        return [wish for wish in people.thinking if not any(begin - HURT <= wish.at <= end for begin, end in periods)]

    with anyio.move_on_after(LEFT):
        while forgotten():
            people.look()
            await anyio.sleep(0.1)
    broken += [f"acknowledged and forgotten: {people.read(wish)!r} {wish.at:.1f}" for wish in forgotten()]
    stages = people.stages
    return Outcome(
        seconds=round(anyio.current_time() - began, 1),
        jobs=len(jobs),
        delivered=states[State.DELIVERED],
        unanswered=stages["unanswered"],
        refused=stages["refused"],
        left_thinking=len(people.thinking),
        prompts=sum(len(simulator.history) for simulator in cluster.simulators),
        longest_wait=round(max(wish.seconds for wish in people.accepted), 1),
        faults=faults,
        broken=broken,
    )


async def _ended(folder: Path) -> list[tuple[Job, list[TransitionRow]]]:
    """All jobs of the active front's journal, once their people were told how they ended."""
    with anyio.move_on_after(ENDING):
        while not all(job.notified for job, _ in _journal(folder)):  # noqa: ASYNC110  another process
            await anyio.sleep(0.5)
    return _journal(folder)


def _journal(folder: Path) -> list[tuple[Job, list[TransitionRow]]]:
    with open_store(folder / "data" / JOURNAL, clock=time.time) as store:
        return [(entry.job, store.transitions(entry.job.id)) for entry in store.newest("", ALL)]


def is_result(message: Payload) -> bool:
    """Whether a message shows a picture, if it is about a job."""
    return not buttons_of(message) or bool(media_of(message))


def _is_well(job: Job) -> bool:
    return job.state is State.DELIVERED and job.notified
