"""Why the files of a workflow cannot be used. `file` is the name of the graph's file as people know it."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class SameName(Reason, frozen=True):
    """Two workflows of the folder have the same name."""

    workflow: str
    folder: str
    files: tuple[str, ...]


class FileNotFound(Reason, frozen=True):
    """There is no file at the path."""

    path: str


class UnknownWorkflow(Reason, frozen=True):
    """The folder has no workflow of that name."""

    workflow: str
    folder: str
    known: tuple[str, ...]


class FileTooLarge(Reason, frozen=True):
    """The file has `size` bytes, more than `limit`."""

    file: str
    size: int
    limit: int


class FileUnreadable(Reason, frozen=True):
    """The operating system cannot read the file; `problem` is its own explanation."""

    path: str
    problem: str


class NestedTooDeeply(Reason, frozen=True):
    """The lists and tables of the file are nested too deeply."""

    file: str


class NotJson(Reason, frozen=True):
    """The file is not JSON; `problem` is the parser's own explanation."""

    file: str
    problem: str


class EditorFormat(Reason, frozen=True):
    """The file is in the editor's own format, which only a server's node definitions can convert."""

    file: str


class NodesUnknown(Reason, frozen=True):
    """The file is in the editor's own format, and the server does not list its nodes; `problem` says why."""

    file: str
    server: str
    problem: str


class NoNameFor(Reason, frozen=True):
    """The name of the file has no character that the name of a workflow can have."""

    stem: str


class NameTaken(Reason, frozen=True):
    """The folder has a workflow of that name already."""

    workflow: str
    folder: str


WorkflowFileReason: TypeAlias = (
    SameName
    | FileNotFound
    | UnknownWorkflow
    | FileTooLarge
    | FileUnreadable
    | NestedTooDeeply
    | NotJson
    | EditorFormat
    | NodesUnknown
    | NoNameFor
    | NameTaken
)
