"""Below the adapters, no sentence for people is written: there are reasons, and `app.texts` renders them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"

CHECKED = ["actors", "comfy", "core", "discord", "media_worker", "service", "workflows"]
"""Packages of `app/` without sentences. The others are the terminal's: its commands, its configuration, its journal."""

ALLOWED = {
    # Types in quotes.
    "core/jobs/job": {"Job"},
    "discord/gateway/interactions/commands": {"Made"},
    # Causes of transitions, which the journal stores as text for the operator.
    "core/jobs/editing": {"edit"},
    "core/jobs/ending": {"cause_of"},
    "core/jobs/loading": {"forget_absent"},
    "core/jobs/table": {"JobTable"},
    "core/failover": {"Failover"},
    "core/queries": {"Queries"},
    "core/reconciler": {"Reconciler"},
    "core/servers/changes": {"ServerChanges"},
    "core/scheduling/power_plan": {"PowerPlan"},
    # What a server or a library says, and what is said to them.
    "core/jobs/results": {"first_line", "failure"},
    "comfy/errors": {"_left"},
    "comfy/validation_errors": {"_problems", "_missing_class"},
    "comfy/websocket/address": {"headers_of"},
    "comfy/websocket/decoder": {"GREETING"},
    # Log messages, and exceptions that only logs show.
    "actors/connection": {"ConnectionActor"},
    "actors/effect_runner": {"_read_alone"},
    "actors/effect_failures": {"result_of_failure"},
    "actors/registry": {"PromptRegistry"},
    "comfy/response_limits": {"*"},
    "discord/user_request": {"Caller"},
    "media_worker/mark": {"PACKET"},
    "media_worker/pieces": {"write"},
    "media_worker/protocol": {"frame", "length_of", "read_frame"},
    # The program that the worker's process starts with.
    "media_worker/client": {"BOOT"},
    # Why Discord cannot be used, which the operator reads in the terminal and the log.
    "discord/gateway/bot": {"MALFORMED", "Bot"},
    "discord/gateway/connection": {"*"},
    "discord/gateway/outage": {"*"},
    # What the operator reads in the terminal during the check against Discord itself.
    "discord/gateway/live_check": {"*"},
    "discord/gateway/rest/client": {"RestSender", "translated", "_named"},
    # What is added to prompts, for models to read.
    "service/tasks/presets": {"INCLUDED"},
    # What is written into files.
    "workflows/manifest/schema": {"*"},
    "workflows/manifest/writer": {"*"},
    "workflows/lora": {"_new_loader"},
    # Texts of msgspec's errors.
    "workflows/manifest/parser": {"TYPES", "MISSING", "EXPECTED", "INVALID", "BOUND", "ANY", "BOUNDS"},
    # Names that ComfyUI's editor and other tools give to nodes, inputs and values.
    "workflows/discovery/by_node_class": {"_deploy", "CONVENTIONS", "KRITA"},
    "workflows/discovery/uploads": {"_names"},
    "workflows/editor_format/links": {"REROUTES", "SETTERS", "UNSENT"},
    "workflows/editor_format/parser": {"CAMERA"},
    "workflows/nodes/replacements": {"REPLACEMENTS"},
    "workflows/editor_format/widgets": {"BUTTONS"},
    # Titles of slots, which a manifest may change.
    "workflows/discovery/candidates": {"TITLES"},
}
"""The functions and constants of a module that have texts nevertheless; "*" is the whole module."""

TWO_WORDS = re.compile(r"[^\W\d_]\s|\s[^\W\d_]")

PROGRAMMING_ERRORS = {"AssertionError", "RuntimeError", "TypeError", "ValueError"}
"""Their texts are for programmers."""

BOUNDARIES = {"report_failure", "run_loop", "run_request"}
"""Their texts are log messages."""

LOGGING = {"debug", "info", "warning", "error", "exception", "critical"}


def name_of(path: Path) -> str:
    return path.relative_to(APP).with_suffix("").as_posix()


def sentences(path: Path) -> Iterator[tuple[str, str]]:
    """Each text of several words, with the function, class or constant in which it stands."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        for text in _texts(statement):
            if TWO_WORDS.search(text):
                yield _name(statement), text


def _name(statement: ast.stmt) -> str:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[target, *_]) | ast.AnnAssign(target=target):
            target = target.elts[0] if isinstance(target, ast.Tuple) else target
            return target.id if isinstance(target, ast.Name) else ""
        case _:
            return ""


def _texts(node: ast.AST) -> Iterator[str]:
    """The texts in a node that are for people."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Assert():
            # A docstring.
            return
        case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=attribute)) if attribute in LOGGING:
            return
        case ast.Call(func=ast.Name(id=name)) if name in BOUNDARIES:
            return
        case ast.Call(func=ast.Name(id="partial"), args=[ast.Name(id=name), *_]) if name in BOUNDARIES:
            return
        case ast.keyword(arg="name"):
            # The name of a task.
            return
        case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name in PROGRAMMING_ERRORS:
            return
        case ast.Call(func=ast.Name(id="cast"), args=[_, value]):
            yield from _texts(value)
        case ast.Constant(value=str() as text):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in values)
            for part in values:
                if not isinstance(part, ast.Constant):
                    yield from _texts(part)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _texts(child)


@pytest.mark.parametrize("package", CHECKED)
def test_no_sentence_is_written_below_the_adapters(package: str) -> None:
    written = [
        (name_of(path), name, text)
        for path in sorted((APP / package).rglob("*.py"))
        for name, text in sentences(path)
        if not {"*", name} & ALLOWED.get(name_of(path), set())
    ]
    assert written == []


@pytest.mark.parametrize(("module", "names"), ALLOWED.items(), ids=list(ALLOWED))
def test_what_is_allowed_is_there(module: str, names: set[str]) -> None:
    written = {name for name, _ in sentences(APP / f"{module}.py")}
    assert written
    assert names <= written | {"*"}


def test_a_sentence_is_noticed_and_what_is_for_programmers_is_not(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""A module of its own."""\n'
        "def refuse(name):\n"
        '    """Refuse the name."""\n'
        '    logger.info("a name is refused", name=f"the name {name}")\n'
        '    assert name, "there is a name"\n'
        "    if not name:\n"
        '        raise ValueError("there is no name")\n'
        '    cast("dict[str, int]", name)\n'
        '    raise WorkflowError(f"{name} is refused" + ", ".join(["one", f"{name}, {name}"]))\n'
        'REASON = {"a": "it was not wanted"}\n'
    )
    assert list(sentences(module)) == [("refuse", "{} is refused"), ("REASON", "it was not wanted")]
