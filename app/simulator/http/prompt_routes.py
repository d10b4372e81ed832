"""The HTTP routes for prompts, queue and history (T05, T07, T12, T19)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.ports import Json
from app.simulator.engine.simulator import Simulator
from app.simulator.engine.worker import Answer, item_json
from app.simulator.http.middleware import TROUBLE

Route: TypeAlias = tuple[str, str, Callable[[Request], Awaitable[Response]]]
"""Method, path, and handler."""


def answer(body: Json, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(body), status, media_type="application/json; charset=utf-8")


def broken() -> Response:
    """Return the response of an unhandled error in the server."""
    return PlainTextResponse(TROUBLE, 500)


async def body_of(request: Request) -> Json:
    """Decode the JSON body of a request. Raises `msgspec.DecodeError`."""
    body: Json = msgspec.json.decode(await request.body())
    return body


class PromptRoutes:
    """The routes for prompts, queue and history."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._worker = simulator.worker
        self._prompts = simulator.worker.prompts

    def routes(self) -> list[Route]:
        """Return all routes."""
        return [
            ("GET", "/prompt", self._status),
            ("POST", "/prompt", self._submit),
            ("GET", "/queue", self._queue),
            ("POST", "/queue", self._change_queue),
            ("POST", "/interrupt", self._interrupt),
            ("GET", "/history", self._history),
            ("POST", "/history", self._change_history),
            ("GET", "/history/{prompt:path}", self._entry),
            ("POST", "/free", self._free),
        ]

    async def _status(self, _: Request) -> Response:
        return answer(self._worker.status)

    async def _submit(self, request: Request) -> Response:
        # As a real server does: a refusal before the body is read may reach the client as a lost connection.
        await request.body()
        failing = self._simulator.faults.fail_next()
        if failing is not None and not failing.effect:
            return PlainTextResponse(f"{failing.status} ordered", failing.status)
        try:
            body = await body_of(request)
        except msgspec.DecodeError:
            return broken()
        if not isinstance(body, dict):
            # In Python, `"prompt" in [1]` is False, but `"prompt" in 1` is an error (T05).
            body = dict[str, Json]() if isinstance(body, (list, str)) else {"number": "none"}
        done: Answer = self._worker.submit(body)
        if failing is not None:
            return PlainTextResponse(f"{failing.status} ordered", failing.status)
        return broken() if done.body is None else answer(done.body, done.status)

    async def _queue(self, _: Request) -> Response:
        running, with_secrets = self._prompts.running, not self._simulator.version.modern
        pending = [item_json(item, with_secrets=with_secrets) for item in self._prompts.pending()]
        shown: list[Json] = [item_json(running, with_secrets=with_secrets)] if running else []
        return answer({"queue_running": shown, "queue_pending": pending})

    async def _change_queue(self, request: Request) -> Response:
        try:
            body = await body_of(request)
        except msgspec.DecodeError:
            return broken()
        if isinstance(body, dict):
            if body.get("clear"):
                self._prompts.clear()
            for prompt_id in _listed(body.get("delete")):
                self._prompts.delete(prompt_id)
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        try:
            body = await body_of(request)
        except msgspec.DecodeError:
            body = None
        prompt = body.get("prompt_id") if isinstance(body, dict) else None
        self._worker.interrupt(str(prompt) if prompt else None)
        return Response()

    async def _history(self, request: Request) -> Response:
        query = request.query_params
        try:
            maximum = int(query["max_items"]) if "max_items" in query else None
            offset = int(query.get("offset", "-1"))
        except ValueError:
            return broken()
        return answer(self._prompts.listed(maximum, offset))

    async def _entry(self, request: Request) -> Response:
        prompt: str = request.path_params["prompt"]
        history = self._prompts.history
        return answer({prompt: history[prompt]} if prompt in history else {})

    async def _change_history(self, request: Request) -> Response:
        try:
            body = await body_of(request)
        except msgspec.DecodeError:
            return broken()
        if isinstance(body, dict):
            if body.get("clear"):
                self._prompts.history.clear()
            for prompt_id in _listed(body.get("delete")):
                self._prompts.history.pop(prompt_id, None)
        return Response()

    async def _free(self, request: Request) -> Response:
        try:
            body = await body_of(request)
        except msgspec.DecodeError:
            return broken()
        if isinstance(body, dict) and body.get("free_memory"):
            self._worker.free()
        return Response()


def _listed(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
