"""The results of a finished job: files, texts and notes, and the reason of a failure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from app.core.jobs.job import Job
from app.core.jobs.progress import title
from app.events import FileRef
from app.ports import Graph, History
from app.reasons.jobs import (
    HistoryUnreadable,
    JobReason,
    NodeBlocked,
    NodeFailed,
    NothingChanged,
    NothingProduced,
    OutOfMemory,
    PictureMissed,
    ResultNotFetched,
    ResultsMissing,
)

_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[\\/](?:[^\\/\s'\"<>|]+[\\/])+")
"""The folders of an absolute path, on any system; the last part is kept, because the user often named it."""

LONGEST = 300
"""Maximum length in characters. Longer messages are dumps (tensors, shapes, whole prompts) that nobody reads."""


def first_line(message: str | None) -> str:
    """The first non-empty line, or the first line about memory if there is one (measured, T06_oom).

    ComfyUI appends its advice on memory to the GPU driver's message, which may be cryptic.
    """
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    if not lines:
        return ""
    about_memory = (line for line in lines if "out of memory" in line.lower())
    return without_paths(next(about_memory, lines[0]))[:LONGEST]


def without_paths(sentence: str) -> str:
    """Reduce whole paths in a sentence to file names; paths are never shown (docs/protocol/comfyui.md 2.5)."""
    return _FOLDERS.sub("", sentence)


STREAMING_NODE = "SaveImageWebsocket"
"""The only core node whose images arrive over the websocket and leave no trace in the history."""

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")
"""The only part of a server's file name that we use: the name is untrusted, and is joined to one of our paths."""


def results(graph: Graph, history: History) -> list[FileRef]:
    """All result files of a history, in order, each once.

    Files of type `temp` are the editor's previews (PreviewImage). They are results of a run that succeeded and saved
    nothing else.
    """
    files = dict.fromkeys(file for output in history.outputs for file in output.files)
    saved = [file for file in files if file.type == "output"]
    if saved or streams(graph) or history.outcome != "success":
        return saved
    return [file for file in files if file.type == "temp"]


def file_name(job: Job, extension_of: str) -> str:
    """Return the next file name for a result of this job; only a valid extension is taken from `extension_of`.

    The files of a batch are named after its first job, and numbered in order.
    """
    job.kept += 1
    request, number = job.request, f"{job.kept:02}"
    if request.batch is not None or request.lead:
        number = f"{request.part + 1:02}" + (f"-{job.kept}" if job.kept > 1 else "")
    suffix = PurePosixPath(extension_of.replace("\\", "/")).suffix
    extension = suffix.lower() if _EXTENSION.fullmatch(suffix) else ".bin"
    workflow = re.sub(r"[^\w-]+", "-", request.workflow).strip("-")[:40] or "job"
    return f"{workflow}-{(request.lead or request.job)[:8]}-{number}{extension}"


def file_label(file: FileRef) -> str:
    """The name of a server's file, as people may see it."""
    return PurePosixPath(file.filename.replace("\\", "/")).name[:100]


def streams(graph: Graph) -> list[str]:
    """The nodes that send their images over the websocket."""
    return [node for node, entry in graph.items() if entry.get("class_type") == STREAMING_NODE]


def failure(graph: Graph, history: History) -> JobReason:
    """Why a run failed, with the node's title and without tracebacks and paths."""
    if history.outcome == "unreadable":
        return HistoryUnreadable()
    node = title(graph, history.node) if history.node else ""
    if "OutOfMemory" in history.error_kind or "out of memory" in history.error.lower():
        return OutOfMemory(node)
    return NodeFailed(node, first_line(history.error), history.error_kind)


def texts(history: History) -> tuple[str, ...]:
    """All texts that the workflow produced."""
    return tuple(text for output in history.outputs for text in output.texts)


def remarks(job: Job, history: History, paths: list[str]) -> tuple[JobReason | str, ...]:
    """Everything unusual in a successful run."""
    graph = job.request.graph
    unfetched = sum(isinstance(note, ResultNotFetched) for note in job.notes)
    notes = [note for note in job.notes if not isinstance(note, ResultNotFetched)]
    if unfetched:
        notes.append(ResultsMissing(len(paths), len(paths) + unfetched))
    notes += (NodeBlocked(title(graph, node)) for node in job.blocked)
    if streams(graph) and not job.streamed:
        notes.append(PictureMissed())
    elif not paths and not texts(history) and not job.notes:
        notes.append(NothingProduced())
    if history.cached >= graph.keys():
        notes.append(NothingChanged())
    return tuple(dict.fromkeys(notes))
