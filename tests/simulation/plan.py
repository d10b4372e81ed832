"""What a simulation is made of: who wishes for what, and what goes wrong when. A seed draws it, or hypothesis."""

from __future__ import annotations

import random
from typing import Literal, TypeAlias, get_args

from hypothesis import strategies as st
from msgspec import Struct

Kind: TypeAlias = Literal[
    "drop",  # every websocket is cut
    "half_open",  # the sockets stay, nothing comes any more, and no pong
    "deaf",  # the sockets stay, answer pings, and hear nothing (ComfyUI#16010)
    "stall",  # somebody does not read, so nobody hears anything
    "refuse",  # nothing is answered
    "refuse_sockets",  # only HTTP is answered
    "restart",  # the server forgets queue and history
    "forget_pending",  # somebody else clears the queue
    "forget_history",  # somebody else clears the history
    "forget_prompt",  # somebody else deletes one of our prompts
    "post_500",  # a POST breaks, and had no effect
    "post_500_effect",  # a POST breaks, and was taken all the same (measured, T19)
    "lose_replies",  # requests have their effect, and no answer
    "delay",  # answers overtake each other
    "slow_frames",  # frames come late, behind the answers
    "duplicate",  # frames come twice
    "garbage",  # frames nobody knows, and previews that break off
    "kill",  # the bot dies, and is started again
    "disk_full",  # the journal cannot be written, so the bot dies
    "board_away",  # the people's place does not answer
    "board_forgets",  # it shows, but its answers are lost
    "message_deleted",  # somebody deletes the message of a job
]
KINDS: tuple[Kind, ...] = get_args(Kind)

TROUBLE = 60.0
"""Seconds in which things go wrong; after that all is well, and everything has to end."""

CALM = 900.0
"""Seconds for everything to end: the longest pause of a last word is 60, the longest run a few."""


class Fault(Struct, frozen=True):
    """At `at` seconds, for `seconds` where it lasts; `which` picks a job, a prompt or a number of requests."""

    at: float
    kind: Kind
    seconds: float
    which: int


class Want(Struct, frozen=True):
    """One person's wish, at `at` seconds, and after how many more they take it back; None for never."""

    at: float
    cancel: float | None = None


class Plan(Struct, frozen=True):
    """One world. `chance` seeds all that the plan leaves open."""

    chance: int
    wants: tuple[Want, ...]
    faults: tuple[Fault, ...]
    depth: int = 2


def drawn(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)
    kinds = rng.sample(KINDS, rng.randint(1, 6))
    # In clusters, because what goes wrong between two jobs harms nobody.
    hearts = [rng.uniform(0, TROUBLE * 0.8) for _ in range(rng.randint(1, 3))]

    def moment(spread: float) -> float:
        return round(min(max(rng.choice(hearts) + rng.uniform(-1, 3) * spread, 0), TROUBLE - 5), 3)

    wants = [
        Want(moment(1.0), round(rng.uniform(0, 8), 3) if rng.random() < 0.2 else None)
        for _ in range(rng.randint(2, 10))
    ]
    faults = [
        Fault(moment(3.0), rng.choice(kinds), round(rng.expovariate(0.4), 3), rng.randrange(1000))
        for _ in range(rng.randint(1, 14))
    ]
    return Plan(seed, tuple(wants), tuple(faults), rng.choice((1, 2, 2, 3)))


def plans() -> st.SearchStrategy[Plan]:
    """Plans that hypothesis can make smaller."""
    moments = st.floats(0, TROUBLE).map(lambda number: round(number, 2))
    lengths = st.floats(0, 10).map(lambda number: round(number, 2))
    wants = st.builds(Want, moments, st.none() | lengths)
    faults = st.builds(Fault, moments, st.sampled_from(KINDS), lengths, st.integers(0, 20))
    return st.builds(
        Plan,
        st.integers(0, 2**16),
        st.lists(wants, min_size=1, max_size=6).map(tuple),
        st.lists(faults, max_size=8).map(tuple),
        st.integers(1, 3),
    )
