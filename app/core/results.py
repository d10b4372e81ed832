"""What a finished job left behind: result files, texts and notes, and the sentence that explains a failure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from app.core.job import Job
from app.core.progress import title
from app.events import FileRef
from app.ports import Graph, History

_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[\\/](?:[^\\/\s'\"<>|]+[\\/])+")
"""The folders of an absolute path, on any system; the last part is kept, for it is often the user's own."""

LONGEST = 300
"""Characters. Longer sentences are dumps (tensors, shapes, whole prompts), and nobody reads them."""


def first_line(message: str | None) -> str:
    """The first line that says something; where a later one is about memory, that one (measured, T06_oom).

    ComfyUI appends its advice on memory to whatever the GPU's driver said, which may be cryptic.
    """
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    if not lines:
        return ""
    about_memory = (line for line in lines if "out of memory" in line.lower())
    return without_paths(next(about_memory, lines[0]))[:LONGEST]


def without_paths(sentence: str) -> str:
    """The sentence with file names where it had whole paths (COMFYUI.md 2.5: never show them)."""
    return _FOLDERS.sub("", sentence)


STREAMING_NODE = "SaveImageWebsocket"
"""The one core node whose pictures come through the websocket and leave no trace in the history."""

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")
"""All that we take over from a server's file name: it is untrusted, and joined to a path of ours."""


def results(history: History) -> list[FileRef]:
    """All files of a history that are results, in order; `temp` ones are the editor's previews."""
    found = dict.fromkeys(file for output in history.outputs for file in output.files if file.type == "output")
    return list(found)


def file_name(job: Job, extension_of: str) -> str:
    """Give out the next name for a result of this job; only a checked extension comes from outside."""
    job.kept += 1
    suffix = PurePosixPath(extension_of.replace("\\", "/")).suffix
    extension = suffix.lower() if _EXTENSION.fullmatch(suffix) else ".bin"
    workflow = re.sub(r"[^\w-]+", "-", job.request.workflow).strip("-")[:40] or "job"
    return f"{workflow}-{job.id[:8]}-{job.kept:02}{extension}"


def streams(graph: Graph) -> list[str]:
    """The nodes that send their pictures through the websocket."""
    return [node for node, entry in graph.items() if entry.get("class_type") == STREAMING_NODE]


def failure(graph: Graph, node: str, error: str, kind: str) -> str:
    """One sentence about why a run failed, with the node's title, without tracebacks and paths."""
    if "OutOfMemory" in kind or "out of memory" in error.lower():
        return f"“{title(graph, node)}” ran out of memory: try a smaller size or fewer pictures at once."
    words = first_line(error) or kind.rpartition(".")[2] or "no reason was given"
    return f"“{title(graph, node)}” failed: {words}" if node else f"The server failed: {words}"


def texts(history: History) -> tuple[str, ...]:
    """All text that the workflow made."""
    return tuple(text for output in history.outputs for text in output.texts)


def remarks(job: Job, history: History, paths: list[str]) -> tuple[str, ...]:
    """Sentences about what is unusual in a run that ended well."""
    said = [*job.notes]
    graph = job.request.graph
    blocked = [f"“{title(graph, node)}” was blocked, so what depends on it did not run." for node in job.blocked]
    said += blocked
    if streams(graph) and not job.streamed:
        said.append("Its picture was sent through a connection that broke; run it again to get it.")
    elif not paths and not texts(history) and not job.notes:
        said.append("The workflow ended well, but it made no file and no text.")
    if history.cached >= graph.keys():
        said.append("Nothing had changed since an earlier run, so the server gave the same result again.")
    return tuple(dict.fromkeys(said))
