"""What the worlds with several fronts and workers are made of."""

from __future__ import annotations

import random

from tests.simulation.plan import IN_FLEETS, Fault, Kind, Moment, Plan, Want

TROUBLE = 90.0
"""Seconds in which things go wrong: each costs more work here than in other worlds."""

BESIDES: tuple[Kind, ...] = (
    *("drop", "restart", "delay", "late_answers", "lose_replies"),
    *("rate_limit", "rate_limit", "discord_slow", "board_away", "board_forgets", "discord_hangs"),
    *("press_cancel", "press_again", "press_edit"),
)
"""What else goes wrong."""

MOMENTS: tuple[Moment, ...] = (
    "post",
    "taken",
    "look",
    "history",
    "view",
    "started",
    "ended",
    "commit",
    "committed",
    "shown",
    "departing",
    "thinking",
)


def fleet(seed: int) -> Plan:
    """The plan of a seed: two fronts, and one worker or two."""
    rng = random.Random(f"fleet {seed}")
    workers = rng.choice((1, 2))
    kinds: list[Kind] = [*2 * rng.sample(IN_FLEETS, rng.randint(2, 5)), *rng.sample(BESIDES, rng.randint(0, 2))]
    wants = tuple(_want(rng, workers) for _ in range(rng.randint(3, 8)))
    faults = tuple(
        Fault(
            at=round(rng.uniform(5, TROUBLE - 10), 3),
            kind=rng.choice(kinds),
            seconds=rng.choice((0.5, 3.0, 8.0, 15.0)),
            which=rng.randrange(1000),
            upon=rng.choice(MOMENTS) if rng.random() < 0.5 else None,
        )
        for _ in range(rng.randint(4, 16))
    )
    return Plan(
        seed,
        wants,
        faults,
        depth=rng.choice((1, 2)),
        servers=workers,
        modern=rng.random() < 0.5,
        fronts=2,
        trouble=TROUBLE,
    )


def _want(rng: random.Random, workers: int) -> Want:
    return Want(
        at=round(rng.uniform(0, TROUBLE * 0.7), 3),
        cancel=round(rng.uniform(0, 20), 3) if rng.random() < 0.15 else None,
        seconds=round(rng.uniform(2, 12), 3),
        steps=rng.randint(2, 4),
        ending=rng.choices(("well", "breaks"), (12, 1))[0],
        previews=rng.random() < 0.2,
        result=rng.choices(("one", "two", "edited"), (6, 2, 2))[0],
        person=rng.randrange(3),
        server=rng.randrange(workers) if rng.random() < 0.2 else None,
    )
