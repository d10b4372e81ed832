"""What a server says in prose, made fit to be passed on: one line, and no paths of its disk."""

from __future__ import annotations

import re

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
