"""The HTTP routes for files, models, node definitions, system information and faults (T03, T12)."""

from __future__ import annotations

import io
import mimetypes
import re
from email.utils import formatdate
from pathlib import Path

import msgspec
from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.ports import Json
from app.simulator.engine.files import FOLDERS, Forbidden
from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request as Fault
from app.simulator.http.middleware import CONTROL
from app.simulator.http.prompt_routes import Route, answer, broken
from app.simulator.nodes.images import resized

_GIB = 1 << 30
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FileRoutes:
    """The routes for files, models, node definitions, system information and faults."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._files = simulator.files
        self._catalog = simulator.catalog

    def routes(self) -> list[Route]:
        """Return all routes."""
        return [
            ("GET", "/view", self._view),
            ("POST", "/upload/image", self._upload),
            ("POST", "/upload/mask", self._upload_mask),
            ("GET", "/object_info", self._classes),
            ("GET", "/object_info/{name}", self._class),
            ("GET", "/system_stats", self._stats),
            ("GET", "/features", self._features),
            ("GET", "/models", self._folders),
            ("GET", "/models/{folder}", self._models),
            ("GET", "/embeddings", self._embeddings),
            ("POST", CONTROL, self._fault),
        ]

    async def _view(self, request: Request) -> Response:
        query = request.query_params
        if "filename" not in query:
            return Response(status_code=404)
        name, folder = query["filename"], query.get("type", "output")
        if not name or name.startswith("/") or ".." in name or folder not in FOLDERS:
            return Response(status_code=400)
        try:
            path = self._files.view(name, query.get("subfolder", ""), folder)
        except Forbidden:
            return Response(status_code=403)
        if path is None:
            return Response(status_code=404)
        headers = {"content-disposition": f'filename="{path.name}"'}
        if "preview" in query:
            form, _, quality = query["preview"].partition(";")
            form = form if form in {"webp", "jpeg"} else "webp"
            strength = int(quality) if quality.isdigit() else 90
            content = await self._simulator.run_sync(_converted, path, form, strength)
            return Response(content, media_type=f"image/{form}", headers=headers)
        if (channel := query.get("channel", "rgba")) in {"rgb", "a"}:
            content = await self._simulator.run_sync(_channel, path, channel)
            return Response(content, media_type="image/png", headers=headers)
        if self._simulator.version.modern:
            headers["x-content-type-options"] = "nosniff"
        return await self._simulator.run_sync(whole_or_part, request, path, headers)

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            image = form.get("image")
            if not isinstance(image, UploadFile) or not image.filename:
                return Response(status_code=400)
            return self._keep(form, await image.read(), image.filename)

    async def _upload_mask(self, request: Request) -> Response:
        async with request.form() as form:
            image, original_ref = form.get("image"), form.get("original_ref")
            if not isinstance(image, UploadFile) or not image.filename or not isinstance(original_ref, str):
                return Response(status_code=400)
            try:
                ref = msgspec.json.decode(original_ref, type=dict[str, str])
                original = self._files.view(
                    ref.get("filename", ""), ref.get("subfolder", ""), ref.get("type", "output")
                )
            except (msgspec.DecodeError, Forbidden):
                return Response(status_code=400)
            if original is None:
                return Response(status_code=400)
            masked = await self._simulator.run_sync(_masked, original, await image.read())
            return self._keep(form, masked, image.filename)

    def _keep(self, form: FormData, content: bytes, name: str) -> Response:
        fields = {key: value if isinstance(value := form.get(key), str) else "" for key in ("type", "subfolder")}
        folder = fields["type"] or "input"
        if folder not in FOLDERS:
            return broken()
        overwrite = form.get("overwrite") in {"true", "1"}
        try:
            path = self._files.upload(content, name, fields["subfolder"], folder, overwrite=overwrite)
        except Forbidden:
            return Response(status_code=400)
        return answer({"name": path.name, "subfolder": fields["subfolder"], "type": folder})

    async def _classes(self, _: Request) -> Response:
        return answer(self._catalog.describe_all())

    async def _class(self, request: Request) -> Response:
        return answer(self._catalog.describe(request.path_params["name"]))

    async def _stats(self, _: Request) -> Response:
        system: dict[str, Json] = {
            "ram_total": 32 * _GIB,
            "ram_free": 20 * _GIB,
            "comfyui_version": self._simulator.version.number,
            **self._simulator.version.system,
            "python_version": "3.11",
            "pytorch_version": "none: this is a simulator",
            "embedded_python": False,
            "argv": ["main.py"],
        }
        device: dict[str, Json] = {
            "name": "simulator",
            "type": "cpu",
            "index": None,
            "vram_total": 24 * _GIB,
            "vram_free": 18 * _GIB,
            "torch_vram_total": 24 * _GIB,
            "torch_vram_free": 18 * _GIB,
        }
        return answer({"system": system, "devices": [device]})

    async def _features(self, _: Request) -> Response:
        return answer(self._simulator.version.features)

    async def _folders(self, _: Request) -> Response:
        return answer(list[Json](self._catalog.folders()))

    async def _models(self, request: Request) -> Response:
        models = self._catalog.models(request.path_params["folder"])
        return Response(status_code=404) if models is None else answer(list[Json](models))

    async def _embeddings(self, _: Request) -> Response:
        names = self._catalog.models("embeddings") or []
        return answer([name.rpartition(".")[0] for name in names])

    async def _fault(self, request: Request) -> Response:
        try:
            fault = msgspec.json.decode(await request.body(), type=Fault)
        except msgspec.DecodeError as error:
            known = ", ".join(Fault.__struct_fields__)
            return PlainTextResponse(f"No such fault: {error}. There are: {known}.", 400)
        self._simulator.faults.ask(fault)
        return Response()


def whole_or_part(request: Request, path: Path, headers: dict[str, str]) -> Response:
    """Return a response with the whole file, the requested range, only its headers, or 304 if it has not changed.

    Starlette's FileResponse is not used, because it reads in threads of its own, which do not work with virtual time.
    """
    status_of_file = path.stat()
    size, status = status_of_file.st_size, 200
    headers |= {
        "etag": f'"{status_of_file.st_mtime_ns:x}-{size:x}"',
        "last-modified": formatdate(status_of_file.st_mtime, usegmt=True),
        "accept-ranges": "bytes",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    start, end = 0, size
    if (byte_range := _RANGE.fullmatch(request.headers.get("range", ""))) and any(byte_range.groups()):
        first, last = byte_range.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= end:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    body = b""
    if request.method != "HEAD":
        with path.open("rb") as file:
            file.seek(start)
            body = file.read(end - start)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(body, status, media_type=kind, headers=headers)


def _converted(path: Path, form: str, quality: int) -> bytes:
    out = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB" if form == "jpeg" else "RGBA").save(out, form.upper(), quality=quality)
    return out.getvalue()


def _channel(path: Path, channel: str) -> bytes:
    """Return an image as a PNG without its alpha channel, or with nothing but it."""
    out = io.BytesIO()
    with Image.open(path) as picture:
        channels = picture.convert("RGB")
        if channel == "a":
            alpha = picture.convert("RGBA").getchannel("A")
            channels = Image.new("RGBA", picture.size)
            channels.putalpha(alpha)
    channels.save(out, "PNG", compress_level=4)
    return out.getvalue()


def _masked(original: Path, mask: bytes) -> bytes:
    """Return the original as a PNG with the alpha channel of the mask."""
    out = io.BytesIO()
    with Image.open(original) as picture, Image.open(io.BytesIO(mask)) as upper:
        whole = picture.convert("RGBA")
        whole.putalpha(resized(upper.convert("RGBA").getchannel("A"), whole.size))
    whole.save(out, "PNG", compress_level=4)
    return out.getvalue()
