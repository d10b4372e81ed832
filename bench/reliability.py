"""The cost of failures: the time until the state of all jobs is known again, and the delay of results."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import anyio

from app.simulator.faults import Request
from bench.client_process import client_process
from bench.server_process import Order, Report, server_process

CROWD = 1000
"""Jobs in flight when the server goes away: far more than the 16 that the application gives to one server at most."""

FEW = 4
"""Jobs in flight where time is measured, not the amount of work: they all end while no connection works."""

STEP_TIME = 0.05
"""Seconds for each of four steps of a sampler: the `FEW` jobs end one after the other, within two seconds."""

CUT = 5.0
"""Seconds without any connection to the server."""

CUTS = 2
"""Cuts per round: how soon the next connection attempt follows the end of an outage is random."""

Figures = dict[str, float]


async def _reconcile() -> Figures:
    """Let all jobs end while the server is unreachable; measures until the journal has every end after its return."""
    figures: Figures = {}
    async with server_process(0.0) as server, client_process(server.url, depth=CROWD) as client:
        await server.ask(Order(faults=Request(hold=True, history_gap=0.0)))
        back = 0.0

        async def lose_and_find() -> None:
            nonlocal back
            away = (await server.ask(Order(line="cut"))).at
            await server.ask(Order(faults=Request(hold=False), ended=CROWD))
            back = (await server.ask(Order(line="mend"))).at
            figures["away_s"] = back - away
            figures["reconciled_s"] = await client.journal.reach(["finished"], CROWD) - back

        await client.make(range(CROWD), lose_and_find)
        report = await server.ask(Order())
        figures["delivered_s"] = max(client.late(report.ended, back))
        figures |= {f"requests_{kind}": count for kind, count in _requests(report, back).items()}
        figures["wrongly_told"] = client.unfinished
    return figures


def _requests(report: Report, back: float) -> Counter[str]:
    """Count the requests to the server since `back` by purpose; the websocket's handshake counts as "other"."""
    kinds = {"queue": "reconciling", "history": "reconciling", "view": "files"}
    paths = [request.path.partition("?")[0] for request in report.carried if request.at >= back]
    return Counter(kinds.get(path.split("/")[1], "other") for path in paths)


async def _half_open() -> Figures:
    """Freeze all connections silently while jobs wait; they end, and new connections work, once this is noticed."""
    figures: Figures = {}
    async with server_process(STEP_TIME) as server, client_process(server.url, depth=FEW) as client:
        await server.ask(Order(faults=Request(hold=True)))
        back = 0.0

        async def freeze() -> None:
            nonlocal back
            frozen = await server.ask(Order(line="freeze"))
            figures["noticed_s"] = await client.losses.next() - frozen.at
            back = (await server.ask(Order(line="mend", faults=Request(hold=False), ended=FEW))).at

        await client.make(range(FEW), freeze)
        figures["late_after_return_s"] = max(client.late((await server.ask(Order())).ended, back))
        figures["wrongly_told"] = client.unfinished
    return figures


async def _path_cut() -> Figures:
    """Cut HTTP and websocket while jobs end; measures from the end of the outage to each of their results."""
    late: list[float] = []
    async with server_process(STEP_TIME) as server, client_process(server.url, depth=FEW) as client:

        async def cut() -> None:
            nonlocal back
            report = await server.ask(Order(line="cut", faults=Request(hold=False)))
            await server.ask(Order(ended=(number + 1) * FEW))
            # The length of the outage is fixed, so this waits for time to pass, not for an event.
            await anyio.sleep(report.at + CUT - (await server.ask(Order())).at)
            back = (await server.ask(Order(line="mend"))).at

        known: set[str] = set()
        for number in range(CUTS):
            back = 0.0
            await server.ask(Order(faults=Request(hold=True)))
            await client.make(range(number * FEW, (number + 1) * FEW), cut)
            ended = (await server.ask(Order())).ended
            late += client.late({prompt: at for prompt, at in ended.items() if prompt not in known}, back)
            known |= ended.keys()
        unfinished = client.unfinished
    return {"late_median_s": statistics.median(late), "late_worst_s": max(late), "wrongly_told": unfinished}


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure over the rounds."""
    return {name: round(statistics.median(figures.get(name, 0.0) for figures in rounds), 3) for name in rounds[0]}


def reliability(backend: str, rounds: int) -> dict[str, Figures]:
    """Return all figures of one backend; times are in seconds."""
    trials: dict[str, Callable[[], Awaitable[Figures]]] = {
        "reconcile_1000": _reconcile,
        "half_open": _half_open,
        "path_cut_5_s": _path_cut,
    }
    return {name: medians([anyio.run(trial, backend=backend) for _ in range(rounds)]) for name, trial in trials.items()}
