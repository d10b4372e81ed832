"""Plays the client's part of a recorded exchange against the simulator, at the recorded times."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import anyio
import httpx
from anyio.abc import TaskGroup
from PIL import Image

from app.ports import ConnectionLost, WebSocket
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from tests.conftest import inline
from tests.simulator.recordings import Line

MODELS = {"checkpoints": ["sd15_random_full.safetensors", "sd15_random_tiny.safetensors"], "loras": []}
"""What the recorded server had."""

NEWER_MODELS = {**MODELS, "loras": ["random_lora.safetensors"]}
"""What that of 0.33.0 had."""

Said = dict[str, list[Any]]
"""What each socket heard, and what HTTP answered, in order."""

AHEAD = 0.05
"""Seconds that a line may be played before its time."""


@asynccontextmanager
async def living(folder: Path, **options: Any) -> AsyncGenerator[Simulator]:
    """A simulator at work, without threads."""
    simulator = Simulator(folder, run_sync=inline, **options)
    Image.new("RGB", (64, 64), "teal").save(folder / "input" / "example.png")
    async with anyio.create_task_group() as group:
        await group.start(simulator.run)
        yield simulator
        group.cancel_scope.cancel()


def client(simulator: Simulator) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=application(simulator))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8188")


async def replay(simulator: Simulator, lines: list[Line]) -> Said:
    """Do what the recorded client did; return what came back."""
    frames: Said = {"http": []}
    async with anyio.create_task_group() as group, client(simulator) as http:
        await _Replay(simulator, group, http, frames).play(lines)
    return frames


class _Replay:
    def __init__(self, simulator: Simulator, group: TaskGroup, http: httpx.AsyncClient, frames: Said) -> None:
        self._simulator = simulator
        self._group = group
        self._http = http
        self._open: dict[str, AsyncExitStack] = {}
        self._sockets: dict[str, WebSocket] = {}
        self._said = frames
        self._due: Counter[str] = Counter()
        """How many frames each socket had heard by the line that is played."""

    async def play(self, lines: list[Line]) -> None:
        await self._count_up(lines)
        began = anyio.current_time()
        note = ""
        for index, line in enumerate(lines):
            await self._wait(began + _due(line), AHEAD if self._may_come_early(line) else 0.0)
            match line["kind"]:
                case "note":
                    note = line["text"]
                    await self._heed(note, lines[index:])
                case "ws connect":
                    sid = parse_qs(urlsplit(str(line["url"])).query).get("clientId", [None])[0]
                    await self._connect(line["sock"], sid)
                case "ws<" if line["sock"] not in self._said:
                    # The recorder noted neither that it connected, nor what it heard later (T21).
                    await self._connect(line["sock"], json.loads(line["text"])["data"]["sid"], reads=False)
                    self._said[line["sock"]] = [await self._sockets[line["sock"]].receive()]
                case "ws<" if "crystools.monitor" in line["text"]:
                    # A custom node with a clock of its own (T23).
                    self._simulator.sockets.push(line["text"], None)
                case "ws>":
                    await self._sockets[line["sock"]].send(line["text"])
                case "ws closed":
                    await self._close(line["sock"])
                case "http>":
                    self._said["http"].append(await self._ask(line, note))
                case _:
                    pass
            if line["kind"].startswith("ws<"):
                self._due[line["sock"]] += 1
        for name in list(self._open):
            await self._close(name)

    def _may_come_early(self, line: Line) -> bool:
        if self._simulator.version.modern and line.get("path") == "/interrupt":
            # There it came in the middle of a step.
            return False
        return line["kind"] in {"http>", "note", "ws closed"} and not _starts(line)

    async def _count_up(self, lines: list[Line]) -> None:
        """Where numbers are asked for, those that the server counts must be as high as they were then (T19)."""
        posts = [line for line in lines if line.get("path") == "/prompt" and line["method"] == "POST"]
        if any(isinstance(line["body"], dict) and "number" in line["body"] for line in posts):
            for _ in range(json.loads(posts[0]["answer"]["body"]).get("number", 0)):
                self._simulator.submit({})

    async def _wait(self, until: float, ahead: float) -> None:
        """Until the time of a line; or `ahead` less, if by then all is heard that was heard before it.

        The recorded machine was slower than virtual time: it lost some milliseconds in each step of a node.
        """
        await anyio.sleep(max(0.0, until - ahead - anyio.current_time()))
        while anyio.current_time() < until and any(  # noqa: ASYNC110  what is heard is no event of ours
            len(self._said[name]) < count for name, count in self._due.items() if name in self._said
        ):
            await anyio.sleep(0.001)

    async def _connect(self, name: str, sid: str | None, *, reads: bool = True) -> None:
        await self._close(name)
        stack = self._open[name] = AsyncExitStack()
        self._sockets[name] = await stack.enter_async_context(self._simulator.connect(sid))
        if reads:
            self._group.start_soon(self._listen, self._said.setdefault(name, []), self._sockets[name])

    async def _listen(self, heard: list[Any], socket: WebSocket) -> None:
        try:
            while True:
                heard.append(await socket.receive())
        except ConnectionLost:
            return

    async def _close(self, name: str) -> None:
        if name in self._open:
            await self._open.pop(name).aclose()

    async def _heed(self, note: str, later: list[Line]) -> None:
        """What was done to the server, and the raw socket of T15, are told in words only."""
        if note.startswith("send SIG"):
            up_again = next(line["t"] for line in later if line["kind"] == "http>")
            self._simulator.faults.restart(up_again - later[0]["t"] - AHEAD)
        elif "never reads" in note:
            body = next(line["body"] for line in later if line["kind"] == "http>")
            await self._connect("SLOW", body["client_id"], reads=False)
        elif note == "close the stalled socket":
            await self._close("SLOW")

    async def _ask(self, line: Line, note: str) -> httpx.Response:
        path, body, recorded = str(line["path"]), line.get("body"), line["answer"]
        headers: dict[str, str] = {}
        if recorded["status"] == 403 and "Origin" in note:
            headers["origin"] = "http://elsewhere.example"
        if recorded["status"] == 206:
            headers["range"] = f"bytes=0-{recorded['bytes'] - 1}"
        if path.startswith("/upload/"):
            return await self._upload(path, body)
        if line["method"] != "POST":
            return await self._http.request(line["method"], path, headers=headers)
        if isinstance(body, str):
            return await self._http.post(path, content=body)
        return await self._http.post(path, json=_with_id(line))

    async def _upload(self, path: str, body: Any) -> httpx.Response:
        if body == "multipart 101 MiB":
            return await self._http.post(path, content=b"", headers={"content-length": str(101 * 2**20)})
        if isinstance(body, str):
            original = {"filename": "up_bff524.png", "subfolder": "", "type": "input"}
            form = {"original_ref": json.dumps(original), "subfolder": "clipspace", "type": "input"}
            return await self._http.post(path, files={"image": ("mask_up_bff524.png", picture(155))}, data=form)
        form = {key: value for key, value in body["multipart"].items() if key != "image"}
        colour = "olive" if "other content" in body.get("note", "") else "teal"
        return await self._http.post(path, data=form, files=list(_files(body["multipart"], colour)))


def _starts(line: Line) -> bool:
    return line["kind"] == "http>" and line["method"] == "POST" and line["path"].endswith("/prompt")


def _with_id(line: Line) -> Any:
    """The body of a request; ours gets the id that the server made up then."""
    body: Any = line["body"]
    if _starts(line) and line["answer"]["status"] == 200 and body.get("prompt_id") is None:
        return {**body, "prompt_id": json.loads(line["answer"]["body"])["prompt_id"]}
    return body


def _due(line: Line) -> float:
    """Seconds from the beginning; what starts something is due when it was answered, which could take a while."""
    return line["answer"]["t"] if _starts(line) else line["t"]


def _files(form: dict[str, str], colour: str) -> Iterator[tuple[str, tuple[str, bytes]]]:
    if "image" not in form:
        # Multipart all the same.
        yield "nothing", ("", b"")
    else:
        _, name, size, _ = form["image"].split(" ")
        # As the recorded client quoted names.
        yield "image", (quote(name, safe=""), b"x" * int(size) if "broken" in name else picture(int(size), colour))


def picture(size: int, colour: str = "teal") -> bytes:
    """A PNG of so many bytes: what stands behind its end is nobody's business."""
    out = io.BytesIO()
    Image.new("RGBA", (16, 16), colour).save(out, "PNG")
    return out.getvalue().ljust(size, b"\0")
