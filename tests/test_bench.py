"""Two versions of a program are measured side by side; and what a benchmark in virtual time has to show."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import anyio
import pytest

from bench.against import UnknownRevision, against, compare, flatten
from bench.flow import jobs_in_flight
from bench.starts import drawn, share_right

PROGRAM = """
import json, sys
BENCHES = {names}
if __name__ == "__main__":
    assert sys.argv[1:3] == ["--rounds", "1"]
    if sys.argv[3] == "broken" and {value} == 1:
        sys.exit("this version cannot")
    print(json.dumps({{"machine": {{}}, sys.argv[3]: {{"inner": {{"ms": {value}}}, "note": "words"}}}}))
"""


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits: a benchmark says 1 in the first, and 3 in the second, which has one more."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    (folder / "bench").mkdir(parents=True)
    (folder / "bench" / "__init__.py").touch()
    git(folder, "init", "--quiet")
    for value, names in ((1, ["figure", "broken"]), (3, ["figure", "broken", "new"])):
        (folder / "bench" / "__main__.py").write_text(PROGRAM.format(value=value, names=names))
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", f"version {value}")
    monkeypatch.chdir(tmp_path)
    return folder


def test_both_versions_are_measured_and_compared(repository: Path) -> None:
    comparison = against("HEAD~1", ["figure", "new"], 2, repository)
    assert comparison["against"] == git(repository, "rev-parse", "HEAD~1").strip()
    assert comparison["only_in_one"] == ["new"]
    ratios = {"here": 3.0, "there": 1.0, "ratio": 3.0, "lowest_ratio": 3.0, "highest_ratio": 3.0}
    assert comparison["figures"] == {"figure": {"inner.ms": ratios}}


def test_a_benchmark_that_fails_in_one_version_is_a_note_beside_the_others(repository: Path) -> None:
    figures = against("HEAD~1", ["broken", "figure"], 1, repository)["figures"]
    assert isinstance(figures, dict)
    assert figures["broken"] == {"problems": ["there: ended with code 1: this version cannot"]}
    assert "inner.ms" in figures["figure"]


def test_the_other_version_is_gone_afterwards(repository: Path) -> None:
    against("HEAD~1", ["figure"], 1, repository)
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_commit_that_is_not_there_is_said_so(repository: Path) -> None:
    with pytest.raises(UnknownRevision):
        against("nowhere", ["figure"], 1, repository)


def test_every_number_of_a_report_has_a_path() -> None:
    assert dict(flatten({"a": {"b": 1, "c": "no"}, "d": 2.5, "e": None, "f": True})) == {"a.b": 1.0, "d": 2.5}


def test_a_ratio_of_nothing_is_none() -> None:
    assert compare([1.0], [0.0])["ratio"] is None


def test_four_of_five_expected_starts_are_right_if_no_later_job_goes_first() -> None:
    runs = drawn(1, 0.05, heavy=60)
    assert len(runs) > 500
    assert share_right(runs) >= 0.8


def test_the_memory_of_jobs_is_measured_while_servers_have_them() -> None:
    assert 1_000 < anyio.run(jobs_in_flight, 20) < 200_000
