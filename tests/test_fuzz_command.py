"""`just fuzz` finds every fuzzer, and stops at the first finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import fuzz, fuzzers

FUZZER = "import sys; open('ran', 'a').write(__spec__.name + ' ' + sys.argv[-1] + ','); sys.exit({code})"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("tests", "tests/a", "tests/b", "tests/c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "tests" / "fuzz.py").write_text("raise AssertionError")
    (tmp_path / "tests" / "a" / "fuzz.py").write_text(FUZZER.format(code=0))
    (tmp_path / "tests" / "c" / "other_fuzz.py").write_text(FUZZER.format(code=0))
    (tmp_path / "tests" / "c" / "test_fuzz.py").write_text("raise AssertionError")
    return tmp_path


def test_every_fuzzer_runs_for_the_time_that_is_given(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fuzzers(root) == ["tests.a.fuzz", "tests.c.other_fuzz"]
    assert fuzz(root, 0.5) == 0
    assert (root / "ran").read_text() == "tests.a.fuzz 0.5,tests.c.other_fuzz 0.5,"
    assert "2 fuzzers found nothing" in capfd.readouterr().out


def test_the_first_finding_stops_it_and_says_how_to_go_on(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "tests" / "b" / "fuzz.py").write_text(FUZZER.format(code=1))
    assert fuzz(root, 2) == 1
    assert (root / "ran").read_text() == "tests.a.fuzz 2,tests.b.fuzz 2,"
    assert "python -m tests.b.fuzz --minutes 2" in capfd.readouterr().out


def test_without_fuzzers_it_does_not_claim_that_nothing_was_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    assert fuzz(tmp_path, 1) == 1
