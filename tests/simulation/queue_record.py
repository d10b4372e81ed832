"""Checks that people read the truth about the queues of servers."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import anyio

from app.actors.registry import PromptRegistry
from app.core.jobs.job import Attempt, Job, State
from app.events import PromptId
from tests.simulation.network import Network

LATE = 5.0
"""Seconds within which what is said of a server's queue is true, while all is well: a frame and a query take less."""


class QueueRecord:
    """Owns since when something else was said about each server's queue than is true."""

    def __init__(self, well: Callable[[float, float], bool]) -> None:
        self._well = well
        self._since: dict[str, float] = {}

    def untrue(self, registry: PromptRegistry, networks: Sequence[Network]) -> Iterator[str]:
        """What was untrue for too long, as sentences."""
        now = anyio.current_time()
        differing = {
            about: sentence
            for network in networks
            if not network.dead and network.name in registry._reconciler.servers
            for about, sentence in _differing(registry, network, now)
        }
        self._since = {about: self._since.get(about, now) for about in differing}
        for about, sentence in differing.items():
            since = self._since[about]
            if now > since + LATE and self._well(since, now):
                yield sentence


def _differing(registry: PromptRegistry, network: Network, now: float) -> Iterator[tuple[str, str]]:
    """What a person who asks now reads about a server's queue, where that is not true: about what, and a sentence."""
    name, prompts = network.name, registry._job_table.prompts
    server_state = registry._reconciler.servers[name]
    if not server_state.reachable:
        return
    foreign = sum(item[1] not in prompts for item in network.queue)
    waits = registry._scheduler.line.waiting or any(True for _ in prompts.in_flight(name))
    if waits and server_state.foreign != foreign:
        yield name, f"{name} is said to have {server_state.foreign} prompts of others, but it has {foreign}"
    for job, attempt in prompts.in_flight(name):
        true = ahead(network, attempt.prompt)
        if job.state is not State.QUEUED or attempt.posting or true is None:
            continue
        said = _position(registry, job, attempt, now)
        if said != true:
            yield attempt.prompt, f"{job.id} is said to have {said} prompts ahead of it at {name}, but it has {true}"


def ahead(network: Network, prompt: PromptId) -> int | None:
    """How many prompts a server runs before one that waits in its queue; None if it does not wait there."""
    running = network.simulator.running
    prompts = [item[1] for item in network.queue]
    return prompts.index(prompt) if prompt in prompts and (running is None or running[1] != prompt) else None


def _position(registry: PromptRegistry, job: Job, attempt: Attempt, now: float) -> int:
    before = attempt.foreign
    position = registry._scheduler.line.look(job, now).position
    # A look remembers how many of the others are left, and whoever only observes must change nothing.
    attempt.foreign = before
    return position
