"""`python -m bench [--rounds N] [NAME…]`: all figures, or those of these names, as one JSON object on stdout."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from functools import partial

from app.logs import configure
from bench.deaf import deaf
from bench.discord import discord
from bench.flow import flow
from bench.killed import killed
from bench.lag import JOBS, lag
from bench.memory import memory
from bench.reliability import reliability
from bench.workflows import workflows

BENCHES: dict[str, Callable[[int], object]] = {
    "lag_end_frame_to_file": lag,
    "trio": partial(flow, "trio"),
    "asyncio": partial(flow, "asyncio"),
    "journal_trio": partial(memory, "trio"),
    "journal_asyncio": partial(memory, "asyncio"),
    "workflows": workflows,
    "discord": discord,
    "reliability": lambda rounds: {
        "trio": {**reliability("trio", rounds), "kill_9": killed("trio", rounds)},
        "asyncio": {**reliability("asyncio", rounds), "kill_9": killed("asyncio", rounds)},
        "deaf": deaf(rounds),
    },
}


def main(argv: list[str]) -> None:
    rounds = int(argv[1]) if argv[:1] == ["--rounds"] else 3
    names = [name for name in argv if name in BENCHES] or list(BENCHES)
    # On stderr: what is broken on purpose is told as it would be to an operator.
    configure(debug=False)
    told: dict[str, object] = {
        "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "rounds": rounds, "jobs": JOBS},
        **{name: BENCHES[name](rounds) for name in names},
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
