"""The files of the page that are the same for everybody: style, scripts and pictures.

Their addresses contain a version, the hash of all of them, so that browsers keep them for good.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent / "static"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
"""The types of what is served, by suffix. Nothing else in the folder is."""

FOR_GOOD = "public, max-age=31536000, immutable"

WORTH_PACKING = 1024
"""Bytes. What is smaller fits into one packet anyway."""


class StaticFile(Struct, frozen=True):
    """One file, and the same packed by gzip; b"" if that is of no use."""

    media_type: str
    content: bytes
    packed: bytes


class StaticFiles:
    """Serves the files of a folder, which it reads once: a path that it does not know leads nowhere."""

    def __init__(self, base: str, folder: Path = FOLDER) -> None:
        self._base = base
        self._files = _read(folder)
        digest = hashlib.sha256()
        for name, file in self._files.items():
            digest.update(name.encode() + b"\0" + hashlib.sha256(file.content).digest())
        self._version = digest.hexdigest()[:16]

    @property
    def names(self) -> Sequence[str]:
        """The paths of the files."""
        return list(self._files)

    def address(self, name: str) -> str:
        """The path at which a file is served. Raises `KeyError`."""
        if name not in self._files:
            raise KeyError(name)
        return f"{self._base}/static/{self._version}/{name}"

    def routes(self) -> Sequence[BaseRoute]:
        """The route of all files."""
        return [Route("/static/{version}/{name:path}", self._answer)]

    async def _answer(self, request: Request) -> Response:
        if (file := self._files.get(request.path_params["name"])) is None:
            raise HTTPException(404)
        # A page of another version of the bot may still be open.
        lasting = request.path_params["version"] == self._version
        headers = {"Cache-Control": FOR_GOOD if lasting else "no-cache", "Vary": "Accept-Encoding"}
        if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=file.media_type)
        return Response(file.content, headers=headers, media_type=file.media_type)


def _read(folder: Path) -> Mapping[str, StaticFile]:
    files: dict[str, StaticFile] = {}
    for path in sorted(folder.rglob("*")):
        if (media_type := TYPES.get(path.suffix)) is not None:
            content = path.read_bytes()
            packed = (
                gzip.compress(content, mtime=0) if len(content) > WORTH_PACKING and "image/" not in media_type else b""
            )
            files[path.relative_to(folder).as_posix()] = StaticFile(media_type, content, packed)
    return files
