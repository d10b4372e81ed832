"""No statement reads what it assigns, waits, and assigns: whatever was assigned meanwhile would be lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"


def lost_updates(tree: ast.AST) -> Iterator[int]:
    """The lines of assignments that may lose one."""
    for node in ast.walk(tree):
        match node:
            case ast.AugAssign(target=ast.Attribute(), value=value):
                if any(isinstance(part, ast.Await) for part in ast.walk(value)):
                    yield node.lineno
            case ast.Assign(targets=[ast.Attribute() as target], value=value):
                target = ast.unparse(target)
                waits = [part for part in ast.walk(value) if isinstance(part, ast.Await)]
                reads = [
                    part for part in ast.walk(value) if isinstance(part, ast.Attribute) and ast.unparse(part) == target
                ]
                # What stands before something is evaluated before it; what is waited for is evaluated first itself.
                if any(_place(read) < _place(wait) for read in reads for wait in waits):
                    yield node.lineno
            case _:
                continue


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def test_nothing_that_was_assigned_during_a_wait_is_lost() -> None:
    found = [
        f"{path.relative_to(APP)}:{line}"
        for path in sorted(APP.rglob("*.py"))
        for line in lost_updates(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line", ["self.known = self.known.updated(await ask())", "self.count += await ask()", "a.b = a.b or await ask()"]
)
def test_an_update_that_may_be_lost_is_found(line: str) -> None:
    assert list(lost_updates(ast.parse(f"async def f():\n    {line}"))) == [2]


@pytest.mark.parametrize("line", ["self.known = await self.ask(self.known)", "self.known = await ask() or self.known"])
def test_what_waits_first_is_no_lost_update(line: str) -> None:
    assert not list(lost_updates(ast.parse(f"async def f():\n    {line}")))
