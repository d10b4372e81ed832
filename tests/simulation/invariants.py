"""What must hold in every world, whatever happened there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from app.events import Cancelled, Failed, Finished, Lost, PromptId
from app.jobs import Job, Line, State
from app.journal.store import Store
from tests.simulation.board import Board
from tests.simulation.door import last_card
from tests.simulation.network import Network
from tests.simulation.plan import Kind, Plan
from tests.simulation.witness import Witness

ENDS = {state.name.lower() for state in State if state.settled and state is not State.DELIVERED}

HEARD = 5.0
"""Seconds within which a server has heard, while all is well, that it shall drop a job."""

CHECKS = 1.0
"""Seconds after which a server that was told to stop has stopped, or had ended before: the gap until its history."""


def broken(
    plan: Plan, witness: Witness, board: Board, store: Store, networks: Sequence[Network], began: float
) -> Iterator[str]:
    """Every promise that was broken, as a sentence."""
    for job, remembered in witness.told.items():
        if not remembered:
            yield f"{job} was told before it was in the journal"
    yield from witness.wrong
    kinds: set[Kind] = {fault.kind for fault in plan.faults}
    for entry in store.newest("", 1000):
        job, story = entry.job, store.story(entry.job.id)
        yield from _ended(job, board)
        yield from _story(story)
        yield from _deserved(job, story, plan, kinds, witness)
        yield from _outlived(job, story, witness, began)
        yield from _taken_back(job, story, witness, networks, began)
    for network in networks:
        for item in filter(None, (network.simulator.running, *network.simulator.pending)):
            if item[3].get("client_id") != "somebody else":
                yield f"{network.name} still has {item[1]}, and nobody waits for it"


def _ended(job: Job, board: Board) -> Iterator[str]:
    """Each accepted job ended exactly once, and its person knows: from one message, which says what is true."""
    if job.last_word is None or not job.told:
        yield f"{job.id} was accepted, and ended {job.state.name.lower()}, told: {job.told}"
        return
    messages = [message for message in board.messages if message.job == job.id]
    results = [message for message in messages if message.ended and not message.deleted]
    deleted = any(message.deleted for message in messages)
    if len(results) != 1 and not (deleted and not results):
        yield f"{job.id} has {len(results)} messages with a last word"
    due = last_card(job)
    for message in messages:
        if any(card != due for card in message.last_words):
            yield f"{job.id} was told {message.last_words}, and is {job.last_word}"


def _story(story: Sequence[Line]) -> Iterator[str]:
    """Versions only grow, an attempt never goes back, and an end stays the end."""
    version, end, reached = -1, "", dict[str, State]()
    for line in story:
        step = line.transition
        if step.version < version:
            yield f"{step.job} went back from version {version} to {step.version}"
        version = step.version
        state = State[step.state.upper()]
        if state < reached.get(step.prompt, State.ACCEPTED) and step.prompt:
            yield f"{step.job} went back from {reached[step.prompt].name.lower()} to {step.state}"
        reached[step.prompt] = state
        if end and step.state not in {end, "delivered"}:
            yield f"{step.job} was {end}, and became {step.state}"
        if step.state in ENDS:
            end = step.state


def _deserved(job: Job, story: Sequence[Line], plan: Plan, kinds: set[Kind], witness: Witness) -> Iterator[str]:
    """No job ends otherwise than its server, or whoever meddled with it, made it end."""
    ending = plan.wants[job.wish.seed or 0].ending
    prompts = {line.transition.prompt for line in story}
    match job.last_word:
        case Finished(files=files):
            whole = bool(files) and all(Path(file).is_file() for file in files)
            if ending != "well" or not (whole or (not files and "results_full" in kinds)):
                yield f"{job.id} was delivered with {files}, and should have ended: {ending}"
        case Failed():
            if ending == "well" and not kinds & {"post_500", "post_500_effect"}:
                yield f"{job.id} failed, and nothing was wrong with it"
        case Cancelled():
            if job.id not in witness.asked_back and not prompts & witness.interrupted:
                yield f"{job.id} was cancelled, and nobody had asked for it"
        case Lost():
            if len(prompts - {""}) < 2:
                yield f"{job.id} was lost after one try"
        case None:
            pass


def _outlived(job: Job, story: Sequence[Line], witness: Witness, began: float) -> Iterator[str]:
    """No server works for a job that has ended."""
    end = next((line.at + began for line in story if line.transition.state in ENDS), float("inf"))
    for taken in witness.taken[job.id]:
        at = taken.network.simulator.ended_at.get(taken.prompt, float("-inf"))
        if at > end:
            yield f"{taken.prompt} ran on for {at - end:.1f} s after the end of its job"


def _taken_back(
    job: Job, story: Sequence[Line], witness: Witness, networks: Sequence[Network], began: float
) -> Iterator[str]:
    """What is taken back before its end ends cancelled, as soon as its server hears of it, and is not sent anew."""
    asked = next((place for place, line in enumerate(story) if line.transition.cause == "to be cancelled"), None)
    if asked is None:
        return
    if any(line.transition.state in ENDS for line in story[:asked]):
        yield f"{job.id} was taken back after its end, and that was not ignored"
    if any(line.transition.state == "submitting" and line.transition.cause.startswith("try") for line in story[asked:]):
        yield f"{job.id} was sent although it had been taken back"
    if isinstance(job.last_word, Cancelled):
        return
    if story[asked].transition.state == "accepted":
        yield f"{job.id} was taken back while it waited with us, and ended {job.state.name.lower()}"
    prompt = PromptId(story[-1].transition.prompt)
    ended = [at for network in networks if (at := network.simulator.ended_at.get(prompt)) is not None]
    heard = witness.withdrawn.get(prompt, float("inf")) + CHECKS
    if witness.well(at := story[asked].at + began, at + HEARD):
        heard = min(heard, at + HEARD)
    if any(at > heard for at in ended):
        yield f"{job.id} was taken back {max(ended) - heard:.1f} s before its end, which did not win"
