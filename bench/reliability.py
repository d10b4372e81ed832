"""What it costs when something breaks: until all is known again, and how late a result comes."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import anyio

from app.simulator.faults import Request
from bench.client_process import client_process
from bench.server_process import Order, Report, server_process

CROWD = 1000
"""Jobs in flight when the server goes away: far more than a house ever gives to one, which is 16."""

FEW = 4
"""Jobs in flight where time is measured, and not work: they all end while nobody hears it."""

STEP_TIME = 0.05
"""Seconds for each of four steps of a sampler: the few end one after the other, within two seconds."""

CUT = 5.0
"""Seconds without any path."""

CUTS = 2
"""Cuts in a round: where the next dial falls after the path's return is chance."""

Figures = dict[str, float]


async def _reconcile() -> Figures:
    """Everything ends while websocket and port are away: from their return until the journal knows of every end."""
    found: Figures = {}
    async with server_process(0.0) as server, client_process(server.url, depth=CROWD) as client:
        await server.ask(Order(faults=Request(hold=True, history_gap=0.0)))
        back = 0.0

        async def lose_and_find() -> None:
            nonlocal back
            left = (await server.ask(Order(line="cut"))).at
            await server.ask(Order(faults=Request(hold=False), ended=CROWD))
            back = (await server.ask(Order(line="mend"))).at
            found["away_s"] = back - left
            found["reconciled_s"] = await client.journal.reach(["finished"], CROWD) - back

        await client.make(range(CROWD), lose_and_find)
        report = await server.ask(Order())
        found["delivered_s"] = max(client.late(report.ended, back))
        found |= {f"requests_{kind}": count for kind, count in _requests(report, back).items()}
        found["wrongly_told"] = client.unfinished
    return found


def _requests(report: Report, back: float) -> Counter[str]:
    """What the server was asked since then; the websocket's handshake is among the others."""
    kinds = {"queue": "reconciling", "history": "reconciling", "view": "files"}
    paths = [request.path.partition("?")[0] for request in report.carried if request.at >= back]
    return Counter(kinds.get(path.split("/")[1], "other") for path in paths)


async def _half_open() -> Figures:
    """Nothing moves any more, and nobody says so, while a job ends; new connections work once it was noticed."""
    found: Figures = {}
    async with server_process(STEP_TIME) as server, client_process(server.url, depth=FEW) as client:
        await server.ask(Order(faults=Request(hold=True)))
        back = 0.0

        async def freeze() -> None:
            nonlocal back
            frozen = await server.ask(Order(line="freeze"))
            found["noticed_s"] = await client.losses.next() - frozen.at
            back = (await server.ask(Order(line="mend", faults=Request(hold=False), ended=FEW))).at

        await client.make(range(FEW), freeze)
        found["late_after_return_s"] = max(client.late((await server.ask(Order())).ended, back))
        found["wrongly_told"] = client.unfinished
    return found


async def _path_cut() -> Figures:
    """HTTP and websocket are cut while jobs end: from the path's return to each of their results."""
    late: list[float] = []
    async with server_process(STEP_TIME) as server, client_process(server.url, depth=FEW) as client:

        async def cut() -> None:
            nonlocal back
            left = await server.ask(Order(line="cut", faults=Request(hold=False)))
            await server.ask(Order(ended=(number + 1) * FEW))
            # The length of the outage is what is given, so time itself is waited for.
            await anyio.sleep(left.at + CUT - (await server.ask(Order())).at)
            back = (await server.ask(Order(line="mend"))).at

        known: set[str] = set()
        for number in range(CUTS):
            back = 0.0
            await server.ask(Order(faults=Request(hold=True)))
            await client.make(range(number * FEW, (number + 1) * FEW), cut)
            ended = (await server.ask(Order())).ended
            late += client.late({prompt: at for prompt, at in ended.items() if prompt not in known}, back)
            known |= ended.keys()
        told = client.unfinished
    return {"late_median_s": statistics.median(late), "late_worst_s": max(late), "wrongly_told": told}


def medians(found: Sequence[Figures]) -> Figures:
    """Of each figure, over the rounds."""
    return {name: round(statistics.median(one.get(name, 0.0) for one in found), 3) for name in found[0]}


def reliability(backend: str, rounds: int) -> dict[str, Figures]:
    """All figures of one backend; times in seconds."""
    trials: dict[str, Callable[[], Awaitable[Figures]]] = {
        "reconcile_1000": _reconcile,
        "half_open": _half_open,
        "path_cut_5_s": _path_cut,
    }
    return {name: medians([anyio.run(trial, backend=backend) for _ in range(rounds)]) for name, trial in trials.items()}
