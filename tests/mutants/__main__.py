"""`python -m tests.mutants [WORD…]`: show the changes of the table to their tests, or those whose symbol has a word."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.mutants.runner import Broken, judge
from tests.mutants.table import CHANGES

ROOT = Path(__file__).parents[2]


def main(words: list[str]) -> int:
    """1 where a change survives, or nobody can say."""
    changes = [change for change in CHANGES if not words or any(word in change.symbol for word in words)]
    began = time.monotonic()
    bad = 0
    try:
        for outcome in judge(ROOT, changes):
            print(f"{outcome.verdict}: {outcome.change.symbol}: {outcome.change.new.strip()}", flush=True)
            if outcome.verdict != "killed":
                bad += 1
                print(outcome.output)
    except Broken as error:
        print(f"the tests fail without any change:\n{error}")
        return 1
    print(f"{len(changes) - bad} of {len(changes)} killed in {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
