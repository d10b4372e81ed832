"""Finds the files of workflows: `name/workflow.json` with `name/manifest.toml`, or `name.json` with `name.toml`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from app.ports import Json
from app.workflows.api_graph import copied
from app.workflows.model import WorkflowError
from app.workflows.reasons.files import (
    FileNotFound,
    FileTooLarge,
    FileUnreadable,
    NestedTooDeeply,
    NotJson,
    SameName,
    UnknownWorkflow,
)

GRAPHS = ("workflow.json", "workflow.app.json")
"""Names of the graph's file in a workflow's folder; ComfyUI gives the second name to an app."""

NO_GRAPH = ".schema.json"
"""The end of the name of the manifest's schema, which lies beside the workflows so that text editors find it."""

MANIFEST = "manifest.toml"

LARGEST = 16 * 2**20
"""Bytes. The largest workflows that people share have about 2 MB; anything more is pictures pasted into notes."""


Folders: TypeAlias = Path | Sequence[Path]
"""One folder of workflows, or several: of two workflows with the same name, the one in the earlier folder counts."""


class Place(Struct, frozen=True):
    """The files of one workflow; `manifest` is None if it has none."""

    name: str
    graph: Path
    manifest: Path | None = None

    @property
    def display_name(self) -> str:
        """The name of the graph's file as people know it."""
        return f"{self.name}/{self.graph.name}" if self.graph.name in GRAPHS else self.graph.name


def expanded(path: str | Path) -> Path:
    """Return a path with `~` expanded to the home directory; unchanged if that user has none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_file(path: Path) -> bool:
    """Return whether a file exists; False also for a name that no file system accepts."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def as_folders(folders: Folders) -> Sequence[Path]:
    """Return the folders of workflows in their order."""
    return (folders,) if isinstance(folders, Path) else folders


def list_names(folders: Folders) -> list[str]:
    """Return the names of all workflows: those of the first folder, sorted, then those of the next one."""
    names = [name for folder in as_folders(folders) for name in sorted({place.name for place in _all(folder)})]
    return list(dict.fromkeys(names))


def find(folders: Folders, name_or_path: str) -> Place:
    """Find a workflow by its name in the folders, or by the path of a folder or a JSON file.

    Raises `WorkflowError` if there is none, or two of that name in one folder.
    """
    own, *_ = in_order = as_folders(folders)
    for folder in in_order if Path(name_or_path).name == name_or_path else ():
        places = list(_called(folder, name_or_path))
        if len(places) > 1:
            files = tuple(str(place.graph.relative_to(folder)) for place in places)
            raise WorkflowError(SameName(name_or_path, str(folder), files))
        if places:
            return places[0]
    path = expanded(name_or_path)
    if place := _in_folder(path):
        return place
    if is_file(path):
        return _of_file(path)
    if path.suffix == ".json":
        raise WorkflowError(FileNotFound(name_or_path))
    raise WorkflowError(UnknownWorkflow(name_or_path, str(own), tuple(list_names(folders))))


def read_json(place: Place) -> Json:
    """Read the graph's file, in either format. Raises `WorkflowError` if it is unreadable, too large or not JSON."""
    try:
        size = place.graph.stat().st_size
        if size > LARGEST:
            raise WorkflowError(FileTooLarge(place.display_name, size, LARGEST))
        # Copying finds content that is nested too deeply: `bind` could not copy it either.
        return copied({"": msgspec.json.decode(place.graph.read_bytes(), type=Json)})[""]
    except OSError as error:
        raise WorkflowError(FileUnreadable(str(place.graph), os.strerror(error.errno or 0))) from error
    except RecursionError:
        raise WorkflowError(NestedTooDeeply(place.display_name)) from None
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise WorkflowError(NotJson(place.display_name, str(error))) from error


def stem_of(path: Path) -> str:
    """Return the name of the workflow in a file: the file's name without `.json` or `.app.json`."""
    return path.name.removesuffix(".json").removesuffix(".app")


def _all(folder: Path) -> Iterator[Place]:
    try:
        paths = sorted(folder.iterdir())
    except (OSError, ValueError):
        # The folder does not exist or cannot be read, so it has no workflows.
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        if place := _in_folder(path):
            yield place
        elif path.suffix == ".json" and not path.name.endswith(NO_GRAPH) and is_file(path):
            yield _of_file(path)


def _called(folder: Path, name: str) -> Iterator[Place]:
    if place := _in_folder(folder / name):
        yield place
    for path in (folder / f"{name}.json", folder / f"{name}.app.json"):
        if is_file(path) and not path.name.endswith(NO_GRAPH):
            yield _of_file(path)


def _in_folder(folder: Path) -> Place | None:
    for graph in (folder / name for name in GRAPHS):
        if is_file(graph):
            return _of_file(graph)
    return None


def _of_file(path: Path) -> Place:
    if path.name in GRAPHS:
        folder = path.parent
        manifest, name = folder / MANIFEST, folder.resolve().name if folder.name in {"", ".."} else folder.name
    else:
        manifest, name = path.with_name(f"{stem_of(path)}.toml"), stem_of(path)
    return Place(name, path, manifest if is_file(manifest) else None)
