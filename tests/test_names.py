"""A variable says what it holds: names such as `found` or `one` say only that there is something."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

EMPTY = frozenset({"told", "said", "found", "one", "wish", "door", "thing"})
"""Names that fit any value."""

EXCEPTIONS: frozenset[tuple[str, str]] = frozenset()
"""Pairs of a file and a name that is allowed there, because its meaning is clear."""

FOLDERS = sorted(path.name for path in APP.iterdir() if path.is_dir() and any(path.glob("*.py")))


def bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each variable, parameter, attribute and inner function of a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.MatchMapping(rest=str(name)):
                yield node.lineno, name
            case _:
                continue


def empty_names(path: Path) -> list[str]:
    """The places in a file where a name says nothing."""
    file = path.relative_to(APP).as_posix() if path.is_relative_to(APP) else path.name
    names = bound_names(ast.parse(path.read_text(encoding="utf-8")))
    return [f"{file}:{line}: {name}" for line, name in names if name in EMPTY and (file, name) not in EXCEPTIONS]


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_in_a_folder_say_what_they_hold(folder: str) -> None:
    assert [place for path in sorted((APP / folder).rglob("*.py")) for place in empty_names(path)] == []


def test_names_in_the_modules_of_app_itself_say_what_they_hold() -> None:
    assert [place for path in sorted(APP.glob("*.py")) for place in empty_names(path)] == []


def test_every_way_to_bind_a_name_is_noticed(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "def told(one, *said):\n"
        "    match one:\n"
        "        case [*found] | {'a': found}:\n"
        "            one.thing = found\n"
        "    return [wish for wish in said if (door := wish)]\n"
    )
    assert {place.partition(": ")[2] for place in empty_names(module)} == EMPTY
