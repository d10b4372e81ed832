"""Files of results: signed addresses for one person and some time, and the answers to them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Literal, TypeAlias
from urllib.parse import quote

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from app.core.jobs.job import Job
from app.http.page.context import PageContext
from app.http.page.guard import for_viewers, parts_of
from app.ports import RunSync
from app.retention.files import THUMBNAIL
from app.service.job_settings import changed_picture
from app.service.jobs.job_factory import INPUTS
from app.service.people.viewer import Viewer
from app.service.reasons import ResultNotKept
from app.service.results.gallery import Gallery
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError

Part: TypeAlias = Literal["thumbnail", "original", "before"]
"""What of a job is served: the small picture of a result, a result, or the picture that was changed."""

CODES: dict[str, Part] = {"t": "thumbnail", "o": "original", "b": "before"}
"""How addresses name the parts: a page has 60 of them."""

FILE = "file"
"""The purpose for which addresses of files are signed."""

LIFE = 4 * 3600.0
"""Seconds for which an address is valid at least: nobody looks at an open page for longer without loading it anew."""

STEP = 4 * 3600.0
"""The ends of addresses are multiples of so many seconds, so that they stay the same meanwhile and browsers keep the
files."""

MARGIN = 60.0
"""Seconds by which a browser forgets a file before its address ends: clocks may differ."""

TYPES = {
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".m4a": "audio/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
}
"""The types of what browsers may show, by suffix. All else is only downloaded: it could be a page or a script."""

OTHER = "application/octet-stream"

POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; sandbox"
"""What a file may do if somebody opens its address itself."""

SMALL = 128 * 1024
"""Bytes. A thumbnail has about 12 kB, and is read at once: a page has 60 of them."""

NAME = re.compile(r"\w[\w.-]{0,119}")
"""What a file may be called in an address: nothing that means something in a path."""

LONGEST_NAME = 60
"""Characters of the prompt in the name of a file."""


class FileAddresses:
    """Makes the addresses of files for one viewer."""

    def __init__(self, context: PageContext, viewer: Viewer) -> None:
        self._context = context
        self._person = viewer.person

    def thumbnail(self, job: str, index: int) -> str:
        """The address of the small picture of a file, counted from 0."""
        return self._address("t", job, index, "t.webp")

    def original(self, job: str, index: int, name: str) -> str:
        """The address of a file, counted from 0, which is called `name` when it is downloaded."""
        return self._address("o", job, index, name)

    def before(self, job: str, name: str) -> str:
        """The address of the picture that a job changed."""
        return self._address("b", job, 0, name)

    def _address(self, code: str, job: str, index: int, name: str) -> str:
        token = self._context.signer.sign(FILE, self._person, code, job, str(index), life=LIFE, step=STEP)
        return f"{self._context.address.base}/files/{token}/{quote(name)}"


class Files:
    """Serves files. Whether the viewer may see them is asked again each time."""

    def __init__(self, context: PageContext, run_sync: RunSync = to_thread.run_sync) -> None:
        self._signer = context.signer
        self._run_sync = run_sync

    def routes(self) -> Sequence[BaseRoute]:
        """The route of all files."""
        return [Route("/files/{token}/{name}", for_viewers(self._answer))]

    async def _answer(self, request: Request, viewer: Viewer) -> Response:
        signed, name = self._signer.read(FILE, request.path_params["token"]), request.path_params["name"]
        if signed is None or signed.person != viewer.person or not NAME.fullmatch(name):
            raise HTTPException(404)
        code, job, index = signed.parts
        parts = parts_of(request)
        path = await _path(parts.gallery, viewer, CODES[code], job, int(index), parts.workflows)
        kind = "image/webp" if code == "t" else TYPES.get(path.suffix.lower(), OTHER)
        if code != "t" and PurePath(name).suffix.lower() != path.suffix.lower():
            raise HTTPException(404)
        opened = await self._run_sync(_open, path)
        if opened is None:
            raise WorkflowError(ResultNotKept())
        status, content = opened
        rest = max(0, round(self._signer.left(signed) - MARGIN))
        headers = {"Cache-Control": f"private, max-age={rest}, immutable", "Content-Security-Policy": POLICY}
        if content is not None:
            return Response(content, headers=headers, media_type=kind)
        shown = kind != OTHER and "download" not in request.query_params
        return FileResponse(
            path,
            headers=headers,
            media_type=kind,
            filename=name,
            stat_result=status,
            content_disposition_type="inline" if shown else "attachment",
        )


async def _path(
    gallery: Gallery,
    viewer: Viewer,
    part: Part,
    job: str,
    index: int,
    workflows: Callable[[], Mapping[str, Workflow]],
) -> Path:
    """The path of a file that the viewer may see. Raises `WorkflowError`."""
    match part:
        case "thumbnail":
            path = await gallery.thumbnail(viewer, job, index)
        case "original":
            path = await gallery.file(viewer, job, index)
        case "before":
            known = await gallery.job(viewer, job)
            path = before_of(known, workflows().get(known.request.workflow))
    if path is None:
        raise WorkflowError(ResultNotKept())
    return path


def before_of(job: Job, workflow: Workflow | None) -> Path | None:
    """The picture that a job changed, if it changed one and that is a file of ours; it may be deleted."""
    request = job.request
    picture, results = changed_picture(request.variation, request.values, workflow), Path(request.folder)
    path = Path(picture)
    is_ours = path.parent in {results, results.parent / INPUTS}
    return path if picture and is_ours and TYPES.get(path.suffix.lower(), OTHER).startswith("image/") else None


def file_name(prompt: str, job: str, number: int, suffix: str) -> str:
    """What a file is called when it is downloaded: what it shows, and what it can be found by."""
    words = "-".join(re.findall(r"\w+", prompt))[:LONGEST_NAME].strip("-_")
    suffix = suffix if re.fullmatch(r"\.\w{1,10}", suffix) else ""
    return f"{words or 'result'}-{job[:8]}-{number}{suffix}"


def _open(path: Path) -> tuple[os.stat_result, bytes | None] | None:
    """What is known of a file, and its content if it is small; None if there is no such file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        small = path.suffix == THUMBNAIL and status.st_size <= SMALL
        return status, path.read_bytes() if small else None
    except OSError:
        return None
