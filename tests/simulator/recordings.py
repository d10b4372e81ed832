"""The recorded exchanges with a real ComfyUI, line by line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TRANSCRIPTS = Path(__file__).parent.parent / "data" / "transcripts"
Line = dict[str, Any]
FILE_OF_A_RUN = re.compile(r"/view\?filename=[^&]*(_\d{5}_?|_[0-9a-f]{32})\.")
"""Views of results: their names are not ours, for theirs was not the first run."""

NOT_SIMULATED = (
    "/internal/",  # only for ComfyUI's own page
    "/users",  # of its page, too, like the next four
    "/i18n",
    "/workflow_templates",
    "/docs",
    "/api/experiment/",
    "/view_metadata/",  # reads the models, of which there are none
)


def names(folder: str = "") -> list[str]:
    """The transcripts of 0.3.64, or those of another version, with the name of their folder."""
    return sorted(f"{folder}{path.stem}" for path in (TRANSCRIPTS / folder).glob("*.jsonl"))


def read(name: str) -> list[Line]:
    """A transcript; each request gets its answer, and those without one (T18) or without a like here are left out."""
    lines: list[Line] = []
    request: Line | None = None
    for text in (TRANSCRIPTS / f"{name}.jsonl").read_text().splitlines():
        line: Line = json.loads(text)
        match line["kind"]:
            case "http>":
                request = line
                lines.append(line)
            case "http<" if request is not None:
                request["answer"] = line
            case _:
                lines.append(line)
    return [line for line in lines if line["kind"] != "http>" or _asked(line)]


def _asked(line: Line) -> bool:
    path: str = line["path"]
    return "answer" in line and not FILE_OF_A_RUN.match(path) and not path.startswith(NOT_SIMULATED)
