"""`python -m bench --against REV`: measures this tree and another commit alternately in the same run.

Each tree runs its own benchmark code in a separate process (`python -m bench --rounds 1 NAME`), so that a commit
with other modules or functions can still be measured. Both use this interpreter and its packages, and both write
to the same scratch folder, so that they use the same disk.

Limits: a figure that only one of the trees has is listed, not compared; a change of the benchmark itself between the
two commits is not noticed; a commit that needs packages which are not installed here cannot be run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import msgspec
from msgspec import Struct

ROOT = Path(__file__).parents[1]

LONGEST = 1800.0
"""Seconds after which one benchmark of one tree in one round is stopped."""

Figures: TypeAlias = dict[str, float]
"""The numbers of a benchmark's report, by their path in the JSON, such as `atelier_trio.median_ms`."""


class UnknownRevision(Exception):
    """Git has no such commit. The text is git's message."""


class Tree(Struct, frozen=True):
    """A checked-out version of the program, and the names of its benchmarks."""

    folder: Path
    benchmarks: frozenset[str]


class Measured(Struct):
    """The figures of one benchmark in both trees, for each round."""

    here: list[Figures]
    there: list[Figures]
    problems: list[str]


def against(revision: str, names: Sequence[str], rounds: int, root: Path = ROOT) -> dict[str, object]:
    """Run benchmarks in the tree `root` and in its commit `revision`; returns medians of both, and their ratios.

    Raises `UnknownRevision`.
    """
    commit = _git(root, "rev-parse", "--verify", f"{revision}^{{commit}}")
    with _checked_out(root, commit) as other, TemporaryDirectory(dir=Path.cwd()) as scratch:
        here, there = _tree(root), _tree(other)
        both = [name for name in names if name in here.benchmarks & there.benchmarks]
        figures = {name: Measured([], [], []) for name in both}
        for number in range(rounds):
            for name in both:
                # The second to run finds warmer disk caches and another load, so the trees take turns.
                for tree in (here, there) if number % 2 == 0 else (there, here):
                    _measure(tree, name, Path(scratch), figures[name], into="here" if tree is here else "there")
        return {
            "against": commit,
            "rounds": rounds,
            "only_in_one": [name for name in names if name not in both],
            "figures": {name: _compared(measured) for name, measured in figures.items()},
        }


def flatten(report: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number in a report, with its path."""
    if isinstance(report, Mapping):
        for key, value in msgspec.convert(report, dict[str, object]).items():
            yield from flatten(value, f"{path}.{key}" if path else key)
    elif isinstance(report, int | float) and not isinstance(report, bool):
        yield path, float(report)


def compare(here: Sequence[float], there: Sequence[float]) -> dict[str, float | None]:
    """Return the medians of both, their ratio, and the lowest and highest ratio of two figures of the same round.

    A ratio above 1 means that the figure is larger here. A ratio is None if the other figure is 0.
    """
    ratios = [mine / theirs for mine, theirs in zip(here, there, strict=False) if theirs]
    mine, theirs = statistics.median(here), statistics.median(there)
    return {
        "here": round(mine, 3),
        "there": round(theirs, 3),
        "ratio": round(mine / theirs, 3) if theirs else None,
        "lowest_ratio": round(min(ratios), 3) if ratios else None,
        "highest_ratio": round(max(ratios), 3) if ratios else None,
    }


def _compared(measured: Measured) -> dict[str, object]:
    compared: dict[str, object] = {}
    if measured.here and measured.there:
        keys = [key for key in measured.here[0] if all(key in figures for figures in measured.here + measured.there)]
        compared = {
            key: compare(
                [figures[key] for figures in measured.here],
                [figures[key] for figures in measured.there],
            )
            for key in keys
        }
    if measured.problems:
        compared["problems"] = measured.problems
    return compared


def _measure(tree: Tree, name: str, scratch: Path, measured: Measured, *, into: str) -> None:
    """Run one benchmark once; an error is added to `problems`, because the other figures are still useful."""
    command = [sys.executable, "-m", "bench", "--rounds", "1", name]
    print(f"bench: {name}, {into}", file=sys.stderr)
    try:
        done = _run(command, tree.folder, cwd=scratch, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        measured.problems.append(f"{into}: not finished after {LONGEST:.0f} s")
        return
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no output"]
        measured.problems.append(f"{into}: ended with code {done.returncode}: {lines[-1]}")
        return
    report = msgspec.json.decode(done.stdout, type=dict[str, object])
    (measured.here if into == "here" else measured.there).append(dict(flatten(report[name])))


def _run(
    command: Sequence[str], tree: Path, *, cwd: Path, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with this tree's modules."""
    # Nothing of the other tree may be imported: PYTHONPATH is this tree alone, also for the processes that it starts.
    env = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)


def _tree(folder: Path) -> Tree:
    """Compile a tree, so that the first round does not include it, and get the names of its benchmarks."""
    _run([sys.executable, "-m", "compileall", "-q", "app", "bench", "tests"], folder, cwd=folder)
    ask = "import json; from bench.__main__ import BENCHES; print(json.dumps(list(BENCHES)))"
    done = _run([sys.executable, "-c", ask], folder, cwd=folder)
    return Tree(folder, frozenset(json.loads(done.stdout) if done.returncode == 0 else ()))


def _git(root: Path, *arguments: str) -> str:
    """Run git. Raises `UnknownRevision` with git's last line if it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnknownRevision(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip()


@contextmanager
def _checked_out(root: Path, commit: str) -> Generator[Path]:
    """Create a git worktree of a commit for the duration of the block."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "there"
        _git(root, "worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git(root, "worktree", "remove", "--force", str(folder))
