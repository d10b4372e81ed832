"""What is on the disk of the files of a result. Synchronous."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from msgspec import Struct

from app.media_worker.dimensions import read_dimensions
from app.retention.files import thumbnail_path
from app.service.results.kinds import ResultKind, kind_of


class ResultFile(Struct, frozen=True, kw_only=True):
    """One file of a result. `size` is in bytes, None if it was deleted.

    `width` and `height` are the pixels of a picture or video, 0 if they are not known.
    """

    kind: ResultKind
    suffix: str
    size: int | None
    width: int
    height: int
    has_thumbnail: bool


def look_at(paths: Sequence[str]) -> list[ResultFile]:
    """What is known of these files."""
    return [_look_at(path) for path in paths]


def _look_at(name: str) -> ResultFile:
    path = Path(name)
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError:
        size = None
    dimensions = (read_dimensions(path) if size is not None else None) or (0, 0)
    return ResultFile(
        kind=kind_of([name]),
        suffix=PurePath(name).suffix.lower(),
        size=size,
        width=dimensions[0],
        height=dimensions[1],
        has_thumbnail=thumbnail_path(name).is_file(),
    )
