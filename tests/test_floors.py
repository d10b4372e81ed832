"""The house has floors, and stairs go only down; some things are let in at one door only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

FLOORS = [
    {"boundary", "config", "events", "signals", "standard_streams", "text_file"},
    {
        "archive",
        "backoff",
        "dispatch",
        "entry_points",
        "errands",
        "jobs",
        "ledger",
        "mailbox",
        "outcome",
        "ports",
        "progress",
        "prose",
        "scheduling",
        "servers",
        "truth",
        "workflows",
    },
    {"actors"},
    {"media_worker"},
    {"comfy", "discord", "journal", "simulator", "terminal"},
    {"house"},
    {"__main__", "cli", "commands", "demo", "logs"},
]
DOORS = FLOORS[4]
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}

ONE_DOOR = {
    "httpx": ["comfy/http", "comfy/exchange", "comfy/failure", "discord/attachments"],
    "trio": ["comfy/"],
    "trio_websocket": ["comfy/"],
    "aiohttp": ["comfy/", "discord/rest", "discord/gateway/"],
    "asyncio": ["comfy/socket_asyncio", "discord/bot", "discord/crossing", "discord/gateway/"],
    "hikari": ["discord/"],
    "lightbulb": ["discord/"],
    "sqlite3": ["journal"],
    "starlette": ["simulator/"],
    "anycorn": ["simulator/"],
    "PIL": ["simulator/", "media_worker/", "demo"],
    "av": ["media_worker/"],
    "argparse": ["cli"],
    "rich": ["terminal", "demo", "commands"],
}
"""Libraries that only some rooms may know, by the beginning of their paths."""

MODULES = sorted(path for path in APP.rglob("*.py") if path != APP / "__init__.py")


def name_of(path: Path) -> str:
    return path.relative_to(APP).with_suffix("").as_posix()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module, "relative imports hide the stairs"
            assert not node.level, "relative imports hide the stairs"
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downstairs(path: Path) -> None:
    room = name_of(path).split("/")[0]
    for name in imports(path):
        if not name.startswith("app."):
            continue
        other = name.split(".")[1]
        assert HEIGHT[other] <= HEIGHT[room], f"{room} must not know {other}"
        assert other == room or not {other, room} <= DOORS, f"{room} and {other} are doors"


def test_no_stairs_lead_back_to_where_they_began() -> None:
    """Imports for types alone and imports inside functions are stairs too."""
    below = {name_of(path): {one.removeprefix("app.").replace(".", "/") for one in imports(path)} for path in MODULES}
    order = TopologicalSorter({room: rooms & below.keys() for room, rooms in below.items()})
    order.prepare()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_some_libraries_are_let_in_at_one_door_only(path: Path) -> None:
    for name in imports(path):
        allowed = ONE_DOOR.get(name.split(".")[0])
        assert allowed is None or any(name_of(path).startswith(door) for door in allowed), name
