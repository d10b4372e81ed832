"""`python -m tests.process.cluster faults [--jobs N] [--seed S]`, or `… restarts [--restarts N] [--rate R]`."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import anyio
import msgspec

from tests.process.cluster.scenarios import with_faults, with_restarts


def main() -> int:
    """Run one scenario, print its figures as JSON, and keep the logs of the processes if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.cluster")
    parser.add_argument("scenario", choices=("faults", "restarts"))
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the data folders and logs go; default: a temporary one")
    given = parser.parse_args()
    folder = given.folder or Path(mkdtemp(prefix="atelier-cluster-"))
    folder.mkdir(exist_ok=True)
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:7.1f} {what}", file=sys.stderr, flush=True)

    if given.scenario == "faults":
        run = partial(with_faults, folder, given.jobs, given.seed, say, is_long=True)
    else:
        run = partial(with_restarts, folder, given.restarts, given.rate, given.seed, say)
    outcome = anyio.run(run, backend="asyncio")
    print(msgspec.json.format(msgspec.json.encode(outcome)).decode())
    print(f"the logs are in {folder}", file=sys.stderr)
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main())
