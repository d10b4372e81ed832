"""What a result is, by the ends of the names of its files. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal, TypeAlias

from app.service.jobs.follow_ups import SUFFIXES

ResultKind: TypeAlias = Literal["picture", "video", "audio", "model", "text"]

KINDS: dict[ResultKind, frozenset[str]] = {
    "picture": frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"}),
    "video": frozenset({".mp4", ".webm", ".mov", ".mkv"}),
    "model": frozenset({".glb", ".gltf", ".obj", ".stl", ".ply", ".fbx", ".usdz"}),
    "audio": SUFFIXES["audio"],
}
"""The suffixes of each kind. A result is of the first kind of which it has a file."""


def kind_of(files: Sequence[str]) -> ResultKind:
    """The kind of a result; "text" if it has no file of another kind."""
    suffixes = {PurePath(file).suffix.lower() for file in files}
    for kind, known in KINDS.items():
        if known & suffixes:
            return kind
    return "text"
