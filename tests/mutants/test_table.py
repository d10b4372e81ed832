"""The table follows the source, and the runner says the truth about changes."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.change import Change, NotApplicable
from tests.mutants.runner import Broken, judge
from tests.mutants.table import CHANGES, CHOSEN, DRAWN

ROOT = Path(__file__).parents[2]

PROGRAM = '''
"""A program."""

LIMIT = 3


class Counter:
    """Counts."""

    def add(self, number: int) -> int:
        return number + LIMIT
'''

TESTS = """
from app.thing import Counter

def test_adding():
    assert Counter().add(4) == 7

def test_nothing():
    pass

def test_that_fails():
    raise AssertionError
"""


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.symbol}: {change.new}")
def test_each_change_still_applies_and_its_tests_are_there(change: Change) -> None:
    before = (ROOT / change.path).read_text()
    after = change.apply(before)
    assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(before))
    assert change.tests
    for test in change.tests:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text() or not name


def test_the_table_is_large_and_half_of_it_was_drawn() -> None:
    assert len(CHANGES) >= 40
    assert 2 * len(DRAWN) >= len(DRAWN + CHOSEN)
    assert all(change.drawn for change in DRAWN)
    assert Counter((change.symbol, change.old, change.new) for change in CHANGES).most_common(1)[0][1] == 1


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    for name, content in (("app/__init__.py", ""), ("app/thing.py", PROGRAM), ("tests/test_thing.py", TESTS)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    return folder


def change(old: str, new: str, test: str, symbol: str = "app.thing:Counter.add") -> Change:
    return Change(symbol=symbol, old=old, new=new, tests=(f"tests/test_thing.py::{test}",))


def test_a_change_is_killed_survives_or_breaks_the_program_and_leaves_the_next_one_alone(program: Path) -> None:
    changes = [
        change("number + LIMIT", "number - LIMIT", "test_adding"),
        change("number + LIMIT", "number - LIMIT", "test_nothing"),
        change("3", "4", "test_adding", "app.thing:LIMIT"),
        change("3", "No", "test_adding", "app.thing:LIMIT"),
        change("number * LIMIT", "number", "test_adding"),
        change("number + LIMIT", "LIMIT + number", "test_adding"),
    ]
    verdicts = [outcome.verdict for outcome in judge(program, changes)]
    assert verdicts == ["killed", "survived", "killed", "undecided", "undecided", "survived"]
    assert (program / "app" / "thing.py").read_text() == PROGRAM


def test_a_test_that_fails_by_itself_kills_nothing(program: Path) -> None:
    with pytest.raises(Broken, match="test_that_fails"):
        list(judge(program, [change("3", "4", "test_that_fails", "app.thing:LIMIT")]))


@pytest.mark.parametrize(
    ("symbol", "old"), [("app.thing:Counter.add", "4"), ("app.thing:Counter.take", "+"), ("app.thing:Counter.add", "n")]
)
def test_a_change_that_fits_nowhere_or_in_several_places_is_none(symbol: str, old: str) -> None:
    with pytest.raises(NotApplicable):
        change(old, "x", "test_adding", symbol).apply(PROGRAM)
