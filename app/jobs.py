"""A job: what was wished for, and where it stands. Plain data and pure rules."""

from __future__ import annotations

from msgspec import Struct

from app.events import JobId, NodeId
from app.ports import Graph


class Upload(Struct, frozen=True):
    """Before submitting, upload the file at `path` and put the name it gets into this input."""

    node: NodeId
    input: str
    path: str


class FirstChoice(Struct, frozen=True):
    """Before submitting, put the first value the chosen server lists for this input (a checkpoint, say)."""

    node: NodeId
    input: str


class Wish(Struct, frozen=True, kw_only=True):
    """What a person wants, ready to be sent but for what only the chosen server knows.

    `owner` is whoever asked, in the door's own words; `folder` is where result files shall lie; `server`
    pins it to one server; `seed` is the seed that stands in the graph, for telling.
    """

    job: JobId
    workflow: str
    graph: Graph
    folder: str
    owner: str = ""
    seed: int | None = None
    uploads: tuple[Upload, ...] = ()
    choices: tuple[FirstChoice, ...] = ()
