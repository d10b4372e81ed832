"""Loads workflows from their files: a graph, and a manifest that names its inputs."""

from __future__ import annotations

from functools import cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from app.ports import Graph, Json
from app.reasons import Reason
from app.workflows.api_graph import check_graph
from app.workflows.discovery.discover import Discovery, discover
from app.workflows.editor_format.convert import Converted, convert
from app.workflows.editor_format.parser import is_editor_file
from app.workflows.files import Folders, Place, find, list_names, read_json
from app.workflows.manifest.parser import OPTION, Source, read_manifest
from app.workflows.manifest.schema import BUILT_IN, FollowUp
from app.workflows.manifest.slots import MOST_OPTIONS, completed, crowded, declared
from app.workflows.model import Result, Slot, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.reasons.files import EditorFormat
from app.workflows.reasons.manifest import (
    BuiltInCommand,
    FollowUpWithCommand,
    NotACommand,
    TaskNeedsSlot,
    UnknownPresetSlot,
)
from app.workflows.reasons.wrapped import InFile, InPreset
from app.workflows.task import NO_TASK, Task, lacking, task_of

__all__ = ["NeedsServer", "Workflow", "list_names", "load", "read"]


class NeedsServer(WorkflowError):
    """The file is in the editor's own format, which cannot be converted without a server's node definitions."""


class Workflow(Struct, frozen=True, kw_only=True):
    """A graph and its named inputs. `command` is the name of its Discord command, "" for none.

    `menu` is its entry in the menu of a message; `task` is what it is for, "" for none of the tasks;
    `silence` is in seconds; `price` is what services bill for a run, in US dollars, None if the manifest does not say;
    `users` and `roles` list who may use it (empty: everybody); `notes` warn its author about what may not be as
    intended.
    """

    name: str
    graph: Graph
    title: str = ""
    description: str = ""
    command: str = ""
    menu: str = ""
    follow_up: bool = False
    result: Result = ""
    task: Task | Literal[""] = ""
    cost: float = 1.0
    price: float | None = None
    silence: float = 60.0
    spoiler: bool = False
    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()
    presets: dict[str, dict[str, Json]] = {}
    follow_ups: tuple[FollowUp, ...] = ()
    notes: tuple[Reason, ...] = ()


def load(folders: Folders, name_or_path: str, definitions: Definitions | None = None) -> Workflow:
    """Load a workflow by its name in the folders, or by the path of a folder or a JSON file.

    With a server's definitions, files in the editor's own format are converted, and slots get the server's limits
    and choices where the manifest gives none. Raises `WorkflowError`; `NeedsServer` if the file cannot be loaded
    without definitions.
    """
    return read(find(folders, name_or_path), definitions)


def read(place: Place, definitions: Definitions | None = None) -> Workflow:
    """Read a workflow from its files, as `load` describes."""
    converted = read_converted(place, definitions)
    graph = converted.graph

    @cache
    def discovery() -> Discovery:
        known = definitions or Definitions({})
        return discover(
            graph,
            known,
            app_inputs=converted.app_inputs,
            app_outputs=converted.app_outputs,
            together=converted.together,
        )

    if place.manifest is None:
        # Without a manifest, no slot is declared as required.
        slots = tuple(replace(slot, required=False) for slot in discovery().slots)
        return Workflow(name=place.name, title=place.name, graph=graph, slots=slots, notes=discovery().problems)
    where = f"{place.name}/{place.manifest.name}" if place.manifest.stem != place.name else place.manifest.name
    source = read_manifest(place.manifest, where)
    _check_names(source)
    manifest, declared_slots = source.manifest, list[Slot]()
    for name, manifest_slot in manifest.slots.items():
        try:
            slot = declared(name, manifest_slot, graph, discovery)
        except WorkflowError as error:
            raise source.error(("slots", name), error.reason) from error
        declared_slots.append(completed(slot, graph, definitions) if definitions is not None else slot)
    # The choice of a preset takes one of the command's options.
    slots, note = crowded(declared_slots, MOST_OPTIONS - bool(manifest.presets))
    _check_presets(source, slots)
    return Workflow(
        name=place.name,
        graph=graph,
        title=manifest.title or place.name,
        description=manifest.description,
        command=manifest.command,
        menu=manifest.menu,
        follow_up=manifest.follow_up,
        result=manifest.result,
        task=_task(source, graph, slots),
        cost=manifest.cost,
        price=manifest.price,
        silence=manifest.silence,
        spoiler=manifest.spoiler,
        users=tuple(map(str, manifest.users)),
        roles=tuple(map(str, manifest.roles)),
        slots=slots,
        presets=manifest.presets,
        follow_ups=manifest.follow_ups,
        notes=(note,) if note is not None else (),
    )


def read_converted(place: Place, definitions: Definitions | None) -> Converted:
    """Return the graph of a file in either format, and its app mode's inputs and outputs. Raises `WorkflowError`."""
    content = read_json(place)
    if not is_editor_file(content):
        return Converted(graph=check_graph(content, place.display_name))
    if definitions is None:
        raise NeedsServer(EditorFormat(place.display_name))
    try:
        return convert(content, definitions)
    except WorkflowError as error:
        raise WorkflowError(InFile(place.display_name, error.reason)) from error


def _task(source: Source, graph: Graph, slots: tuple[Slot, ...]) -> Task | Literal[""]:
    """What a workflow is for; one that only follows on another's result is for nothing. Raises `WorkflowError`."""
    manifest = source.manifest
    if manifest.follow_up or manifest.task == NO_TASK:
        return ""
    if manifest.task and (slot := lacking(manifest.task, slots)):
        raise source.error(("task",), TaskNeedsSlot(manifest.task, slot))
    return manifest.task or task_of(graph, manifest.result, slots)


def _check_names(source: Source) -> None:
    manifest = source.manifest
    if manifest.command and not OPTION.fullmatch(manifest.command):
        raise source.error(("command",), NotACommand(manifest.command))
    if manifest.command in BUILT_IN:
        raise source.error(("command",), BuiltInCommand(manifest.command))
    if manifest.follow_up and (manifest.command or manifest.menu):
        raise source.error(("follow_up",), FollowUpWithCommand())


def _check_presets(source: Source, slots: tuple[Slot, ...]) -> None:
    known = {slot.name: slot for slot in slots}
    for preset, values in source.manifest.presets.items():
        for name, value in values.items():
            way = ("presets", preset, name)
            if name not in known:
                raise source.error(way, UnknownPresetSlot(preset, name, tuple(known)))
            try:
                known[name].read(value)
            except WorkflowError as error:
                raise source.error(way, InPreset(preset, error.reason)) from error
