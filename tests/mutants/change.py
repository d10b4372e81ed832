"""One change of the program's source, and how it is made in a copy."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class NotApplicable(Exception):
    """The source has changed, and the entry must follow. The text says what is not found."""


class Change(Struct, frozen=True, kw_only=True):
    """Source text that is replaced within one symbol, and the tests that must fail then."""

    symbol: str
    """Module and qualified name, such as `app.core.jobs.job:Job.move`. A module's constant is a symbol, too."""
    old: str
    """What stands there: exactly once within the symbol."""
    new: str
    tests: tuple[str, ...]
    """Ids of the tests, as pytest takes them. One that fails is enough."""
    drawn: int = 0
    """Its number in the draw (see `tests.mutants.table`); 0 for a change that somebody thought of."""

    @property
    def path(self) -> str:
        """The file, relative to the repository."""
        return self.symbol.partition(":")[0].replace(".", "/") + ".py"

    def apply(self, source: str) -> str:
        """The source with this change. Raises NotApplicable."""
        start, end = _span(source, self.symbol.partition(":")[2].split("."), self.symbol)
        text = source[start:end]
        if (count := text.count(self.old)) != 1:
            raise NotApplicable(f"{self.symbol} has {count} times, and not once: {self.old}")
        return source[:start] + text.replace(self.old, self.new) + source[end:]

    def apply_in(self, folder: Path) -> str:
        """Make this change in a copy of the repository; what the file was before. Raises NotApplicable."""
        path = folder / self.path
        before = path.read_text(encoding="utf-8")
        path.write_text(self.apply(before), encoding="utf-8")
        return before


def _span(source: str, names: Sequence[str], symbol: str) -> tuple[int, int]:
    """Where a symbol's definition begins and ends, in characters."""
    body: list[ast.stmt] = ast.parse(source).body
    node: ast.stmt | None = None
    for name in names:
        node = next((one for one in body if name in _names(one)), None)
        if node is None:
            raise NotApplicable(f"{symbol} is not there")
        body = node.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else []
    assert node is not None
    assert node.end_lineno is not None
    lines = source.splitlines(keepends=True)
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return len("".join(lines[: first - 1])), len("".join(lines[: node.end_lineno]))


def _names(node: ast.stmt) -> list[str]:
    """What a statement defines."""
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []
