"""Shows changes to their tests: each in a copy of the repository, two copies at a time."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from msgspec import Struct

from tests.mutants.change import Change, NotApplicable

LIMIT = 60.0
"""Seconds for one test under a change."""

NOT_COPIED = frozenset({"data", "out"})
"""Folders that a run of the program leaves beside it."""

Verdict: TypeAlias = Literal["killed", "survived", "undecided"]


class Outcome(Struct, frozen=True):
    """What the tests said of a change."""

    change: Change
    verdict: Verdict
    output: str


class Broken(Exception):
    """The tests fail without any change, so that their failing under one proves nothing. The text is pytest's."""


def judge(root: Path, changes: Sequence[Change], jobs: int = 2) -> Generator[Outcome]:
    """Show each change to its tests; outcomes in the order of the changes. Raises Broken."""
    with TemporaryDirectory() as temporary, ThreadPoolExecutor(jobs) as pool:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(jobs):
            copies.put(_copy(root, Path(temporary) / str(number)))
        _check_unchanged(copies, changes)
        yield from pool.map(_show, changes, repeat(copies))


def _copy(root: Path, folder: Path) -> Path:
    def ignored(where: str, names: list[str]) -> set[str]:
        hidden = {name for name in names if name.startswith(".") or name == "__pycache__"}
        return hidden | (NOT_COPIED & set(names) if Path(where) == root else set[str]())

    shutil.copytree(root, folder, ignore=ignored)
    # By content: two changes of one file within a second may have the same size, and a time stamp tells no difference.
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "."]
    subprocess.run(command, cwd=folder, check=True)
    return folder


@contextmanager
def _borrowed(copies: queue.Queue[Path]) -> Generator[Path]:
    folder = copies.get()
    try:
        yield folder
    finally:
        copies.put(folder)


def _check_unchanged(copies: queue.Queue[Path], changes: Sequence[Change]) -> None:
    with _borrowed(copies) as folder:
        done = _pytest(folder, dict.fromkeys(test for change in changes for test in change.tests))
        if done.returncode != 0:
            raise Broken(done.stdout[-4000:] + done.stderr[-1000:])


def _show(change: Change, copies: queue.Queue[Path]) -> Outcome:
    with _borrowed(copies) as folder:
        try:
            before = change.apply_in(folder)
        except NotApplicable as error:
            return Outcome(change, "undecided", str(error))
        try:
            done = _pytest(folder, change.tests)
        finally:
            (folder / change.path).write_text(before, encoding="utf-8")
    verdict: Verdict = "undecided"
    if done.returncode == 0:
        verdict = "survived"
    elif done.returncode == 1 and " Timeout " not in done.stdout + done.stderr:
        # Anything else is no test that failed: a module that cannot be imported, or a limit of time, which a busy
        # machine reaches without any change.
        verdict = "killed"
    return Outcome(change, verdict, done.stdout[-3000:] + done.stderr[-1000:])


def _pytest(folder: Path, tests: Iterable[str]) -> subprocess.CompletedProcess[str]:
    # With CI set Hypothesis draws the same examples each time.
    env = {**os.environ, "PYTHONPATH": str(folder), "CI": "true"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--timeout", str(LIMIT)]
    return subprocess.run([*command, *tests], cwd=folder, env=env, capture_output=True, text=True, check=False)
