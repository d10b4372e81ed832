"""What the house would be without one of its rules: each must be found out by the simulation."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from unittest.mock import patch

from anyio.abc import TaskGroup
from msgspec.structs import replace

from app.actors.registry import PromptRegistry
from app.errands import Looked
from app.jobs import Job, State
from app.servers import Machine
from app.truth import Truth

# pyright: reportPrivateUsage=false


@contextmanager
def without_catching_up() -> Generator[None]:
    """Whatever was missed stays missed: nobody looks."""

    def look(self: Truth, machine: Machine, now: float) -> None:
        machine.reachable, machine.looked = True, now

    with patch.object(Truth, "_look", look):
        yield


@contextmanager
def without_fences() -> Generator[None]:
    """Every reading counts, however old it is, and whatever happened since it was taken."""

    def move(self: Job, state: State) -> bool:
        self.state = state
        self.version += 1
        return True

    real = Truth._looked

    def looked(self: Truth, machine: Machine, seen: Looked, now: float) -> None:
        jobs = self._ledger.by_prompt
        asked = {prompt: jobs[prompt].version for prompt in seen.errand.asked if prompt in jobs}
        real(self, machine, replace(seen, errand=replace(seen.errand, asked=asked)), now)

    with patch.object(Truth, "_looked", looked), patch.object(Job, "move", move):
        yield


@contextmanager
def with_the_journal_after_the_post() -> Generator[None]:
    """Done and told first, written down later."""
    real = PromptRegistry._act

    async def act(self: PromptRegistry, helpers: TaskGroup) -> None:
        ledger = self._ledger
        changed, ledger.changed = ledger.changed, {}
        await real(self, helpers)
        ledger.changed = {**changed, **ledger.changed}
        if ledger.changed:
            jobs, ledger.changed = list(ledger.changed.values()), {}
            story, ledger.story = ledger.story, []
            await self._journal.record(jobs, story)

    with patch.object(PromptRegistry, "_act", act):
        yield
