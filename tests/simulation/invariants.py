"""What must hold in every world, whatever happened there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, field

from app.actors.registry import PromptRegistry
from app.events import LAST_WORDS, JobId
from app.jobs import State
from app.journal.store import Store
from tests.simulation.board import Board
from tests.simulation.network import Network

ENDS = {state.name.lower() for state in State if state.settled}


class Witness(Struct):
    """What was seen from outside while the world went on."""

    told: dict[JobId, bool] = field(default_factory=dict[JobId, bool])
    """For each job that somebody was told of: whether the journal had it by then."""
    unwritten: list[str] = field(default_factory=list[str])
    """Prompts that the server took before the journal knew of them."""
    meddled: set[int] = field(default_factory=set[int])
    """Lives of the server in which somebody else deleted or cleared: there a prompt may run again."""
    registries: list[PromptRegistry] = field(default_factory=list[PromptRegistry])

    def left_over(self) -> Iterator[str]:
        """What the living registry still holds, although everything has ended."""
        for registry in self.registries[-1:]:
            ledger = registry._ledger  # pyright: ignore[reportPrivateUsage]
            watchers = registry._watchers  # pyright: ignore[reportPrivateUsage]
            held = {"jobs": ledger.jobs, "prompts": ledger.by_prompt, "meters": ledger.meters, "watchers": watchers}
            if left := {name: list(table) for name, table in held.items() if table}:
                yield f"the registry still holds {left}"


def broken(witness: Witness, board: Board, network: Network, store: Store) -> Iterator[str]:
    """Every promise that was broken, as a sentence."""
    for job, remembered in witness.told.items():
        if not remembered:
            yield f"{job} was told before it was in the journal"
    for prompt in witness.unwritten:
        yield f"{prompt} was sent before it was in the journal"
    yield from _ended(board, store)
    yield from _stories(store)
    yield from _run_once(witness, network)


def _ended(board: Board, store: Store) -> Iterator[str]:
    """Each accepted job ended exactly once, its person knows, and from one message."""
    for entry in store.newest("", 1000):
        job = entry.job
        if job.last_word is None or not job.told:
            yield f"{job.id} was accepted, and ended {job.state.name.lower()}, told: {job.told}"
            continue
        shown = [message for message in board.messages if message.job == job.id and not message.deleted]
        results = [message for message in shown if message.said and isinstance(message.said[-1], LAST_WORDS)]
        deleted = any(message.job == job.id and message.deleted for message in board.messages)
        if len(results) != 1 and not (deleted and not results):
            yield f"{job.id} has {len(results)} messages with a last word"
        for message in results:
            words = [word for word in message.said if isinstance(word, LAST_WORDS)]
            if any(word != job.last_word for word in words):
                yield f"{job.id} was told {words}, and is {job.last_word}"


def _stories(store: Store) -> Iterator[str]:
    """Versions only grow, and an end stays the end."""
    for entry in store.newest("", 1000):
        version, end = -1, ""
        for line in store.story(entry.job.id):
            step = line.transition
            if step.version < version:
                yield f"{step.job} went back from version {version} to {step.version}"
            version = step.version
            if end and step.state not in {end, "delivered"}:
                yield f"{step.job} was {end}, and became {step.state}"
            if step.state in ENDS and step.state != "delivered":
                end = step.state


def _run_once(witness: Witness, network: Network) -> Iterator[str]:
    """No wish runs twice in one life of the server, unless somebody else took it away there."""
    for (life, seed), times in Counter((life, seed) for life, seed, _ in network.taken).items():
        if times > 1 and life not in witness.meddled:
            yield f"#{seed} was taken {times} times in life {life} of the server"
