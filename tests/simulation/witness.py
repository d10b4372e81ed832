"""What is seen of a world while it goes on, for the invariants to judge."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from app.actors.handle import Command, Registry, Submit, Updates, Watch
from app.actors.registry import PromptRegistry
from app.errands import Errand
from app.events import JobId, PromptId
from app.truth import Message
from tests.simulation.network import Network

ERRANDS = {kind.__name__ for kind in Errand.__args__}
"""What the registry calls its helpers."""


class Taken(Struct, frozen=True):
    """A prompt that a server took, and in which of its lives."""

    network: Network
    life: int
    prompt: PromptId


class Witness:
    """Owns what was seen. `path` is the journal's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.told: dict[JobId, bool] = {}
        """For each job that somebody was told of: whether the journal had it by then."""
        self.wrong: list[str] = []
        """Promises that were broken before everybody's eyes."""
        self.taken: defaultdict[JobId, list[Taken]] = defaultdict(list)
        self.taken_away: set[str] = set()
        """Prompts that somebody else deleted or cleared: only these may run again in the same life of a server."""
        self.interrupted: set[str] = set()
        """Prompts that somebody else interrupted."""
        self.withdrawn: dict[PromptId, float] = {}
        """When a server first did what our wish to drop a prompt asked for."""
        self.asked_back: dict[JobId, float] = {}
        """When a person took a job back."""
        self.ill: list[tuple[float, float]] = []
        """Since when and until when something was wrong, or may have been."""
        self._registry: PromptRegistry | None = None
        self._mailboxes: list[Updates] = []

    @cached_property
    def journal(self) -> sqlite3.Connection:
        """The journal, read by somebody else; open from the first look on."""
        return sqlite3.connect(self._path)

    def close(self) -> None:
        """Nothing more will be read."""
        if "journal" in self.__dict__:
            self.journal.close()

    @property
    def unfinished(self) -> bool:
        """Whether somebody waits for a last word."""
        return self.journal.execute("SELECT 1 FROM jobs WHERE told = 0 LIMIT 1").fetchone() is not None

    def saw(self, job: JobId) -> None:
        """A job is about to be shown."""
        if job not in self.told:
            self.told[job] = self._known("id", job)

    def took(self, network: Network, job: JobId, prompt: PromptId) -> None:
        """A server takes a prompt."""
        if not self._known("prompt", prompt):
            self.wrong.append(f"{prompt} was sent before it was in the journal")
        for other in self.taken[job]:
            if other.life == other.network.life and other.prompt not in self.taken_away:
                self.wrong.append(f"{job} was taken twice in life {other.life} of {other.network.name}")
        self.taken[job].append(Taken(network, network.life, prompt))

    def withdrew(self, prompt: PromptId) -> None:
        """A server dropped a prompt, or stops it, because we asked it to."""
        self.withdrawn.setdefault(prompt, anyio.current_time())

    def well(self, since: float, until: float) -> bool:
        """Whether nothing was wrong all this time."""
        return all(end < since or begin > until for begin, end in self.ill)

    def _known(self, column: str, value: str) -> bool:
        found = self.journal.execute(f"SELECT 1 FROM jobs WHERE {column} = ?", (value,)).fetchone()
        return found is not None

    def registry(self) -> type[PromptRegistry]:
        """A registry that is watched."""
        witness = self

        class Witnessed(PromptRegistry):
            async def run(self, *, task_status: TaskStatus[Registry] = TASK_STATUS_IGNORED) -> None:
                witness._registry = self
                witness._mailboxes.clear()
                await super().run(task_status=task_status)

            def _take(self, message: Command | Message) -> None:
                if isinstance(message, (Submit, Watch)):
                    witness._mailboxes.append(message.updates)
                super()._take(message)

            async def _act(self, helpers: TaskGroup) -> None:
                await super()._act(helpers)
                witness.wrong += idle(self)

        return Witnessed

    def left_over(self) -> Iterator[str]:
        """What is still held or at work, although everything has ended."""
        if (registry := self._registry) is None:
            return
        ledger, dispatcher = registry._ledger, registry._dispatcher
        held = {
            "jobs": ledger.jobs,
            "prompts": ledger.by_prompt,
            "meters": ledger.meters,
            "to be journalled": ledger.changed,
            "to be told": ledger.news,
            "to be done": ledger.errands,
            "stories": ledger.story,
            "watchers": registry._watchers,
            "arrivals": registry._arrivals,
            "positions": dispatcher._told,
            "looks": [name for name, machine in registry._truth.machines.items() if machine.looking],
            "mailboxes": [box for box in self._mailboxes if box._pending or not box._closed],
            "tasks": [name for task in anyio.get_running_tasks() if _finite(name := task.name or "")],
        }
        if left := {name: list(table) for name, table in held.items() if table}:
            yield f"nothing is left to do, but there are {left}"
        if waiting := registry._inbox.statistics().current_buffer_used:
            yield f"nothing is left to do, but {waiting} words wait in the registry's inbox"


def idle(registry: PromptRegistry) -> Iterator[str]:
    """Places that are free although a job waits that may go there: never, once a turn is over.

    A server gets one POST after the other, so none is free before the last was answered.
    """
    ledger, dispatcher = registry._ledger, registry._dispatcher
    waiting = ledger.waiting()
    if not waiting:
        return
    for name, machine in dispatcher._machines.items():
        attempts = [attempt for _, attempt in ledger.in_flight(name)]
        if not machine.reachable or len(attempts) >= dispatcher._depth or any(one.posting for one in attempts):
            continue
        for job in waiting:
            if name in dispatcher._able(job):
                yield f"{job.id} waits, although {name} has a place"


def _finite(name: str) -> bool:
    return name in ERRANDS or name.startswith("interaction")
