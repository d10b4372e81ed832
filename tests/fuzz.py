"""`python -m tests.fuzz MINUTES`: every fuzzer of the tests, one after the other, each for so many minutes.

A fuzzer is a module below `tests` whose name ends with `fuzz`: `python -m MODULE --minutes N` tries until the time is
over, and ends with another code than 0 at the first finding, after printing how to repeat that one try.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def fuzzers(root: Path) -> list[str]:
    """The modules of all fuzzers, by name."""
    paths = [path.relative_to(root) for path in (root / "tests").rglob("*fuzz.py")]
    modules = [".".join(path.with_suffix("").parts) for path in paths if not path.name.startswith("test_")]
    return sorted(module for module in modules if module != "tests.fuzz")


def fuzz(root: Path, minutes: float) -> int:
    """Run them until one finds something; 1 in that case, or where there is none to run."""
    modules = fuzzers(root)
    for module in modules:
        print(f"{module}: {minutes:g} min", flush=True)
        command = ["-m", module, "--minutes", f"{minutes:g}"]
        # What it prints goes where ours goes: what it found, and how to repeat that.
        done = subprocess.run([sys.executable, *command], cwd=root, check=False)
        if done.returncode != 0:
            print(f"{module} found something; how to repeat it stands above. To go on looking there alone:")
            print(f"  python {' '.join(command)}")
            return 1
    print(f"{len(modules)} fuzzers found nothing" if modules else "there are no fuzzers")
    return 0 if modules else 1


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].replace(".", "", 1).isdecimal():
        sys.exit("usage: python -m tests.fuzz MINUTES")
    sys.exit(fuzz(ROOT, float(sys.argv[1])))
