"""`workflows new`: turns an exported file into a workflow with a manifest, ready to use and edit."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rich.console import Console
from rich.text import Text

from app.cli.arguments.program import PROGRAM
from app.cli.workflows.commands import slots_table
from app.cli.workflows.definitions import ask
from app.events import ServerName
from app.ports import Comfy
from app.texts.reasons.text import reason_text
from app.workflows.api_graph import paid_nodes
from app.workflows.discovery.candidates import slug
from app.workflows.discovery.discover import Discovery, discover
from app.workflows.editor_format.convert import Converted
from app.workflows.editor_format.parser import is_editor_file
from app.workflows.files import (
    GRAPHS,
    MANIFEST,
    Folders,
    Place,
    as_folders,
    expanded,
    is_file,
    list_names,
    read_json,
    stem_of,
)
from app.workflows.load import load, read_converted
from app.workflows.manifest.writer import found_by, write
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.audit import audit
from app.workflows.reasons.files import FileNotFound, NameTaken, NodesUnknown, NoNameFor

LONGEST_NAME = 48
"""Characters of a workflow's name: a button's custom id has room for 56, and nobody types more."""


async def new_workflow(
    console: Console,
    folders: Folders,
    file: Path,
    servers: Mapping[ServerName, Comfy],
    paying: Collection[ServerName] = (),
) -> None:
    """Write `<name>/workflow.json` and `manifest.toml` from a file, and show the slots that were found.

    They are written to the first of the folders. Also shows what the first server objects to; on those in `paying`,
    workflows may cost money. A file directly in that
    folder is moved into the new folder. Raises `WorkflowError`, also if something of that name exists already.
    """
    folder, *_ = as_folders(folders)
    place = _place(folder, file)
    first, comfy = next(iter(servers.items()))
    known = await ask({first: comfy})
    definitions = next(iter(known.values()), None)
    is_editors = is_editor_file(read_json(place))
    if definitions is None and is_editors:
        server, reason = next(iter(known.silent.items()))
        raise WorkflowError(NodesUnknown(file.name, server, reason))
    converted = read_converted(place, definitions)
    discovery = discover(
        converted.graph,
        definitions or Definitions({}),
        app_inputs=converted.app_inputs,
        app_outputs=converted.app_outputs,
        together=converted.together,
        apart=True,
    )
    problems = [reason_text(problem) for problem in discovery.problems]
    text = write(
        place.name,
        converted.graph,
        discovery,
        taken=_commands(folders),
        problems=problems,
        prices=tuple(paid_nodes(converted.graph, definitions or Definitions({})).values()),
    )
    _store(folder, place, converted if is_editors else None, text)
    _print_result(console, folder, place.name, discovery, definitions, pays=first in paying)


def _place(folder: Path, file: Path) -> Place:
    file = expanded(file)
    if not is_file(file):
        raise WorkflowError(FileNotFound(str(file)))
    stem = file.resolve().parent.name if file.name in GRAPHS else stem_of(file)
    name = slug(stem, LONGEST_NAME)
    if not name:
        raise WorkflowError(NoNameFor(stem))
    lies_there = file.resolve().parent == folder.resolve()
    taken = [
        taken_name
        for taken_name in list_names(folder)
        if taken_name == name and not (lies_there and taken_name == stem)
    ]
    if taken or (folder / name).exists() or (lies_there and file.with_name(f"{stem}.toml").exists()):
        raise WorkflowError(NameTaken(name, str(folder)))
    return Place(name, file)


def _commands(folders: Folders) -> frozenset[str]:
    """The commands of the other workflows; skips those that cannot be loaded."""
    commands: set[str] = set()
    for name in list_names(folders):
        try:
            commands.add(load(folders, name).command)
        except WorkflowError:
            continue
    return frozenset(commands)


def _store(folder: Path, place: Place, converted: Converted | None, manifest: str) -> None:
    """Write all files, or none: the folder is renamed into place once it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    lies_there = place.graph.resolve().parent == folder.resolve()
    with TemporaryDirectory(prefix=".new-", dir=folder) as temporary:
        made = Path(temporary) / place.name
        made.mkdir()
        if converted is None:
            shutil.copyfile(place.graph, made / GRAPHS[0])
        else:
            shutil.copyfile(place.graph, made / "editor.json")
            (made / GRAPHS[0]).write_bytes(msgspec.json.format(msgspec.json.encode(converted.graph), indent=2) + b"\n")
        (made / MANIFEST).write_text(manifest, encoding="utf-8")
        made.rename(folder / place.name)
    if lies_there:
        place.graph.unlink()


def _print_result(
    console: Console, folder: Path, name: str, discovery: Discovery, definitions: Definitions | None, *, pays: bool
) -> None:
    workflow = load(folder, name)
    console.print(slots_table(workflow))
    for slot, how in discovery.how.items():
        console.print(Text(f"{slot}: found by {found_by(how)}", "dim"))
    for problem in (*discovery.problems, *workflow.notes):
        console.print(Text(reason_text(problem), "yellow"))
    written = folder / name / MANIFEST
    console.print(Text(f"Written: {written}. Try: {PROGRAM} workflows fill {name}", "bold"), soft_wrap=True)
    if definitions is None:
        console.print(Text("No server was there to ask, so kinds and limits are guessed from the values.", "yellow"))
        return
    for finding in audit(workflow.graph, workflow.slots, definitions, pays=pays, price=workflow.price):
        console.print(Text(reason_text(finding.reason), "red" if finding.severity == "error" else "yellow"))
