"""`python -m bench [--rounds N]`: all figures, as one JSON object on stdout."""

from __future__ import annotations

import json
import os
import platform
import sys

from bench.discord import discord
from bench.flow import flow
from bench.lag import JOBS, lag
from bench.memory import memory
from bench.workflows import workflows


def main(argv: list[str]) -> None:
    rounds = int(argv[1]) if argv[:1] == ["--rounds"] else 3
    told = {
        "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "rounds": rounds, "jobs": JOBS},
        "lag_end_frame_to_file": lag(rounds),
        "trio": flow("trio", rounds),
        "asyncio": flow("asyncio", rounds),
        "journal_trio": memory("trio", rounds),
        "journal_asyncio": memory("asyncio", rounds),
        "workflows": workflows(rounds),
        "discord": discord(rounds),
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
