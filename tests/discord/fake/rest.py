"""What every REST request goes through: the journal, the faults, the token, the buckets, the size limit."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web
from aiohttp.typedefs import Middleware

from tests.discord.fake.buckets import Verdict
from tests.discord.fake.cdn import Upload
from tests.discord.fake.state import MIB, Fault, Request, State
from tests.discord.fake.wire import ApiError, Payload, pause

PREFIX = "/api/v10"
LARGEST_REQUEST = 512 * MIB
CLOUDFLARE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>Error {0}</h1>cloudflare</body></html>"
FREE = ("/webhooks/", "/interactions/", "/oauth2/token")
"""Their token is in the path, or is what they are about."""

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Body:
    """A request's JSON and the files beside it, by their number."""

    json: Payload = field(default_factory=dict[str, object])
    many: list[Payload] | None = None
    """The JSON where it is a list, as for PUT of commands."""
    uploads: dict[str, Upload] = field(default_factory=dict[str, Upload])


BODY = web.RequestKey("body", Body)


class Rest:
    """The middleware."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def middleware(self) -> Middleware:
        """What aiohttp calls around every endpoint."""

        @web.middleware
        async def around(request: web.Request, handler: Endpoint) -> web.StreamResponse:
            if request.path.startswith(PREFIX):
                return await self._around(request, handler)
            return await handler(request)

        return around

    async def _around(self, request: web.Request, endpoint: Endpoint) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical.removeprefix(PREFIX) if resource else request.path
        authorization = request.headers.get("Authorization")
        path = request.path.removeprefix(PREFIX)
        entry = Request(self._state.clock.now(), request.method, path, route, authorization)
        self._state.requests.append(entry)
        self._state.ring()
        headers: dict[str, str] = {}
        try:
            response = await self._answer(request, endpoint, entry, headers)
        except Blocked as error:
            # A proxy answers before Discord, without limits.
            headers.clear()
            response = web.Response(text=error.text, status=error.status, content_type=error.content_type)
        except ApiError as error:
            entry.code = error.code
            response = web.json_response(error.body(), status=error.status)
        except web.HTTPException as error:
            response = web.json_response({"message": f"{error.status}: {error.reason}", "code": 0}, status=error.status)
        response.headers.update(headers)
        entry.status = response.status
        self._state.ring()
        return response

    async def _answer(
        self, request: web.Request, endpoint: Endpoint, entry: Request, headers: dict[str, str]
    ) -> web.StreamResponse:
        is_person = entry.path == "/users/@me" and (entry.authorization or "").startswith("Bearer ")
        if not entry.path.startswith(FREE) and not is_person and entry.authorization != f"Bot {self._state.token}":
            raise ApiError(401, 0, "401: Unauthorized")
        # Calls are counted as they come in, however long they take from then on.
        major = request.match_info.get("token") or request.match_info.get("channel") or ""
        verdict = Verdict({}, None) if entry.path.startswith(FREE) else self._state.buckets.take_any()
        if verdict.wait is None:
            verdict = self._state.buckets.take(f"{entry.method} {entry.route}", major)
        headers |= verdict.headers
        if verdict.wait is not None:
            said = {"message": "You are being rate limited.", "retry_after": pause(verdict.wait)}
            return web.json_response(said | {"global": verdict.everywhere}, status=429)
        fault = next((one for one in self._state.faults if one.meets(entry.method, entry.path)), None)
        if fault and fault.hold:
            await fault.lifted.wait()
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and not fault.after:
            _break(fault, request)
        request[BODY] = body = await read_body(request, self._state.upload_limit, self._state.request_limit)
        entry.json = body.json if body.many is None else body.many
        entry.files = [(upload.filename, len(upload.content)) for upload in body.uploads.values()]
        response = await endpoint(request)
        if fault and fault.after:
            _break(fault, request)
        return response


class Blocked(Exception):
    """A proxy such as Cloudflare answers in Discord's place."""

    def __init__(self, status: int, text: str, content_type: str) -> None:
        super().__init__(status)
        self.status = status
        self.text = text
        self.content_type = content_type


def _break(fault: Fault, request: web.Request) -> None:
    if fault.html and fault.status is not None:
        raise Blocked(fault.status, CLOUDFLARE.format(fault.status), "text/html")
    if fault.body and fault.status is not None:
        raise Blocked(fault.status, fault.body, "application/json")
    if fault.abort and request.transport is not None:
        request.transport.abort()
    if fault.abort or fault.status is not None:
        raise ApiError(fault.status or 500, fault.code, fault.message)


async def read_body(request: web.Request, limit: int, whole: int) -> Body:
    """Take the whole body in. Raises 413/40005: a file is larger than `limit` bytes, or all than `whole`."""
    if request.content_type == "application/x-www-form-urlencoded":
        return Body(dict(await request.post()))
    if request.content_type != "multipart/form-data":
        raw = await request.read()
        try:
            said: Payload | list[Payload] = json.loads(raw) if raw else {}
        except ValueError as error:
            raise ApiError(400, 50109, "The request body contains invalid JSON.") from error
        return Body(many=said) if isinstance(said, list) else Body(said)
    body = Body()
    too_large = False
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        raw = bytes(await part.read(decode=False))
        if part.name == "payload_json":
            body.json = json.loads(raw)
        elif number := re.fullmatch(r"files\[(\d+)\]", part.name or ""):
            too_large = too_large or len(raw) > limit
            kind = part.headers.get("Content-Type")
            body.uploads[number[1]] = Upload(part.filename or "file", raw, kind)
        else:
            raise ApiError(400, 50035, f"Unexpected part {part.name}")
    if too_large or sum(len(upload.content) for upload in body.uploads.values()) > whole:
        raise ApiError(413, 40005, "Request entity too large")
    return body
