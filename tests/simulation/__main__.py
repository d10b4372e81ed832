"""`python -m tests.simulation [--seeds N] [--first K] [--backend B] [--crowded | --fleet]`: until one is broken."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from collections import Counter
from statistics import median

from app.system import logging as logs
from tests.simulation.plan import crowded, drawn
from tests.simulation.scene import simulate


def main() -> int:
    """Play the worlds; 1 where one broke a promise, with its whole story."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--backend", choices=("trio", "asyncio"), default="trio")
    parser.add_argument("--crowded", action="store_true", help="few people with many jobs on many servers")
    parser.add_argument("--fleet", action="store_true", help="two fronts, and workers, over an engine")
    told = parser.parse_args()
    draw = crowded if told.crowded else drawn
    if told.fleet:
        from tests.simulation.engine.fleet_plan import fleet as draw
    logging.disable()
    logs.configure(debug=False)
    # What was imported is never garbage, and would be looked through again and again.
    gc.freeze()
    speeds: list[float] = []
    endings = Counter[str]()
    began, virtual = time.perf_counter(), 0.0
    for seed in range(told.first, told.first + told.seeds):
        start = time.perf_counter()
        report = simulate(draw(seed), told.backend)
        speeds.append(report.seconds / (time.perf_counter() - start))
        virtual += report.seconds
        endings.update(report.endings)
        if report.broken:
            print(*report.trace, sep="\n")
            print(f"seed {seed} on {told.backend} broke a promise:", *report.broken, sep="\n  ")
            return 1
    seconds = time.perf_counter() - began
    speed = f"{virtual:.0f} s of {told.seeds} worlds in {seconds:.1f} s: {virtual / seconds:.0f} times as quick"
    ended = ", ".join(f"{count} {ending.lower()}" for ending, count in endings.most_common())
    print(f"{speed} (median {median(speeds):.0f}), {ended}, and no promise broken", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
