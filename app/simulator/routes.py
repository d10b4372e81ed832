"""ComfyUI's routes over the engine, with and without /api; shapes and codes as measured (transcript 12)."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.ports import Json
from app.simulator.catalog import MODELS
from app.simulator.engine import VERSION, Simulator
from app.simulator.faults import parse

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

GIB = 2**30

TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"
"""What ComfyUI says when it breaks on a request: text, not JSON."""


def answer(data: Json, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(data), status, media_type="application/json")


class Routes:
    """The HTTP face of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def table(self) -> list[tuple[str, str, Endpoint]]:
        """Method, path and endpoint of each route."""
        return [
            ("POST", "/prompt", self._submit),
            ("GET", "/prompt", self._exec_info),
            ("GET", "/queue", self._queue),
            ("POST", "/queue", self._change_queue),
            ("POST", "/interrupt", self._interrupt),
            ("POST", "/free", self._nothing),
            ("GET", "/history", self._histories),
            ("POST", "/history", self._change_history),
            ("GET", "/history/{prompt_id}", self._history),
            ("GET", "/view", self._view),
            ("POST", "/upload/image", self._upload),
            ("POST", "/upload/mask", self._upload),
            ("GET", "/object_info", self._object_info),
            ("GET", "/object_info/{name}", self._object_info),
            ("GET", "/system_stats", self._stats),
            ("GET", "/features", self._features),
            ("GET", "/models", self._models),
            ("GET", "/models/{folder}", self._models),
            ("GET", "/embeddings", self._embeddings),
            ("POST", "/jobs/{prompt_id}/cancel", self._cancel),
            ("POST", "/simulator/faults", self._faults),
        ]

    async def _submit(self, request: Request) -> Response:
        simulator, fault = self._simulator, self._simulator.faults.fail_prompt
        decoded: Json = msgspec.json.decode(await request.body(), type=Json)
        body: dict[str, Json] = decoded if isinstance(decoded, dict) else {}
        if fault.count:
            fault.count -= 1
            if fault.effect:
                simulator.submit(body)
            return PlainTextResponse(TROUBLE, fault.status)
        status, told = simulator.submit(body)
        return answer(told, status)

    async def _exec_info(self, request: Request) -> Response:
        return answer(self._simulator.exec_info())

    async def _queue(self, request: Request) -> Response:
        running = self._simulator.running
        items: list[Json] = [prompt.item() for prompt in self._simulator.pending]
        now: list[Json] = [running.item()] if running else []
        return answer({"queue_running": now, "queue_pending": items})

    async def _change_queue(self, request: Request) -> Response:
        body = msgspec.json.decode(await request.body(), type=dict[str, Json])
        if body.get("clear"):
            self._simulator.clear()
        if isinstance(ids := body.get("delete"), list):
            self._simulator.delete({str(prompt_id) for prompt_id in ids})
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        content = await request.body()
        body = msgspec.json.decode(content, type=dict[str, Json]) if content else {}
        prompt_id = body.get("prompt_id")
        self._simulator.interrupt(prompt_id if isinstance(prompt_id, str) else None)
        return Response()

    async def _cancel(self, request: Request) -> Response:
        if not self._simulator.modern:
            return Response(status_code=404)
        prompt_id = str(request.path_params["prompt_id"])
        waiting = any(prompt.prompt_id == prompt_id for prompt in self._simulator.pending)
        self._simulator.delete({prompt_id})
        return answer({"cancelled": waiting or self._simulator.interrupt(prompt_id)})

    async def _histories(self, request: Request) -> Response:
        entries = list(self._simulator.history.items())
        if most := request.query_params.get("max_items"):
            start = int(request.query_params.get("offset", max(0, len(entries) - int(most))))
            entries = entries[start : start + int(most)]
        return answer(dict(entries))

    async def _history(self, request: Request) -> Response:
        prompt_id = str(request.path_params["prompt_id"])
        entry = self._simulator.history.get(prompt_id)
        return answer({} if entry is None else {prompt_id: entry})

    async def _change_history(self, request: Request) -> Response:
        body = msgspec.json.decode(await request.body(), type=dict[str, Json])
        if body.get("clear"):
            self._simulator.history.clear()
        if isinstance(ids := body.get("delete"), list):
            for prompt_id in ids:
                self._simulator.history.pop(str(prompt_id), None)
        return Response()

    async def _view(self, request: Request) -> Response:
        asked = request.query_params
        try:
            path = self._simulator.files.find(
                asked.get("filename", ""), asked.get("subfolder", ""), asked.get("type", "output")
            )
        except ValueError:
            return Response(status_code=400)
        if path is None:
            return Response(status_code=404)
        if "preview" in asked:
            form, _, quality = asked["preview"].partition(";")
            form = form if form in {"webp", "jpeg"} else "webp"
            out = io.BytesIO()
            with Image.open(path) as picture:
                picture.convert("RGB").save(out, form, quality=int(quality or 90))
            return Response(out.getvalue(), media_type=f"image/{form}")
        content = await self._simulator.run_sync(path.read_bytes)
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        name = path.name.replace('"', "")
        return Response(
            content,
            media_type=media_type,
            headers={"Content-Disposition": f'filename="{name}"', "ETag": f'"{hash(content):x}"'},
        )

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            image = form.get("image")
            if not isinstance(image, UploadFile) or not image.filename:
                return Response(status_code=400)
            overwrite = str(form.get("overwrite", "")).lower() in {"true", "1"}
            kind, subfolder = str(form.get("type", "input")), str(form.get("subfolder", ""))
            content = await image.read()
        try:
            entry = self._simulator.files.upload(image.filename, content, subfolder, kind, overwrite=overwrite)
        except ValueError:
            return Response(status_code=400)
        return answer(dict[str, Json](entry))

    async def _object_info(self, request: Request) -> Response:
        raw: dict[str, Json] = {name: dict(entry) for name, entry in self._simulator.catalog.raw.items()}
        name = request.path_params.get("name")
        if name is not None:
            return answer({name: raw[name]} if name in raw else {})
        return answer(raw)

    async def _stats(self, request: Request) -> Response:
        system: dict[str, Json] = {
            "comfyui_version": VERSION,
            "os": "simulator",
            "ram_total": 16 * GIB,
            "ram_free": 12 * GIB,
            "argv": ["atelier", "simulate"],
        }
        device: dict[str, Json] = {
            "name": "a painter with a brush",
            "type": "cpu",
            "vram_total": 8 * GIB,
            "vram_free": 6 * GIB,
        }
        return answer({"system": system, "devices": [device]})

    async def _features(self, request: Request) -> Response:
        return answer(self._simulator.sockets.features)

    async def _models(self, request: Request) -> Response:
        folder = request.path_params.get("folder")
        if folder is None:
            return answer(list[Json](MODELS))
        return answer(list[Json](MODELS[folder])) if folder in MODELS else Response(status_code=404)

    async def _embeddings(self, request: Request) -> Response:
        return answer([])

    async def _nothing(self, request: Request) -> Response:
        return Response()

    async def _faults(self, request: Request) -> Response:
        try:
            self._simulator.faults.ask(parse(await request.body()))
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        return Response()
