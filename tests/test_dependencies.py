"""Imports point one way: from the entry point down to plain data. Some libraries have few importers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

LEVELS = [
    {"", "boundary", "config", "events", "histogram", "library_errors", "reasons", "system", "text_file"},
    {"backoff", "core", "entry_points", "mailbox", "node_cache", "ports", "workflows"},
    {"actors"},
    {"media_worker", "retention", "service", "texts"},
    {"comfy", "discord", "engine", "http", "journal", "simulator", "webhook"},
    {"application", "backup"},
    {"cli"},
    {"__main__"},
]
"""Packages and modules of `app/`, lowest first: each may import from its own level and from those below.
"" is `app` itself."""

ADAPTERS = LEVELS[4]
"""They never import each other."""

PARTS = {
    "cli": [
        {"output"},
        {"arguments", "engine_loss", "engine_safety"},
        {"data_folder", "front_status", "held_shards", "parser", "setup", "simulate", "work", "workflows"},
        {"backups", "check", "generate", "journal", "run", "workers"},
        {"demo", "front"},
        {"execute"},
        {"main"},
    ],
    "core": [
        {"alerts", "drafts", "effects", "gallery", "jobs", "limits", "replication", "shards"},
        {"servers"},
        {"scheduling"},
        {"failover", "journal_port", "work"},
        {"queries"},
        {"reconciler"},
    ],
    "service": [
        {
            *("job_settings", "page_access", "page_actions", "reasons", "requests", "server_monitor"),
            *("slot_values", "statistics", "values"),
        },
        {"people"},
        {"offers", "queue", "tasks"},
        {"jobs"},
        {"page_frontend", "results"},
    ],
    "engine": [
        {
            *("chunks", "client", "connection", "errors", "follower", "keys", "logins", "messages", "registrations"),
            "scripts",
        },
        {"remote_servers", "replication", "worker"},
    ],
    "http/page": [
        {"parts", "protection", "static_files"},
        {"context"},
        {"forms", "rendering"},
        {"guard"},
        {"login", "queue", "results"},
        {"page"},
        {"opening"},
    ],
    "texts": [
        {"health", "model_names", "server_names", "statistics", "wording"},
        {"reasons"},
        {"alerts", "discord", "page"},
    ],
    "workflows": [
        {"model", "nodes", "parsing", "reasons"},
        {"api_graph", "task"},
        {"editor_format", "files", "lora"},
        {"discovery"},
        {"manifest", "variations"},
        {"load"},
        {"binding", "offers"},
    ],
    "discord": [
        {"bridge", "custom_id", "message_ref", "text", "request_deadline", "traffic", "user_request"},
        {"ui"},
        {"files", "messages"},
        {"requests"},
        {"gateway"},
        {"app", "held_shards"},
    ],
    "discord/gateway": [
        {"outage", "relayed_events", "rest", "session_counter"},
        {"connection", "guilds", "interactions", "relayed_gateway"},
        {"bot"},
        {"account", "live_check", "shard_holder"},
    ],
}
"""The same for the parts of some packages; there, only those of the lowest level may import from each other."""

IMPORTERS = {
    "httpx": [
        "comfy/client",
        "comfy/errors",
        "comfy/exchange",
        "discord/files/download",
        "http/page/login/discord",
        "webhook",
    ],
    "httpx_oauth": ["http/page/login/discord"],
    "itsdangerous": ["http/page/protection/signing"],
    "jinja2": ["http/page/rendering"],
    "trio": ["comfy/"],
    "trio_websocket": ["comfy/"],
    "aiohttp": ["comfy/", "discord/gateway/"],
    "asyncio": ["comfy/websocket/aiohttp", "discord/bridge", "discord/gateway/"],
    "hikari": ["discord/gateway/"],
    "lightbulb": ["discord/gateway/"],
    "sqlite3": ["journal/"],
    "starlette": ["http/", "simulator/"],
    "anycorn": ["http/", "simulator/"],
    "PIL": ["media_worker/", "simulator/"],
    "av": ["media_worker/"],
    "coredis": ["engine/client", "engine/connection", "engine/errors"],
    "cyclopts": ["cli/"],
    "rich": ["__main__", "cli/"],
    "platformdirs": ["config"],
}
"""Libraries that only some modules may import, by the beginnings of their paths."""

MODULES = sorted(path for path in APP.rglob("*.py") if path != APP / "__init__.py")


def name_of(path: Path) -> str:
    return path.relative_to(APP).with_suffix("").as_posix().removesuffix("/__init__")


NAMES = {name_of(path) for path in MODULES}

PACKAGES: dict[str, list[Path]] = {}
"""The modules of each package of `app/`; those of `app` itself stand alone."""

for _path in MODULES:
    PACKAGES.setdefault(name_of(_path).split("/")[0], []).append(_path)


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(read_imports(path))


def read_imports(path: Path) -> Iterator[str]:
    """What a module imports: `app/comfy/client` for a module of ours, the dotted name for a library."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module, "relative imports hide the direction"
            assert not node.level, "relative imports hide the direction"
            if node.module.split(".")[0] != "app":
                yield node.module
                continue
            package = "/".join(node.module.split(".")[1:])
            for alias in node.names:
                module = f"{package}/{alias.name}".removeprefix("/")
                yield f"app/{module if module in NAMES else package}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.replace(".", "/") if alias.name.startswith("app.") else alias.name


def ours(path: Path) -> list[str]:
    return [name.removeprefix("app/") for name in imports(path) if name.startswith("app/")]


def level_of(name: str, levels: list[set[str]]) -> int:
    numbers = [number for number, level in enumerate(levels) if name in level]
    assert numbers, f"{name} stands on no level: add it to this test"
    return numbers[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    for path in PACKAGES[package]:
        for name in ours(path):
            other = name.split("/")[0]
            assert level_of(other, LEVELS) <= level_of(package, LEVELS), f"{name_of(path)} must not import {name}"
            assert other == package or not {other, package} <= ADAPTERS, (
                f"{name_of(path)} of an adapter must not import {name}"
            )


@pytest.mark.parametrize("package", PARTS)
def test_imports_within_a_package_point_one_way(package: str) -> None:
    levels = PARTS[package]
    for path in MODULES:
        if name_of(path).startswith(f"{package}/"):
            check_part(path, package, levels)


def check_part(path: Path, package: str, levels: list[set[str]]) -> None:
    part = name_of(path).removeprefix(f"{package}/").split("/")[0]
    for name in ours(path):
        if name.startswith(f"{package}/"):
            other = name.removeprefix(f"{package}/").split("/")[0]
            here, there = level_of(part, levels), level_of(other, levels)
            assert other == part or there < here or here == there == 0, f"{name_of(path)} must not import {name}"


def test_no_imports_go_in_circles() -> None:
    """Imports for types alone and imports inside functions count."""
    graph = {name_of(path): set(ours(path)) - {name_of(path)} for path in MODULES}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", PACKAGES)
def test_some_libraries_have_few_importers(package: str) -> None:
    for path in PACKAGES[package]:
        for name in imports(path):
            allowed = IMPORTERS.get(name.split(".")[0])
            assert allowed is None or any(
                f"{name_of(path)}/".startswith(importer) or name_of(path).startswith(importer) for importer in allowed
            ), f"{name_of(path)} must not import {name}"
