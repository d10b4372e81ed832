"""`python -m bench [--rounds N] [--against REV] [NAME…]`: runs all or the named benchmarks, and prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from functools import partial

from app.system.logging import configure
from bench.against import UnknownRevision, against
from bench.attachments import attachments
from bench.backup import backup
from bench.commands import commands
from bench.deaf import deaf
from bench.discord import discord
from bench.engine import engine
from bench.fairness import fairness
from bench.flow import flow
from bench.forms import forms
from bench.http import http
from bench.killed import killed
from bench.lag import JOBS, lag
from bench.lookups import lookups
from bench.marking import marking
from bench.memory import memory
from bench.models import models
from bench.page import page
from bench.page_data import page_data
from bench.page_queue import page_queue
from bench.reliability import reliability
from bench.servers import servers
from bench.shards import shards
from bench.slow_discord import slow_discord
from bench.slow_downloads import slow_downloads
from bench.starts import starts
from bench.workflows import workflows

# A new benchmark is one line here: a function that takes the number of rounds and returns numbers by name.
BENCHES: Mapping[str, Callable[[int], object]] = {
    "lag_end_frame_to_file": lag,
    "trio": partial(flow, "trio"),
    "asyncio": partial(flow, "asyncio"),
    "journal_trio": partial(memory, "trio"),
    "journal_asyncio": partial(memory, "asyncio"),
    "fairness": fairness,
    "servers": lambda rounds: {backend: servers(backend, rounds) for backend in ("trio", "asyncio")},
    "http": http,
    "starts": starts,
    "lookups": lookups,
    "page": page,
    "page_data": page_data,
    "models": models,
    "backup": backup,
    "workflows": workflows,
    "commands": commands,
    "discord": discord,
    "forms": forms,
    "attachments": attachments,
    "page_queue": page_queue,
    "engine": lambda rounds: {backend: engine(backend, rounds) for backend in ("trio", "asyncio")},
    "shards": lambda rounds: {backend: shards(backend, rounds) for backend in ("trio", "asyncio")},
    "slow_discord": slow_discord,
    "marking": marking,
    "slow_downloads": slow_downloads,
    "reliability": lambda rounds: {
        "trio": {**reliability("trio", rounds), "kill_9": killed("trio", rounds)},
        "asyncio": {**reliability("asyncio", rounds), "kill_9": killed("asyncio", rounds)},
        "deaf": deaf(rounds),
    },
}


def main(argv: list[str]) -> int:
    """Run benchmarks and print their figures without judging them: the exit code says only whether they could start."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=f"Benchmarks: {', '.join(BENCHES)}.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks to run (default: all)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--against", metavar="REV", help="also measure this commit, in turn, and print the ratios")
    arguments = parser.parse_intermixed_args(argv)
    if unknown := [name for name in arguments.names if name not in BENCHES]:
        parser.error(f"there is no benchmark called {unknown[0]}; there are {', '.join(BENCHES)}")
    names = arguments.names or list(BENCHES)
    server_state = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    # The log goes to stderr: benchmarks that break something on purpose log it as in production.
    configure(debug=False)
    if arguments.against:
        try:
            compared = against(arguments.against, names, arguments.rounds)
        except UnknownRevision as error:
            parser.error(f"--against {arguments.against}: {error}")
        print(json.dumps({"machine": server_state, **compared}, indent=2))
        return 0
    header = {"machine": {**server_state, "rounds": arguments.rounds, "jobs": JOBS}}
    print(json.dumps({**header, **{name: BENCHES[name](arguments.rounds) for name in names}}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
