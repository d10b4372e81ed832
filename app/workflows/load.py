"""Workflows from their folder: a graph, and a manifest that names its inputs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from app.ports import Graph, Json
from app.workflows.graph import find_target, read_graph
from app.workflows.slots import Kind, Slot, WorkflowError, suggest


class _Target(Struct, forbid_unknown_fields=True):
    node: str
    input: str


class _Slot(Struct, forbid_unknown_fields=True, kw_only=True):
    kind: Kind
    title: str = ""
    description: str = ""
    node: str = ""
    input: str = ""
    targets: tuple[_Target, ...] = ()
    required: bool = False
    default: Json = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


class _Manifest(Struct, forbid_unknown_fields=True):
    title: str
    description: str = ""
    command: str = ""
    slots: dict[str, _Slot] = {}


class Workflow(Struct, frozen=True, kw_only=True):
    """A graph and its named inputs. `command` is the Discord command it becomes, "" for none."""

    name: str
    graph: Graph
    title: str = ""
    description: str = ""
    command: str = ""
    slots: tuple[Slot, ...] = ()


def load(folder: Path, told: str) -> Workflow:
    """A workflow by its name in `folder`, or by the path of an API-format JSON. Raises `WorkflowError`."""
    path = Path(told).expanduser()
    if (folder / told / "workflow.json").is_file():
        return _from_folder(folder / told)
    if path.is_dir() and (path / "workflow.json").is_file():
        return _from_folder(path)
    if path.suffix == ".json" or path.is_file():
        if not path.is_file():
            raise WorkflowError(f"There is no file {told}.")
        return Workflow(name=path.stem, title=path.stem, graph=read_graph(path))
    names = list_names(folder)
    raise WorkflowError(f"There is no workflow called “{told}” in {folder}{suggest(told, names)}")


def list_names(folder: Path) -> list[str]:
    """The names of all workflows in a folder."""
    return sorted(path.parent.name for path in folder.glob("*/workflow.json"))


def _from_folder(folder: Path) -> Workflow:
    graph = read_graph(folder / "workflow.json")
    path = folder / "manifest.toml"
    if not path.is_file():
        return Workflow(name=folder.name, title=folder.name, graph=graph)
    where = f"{folder.name}/{path.name}"
    try:
        manifest = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Manifest)
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise WorkflowError(f"{where} is not valid TOML: {error}.") from error
    except msgspec.ValidationError as error:
        raise WorkflowError(f"{where}: {error}.") from error
    try:
        slots = tuple(_slot(name, slot, graph) for name, slot in manifest.slots.items())
    except WorkflowError as error:
        raise WorkflowError(f"{where}: {error}") from error
    return Workflow(
        name=folder.name,
        graph=graph,
        title=manifest.title,
        description=manifest.description,
        command=manifest.command,
        slots=slots,
    )


def _slot(name: str, told: _Slot, graph: Graph) -> Slot:
    told_targets = [*told.targets, *([_Target(told.node, told.input)] if told.node else [])]
    if not told_targets:
        raise WorkflowError(f"the slot {name} names no node.")
    slot = Slot(
        name=name,
        title=told.title or name,
        kind=told.kind,
        targets=tuple(find_target(graph, target.node, target.input) for target in told_targets),
        description=told.description,
        required=told.required,
        default=told.default,
        minimum=told.minimum,
        maximum=told.maximum,
        choices=told.choices,
    )
    if slot.default is not None:
        slot.read(slot.default)
    return slot
