"""Implements the `Comfy` port over httpx: one client for each server, opened once and closed once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import anyio
import httpx
import msgspec
from anyio import to_thread

from app.comfy import http_schemas
from app.comfy.download import save
from app.comfy.exchange import Answer, Requests, body, media_type
from app.comfy.json import decode, decode_shallow
from app.comfy.response_limits import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    LARGE,
    LARGE_AT_ONCE,
    RESULT_BYTES,
    RESULT_SECONDS,
    SLOWEST,
    TooLarge,
    length,
)
from app.comfy.tls import tls_context
from app.comfy.validation_errors import dropped, missing, unusable, validation_error
from app.comfy.websocket.address import headers_of, without_login
from app.config.settings import Server
from app.core.jobs.downloads import LANES
from app.core.jobs.results import file_label
from app.events import FileRef, PromptId
from app.ports import ConnectionLost, Graph, History, Queue, Refused, RunSync, Stats, Ticket
from app.reasons.servers import (
    AnswerTooLarge,
    CredentialsRefused,
    NotComfyUI,
    ProxyError,
    ResultGone,
    ResultTooLarge,
    ServerError,
    TooSlow,
    UnexpectedStatus,
    UploadRefused,
    UploadTooLarge,
    WorkflowTooLarge,
    WorkflowUnsendable,
)

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
"""Seconds for name lookup, TCP and TLS: a server that needs longer counts as unreachable, and is tried again."""

ANSWER_TIMEOUT = 30.0
"""Seconds without a byte.

ComfyUI's event loop answers within 65 ms even under load (measured, T17), but it reads images and histories from disk
and encodes them while its one thread samples.
"""

ANSWER = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT)

QUESTION = httpx.Timeout(5.0, connect=CONNECT_TIMEOUT)
"""For the queue and the history, which the server has in memory.

It is as long as the wait for a pong, so that no query hangs on a half-open connection for longer than the websocket
does. A caller that gets no answer tries again, on another connection.
"""

LIMITS = httpx.Limits(max_connections=2 * LANES, max_keepalive_connections=2 * LANES, keepalive_expiry=30.0)
"""Idle connections are kept for less time than aiohttp, ComfyUI's server, keeps them: 75 s."""

PREVIEW_METHODS = {"off": "none", "server": None}
"""What ComfyUI calls a setting of `previews`, if it has another name; None to leave the choice to the server."""

AWAY = frozenset({502, 503, 504})
"""Statuses that a reverse proxy sends if ComfyUI is down."""

HIDDEN = b"[hidden]"
"""Replaces the key of the account that pays in everything that a server answers."""

_NODES = msgspec.json.Decoder(dict[str, msgspec.Raw])


@asynccontextmanager
async def open_comfy_client(
    server: Server,
    client_id: str,
    *,
    run_sync: RunSync = to_thread.run_sync,
    transport: httpx.AsyncBaseTransport | None = None,
    largest_result: int = RESULT_BYTES,
    api_key: str = "",
) -> AsyncGenerator[ComfyClient]:
    """Open the HTTP client for the length of the block. `transport` is for an in-memory server.

    A result of more than `largest_result` bytes is refused. `api_key` pays for the prompts that cost money. Raises
    `OSError` for a CA file that cannot be read. Proxies of the environment are not used: the server is usually on our
    own network or on this machine.
    """
    async with transport or httpx.AsyncHTTPTransport(
        verify=tls_context(server), trust_env=False, limits=LIMITS
    ) as opened:
        requests = Requests(opened, without_login(server.url), headers_of(server))
        preview_method = PREVIEW_METHODS.get(server.previews, server.previews)
        yield ComfyClient(requests, client_id, run_sync, largest_result, preview_method, api_key)


class ComfyClient:
    """See `app.ports.Comfy`. Also remembers whether the server has the route that cancels a job."""

    def __init__(
        self,
        requests: Requests,
        client_id: str,
        run_sync: RunSync,
        largest_result: int,
        preview_method: str | None = None,
        api_key: str = "",
    ) -> None:
        self._requests = requests
        self._client_id = client_id
        # Servers older than 0.5 ignore it.
        self._extra_data = {} if preview_method is None else {"preview_method": preview_method}
        self._api_key = api_key
        self._run_sync = run_sync
        self._cancels_jobs = True
        self._largest_result = largest_result
        # Half of the connections stay free for other requests, whoever fetches how much.
        self._downloads = anyio.Semaphore(LANES)
        self._large_answers = anyio.Semaphore(LARGE_AT_ONCE)

    async def submit(self, prompt: PromptId, graph: Graph, *, paid: bool = False) -> Ticket:
        """See `app.ports.Comfy.submit`."""
        # Servers keep the key out of the history, and newer ones out of /queue as well.
        key = {"api_key_comfy_org": self._api_key} if paid and self._api_key else {}
        extra_data = {**self._extra_data, **key}
        body = {"prompt": graph, "client_id": self._client_id, "prompt_id": prompt, "extra_data": extra_data}
        answer = await self._ask("POST", "prompt", json=body)
        if answer.status == 400:
            reason, body = validation_error(answer.content, graph), answer.content
            raise Refused(reason, missing=missing(body, graph), unusable=unusable(body))
        accepted = self._read(answer, http_schemas.Accepted)
        return Ticket(PromptId(accepted.prompt_id), dropped(accepted.node_errors, graph))

    async def queue(self) -> Queue:
        """See `app.ports.Comfy.queue`."""
        return self._read(await self._ask("GET", "queue", patience=QUESTION), http_schemas.QueueReply).read()

    async def history(self, prompt: PromptId) -> History | None:
        """See `app.ports.Comfy.history`."""
        answer = await self._ask("GET", f"history/{_quoted(prompt)}", patience=QUESTION)
        entries = self._read(answer, dict[str, msgspec.Raw])
        if entries and prompt not in entries:
            # The history of something else says nothing about this prompt.
            raise self._stranger(answer)
        return http_schemas.history(entries[prompt]) if entries else None

    async def newest(self, count: int) -> dict[PromptId, History]:
        """See `app.ports.Comfy.newest`."""
        answer = await self._ask("GET", f"history?max_items={count}", patience=QUESTION)
        entries = self._read(answer, dict[PromptId, msgspec.Raw])
        return {prompt: http_schemas.history(entry) for prompt, entry in entries.items()}

    async def cancel(self, prompt: PromptId) -> None:
        """See `app.ports.Comfy.cancel`. Never sends a global interrupt or clear."""
        if self._cancels_jobs:
            answer = await self._ask("POST", f"api/jobs/{_quoted(prompt)}/cancel")
            if answer.is_success and self._understood(answer, http_schemas.Cancelled):
                return
            # A 404 without JSON means that the route does not exist; one with JSON is about this job alone.
            known = self._understood(answer, dict[str, msgspec.Raw])
            self._cancels_jobs = known or answer.status not in {404, 405}
        # First delete from the queue, then interrupt: this does not miss a prompt that starts in between.
        self._checked(await self._ask("POST", "queue", json={"delete": [prompt]}))
        self._checked(await self._ask("POST", "interrupt", json={"prompt_id": prompt}))

    async def fetch(self, file: FileRef, to: Path) -> None:
        """See `app.ports.Comfy.fetch`. Raises `OSError` for errors of our own disk, including too little room."""
        name = file_label(file)
        where = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        path = f"view?{urlencode(where, errors='replace')}"
        async with self._downloads:
            with anyio.move_on_after(RESULT_SECONDS):
                # Compression does not make an image smaller, and without it the length is known.
                request = self._requests.request("GET", path, encoding="identity", timeout=ANSWER)
                async with self._requests.exchange(request) as response:
                    if response.status_code in {400, 403, 404}:
                        raise Refused(ResultGone(name))
                    self._check(response.status_code)
                    expected = length(response.headers)
                    try:
                        if (expected or 0) > self._largest_result:
                            # Checked before the room on the disk, so that the error names the right reason.
                            raise TooLarge(self._largest_result)
                        async with aclosing(body(response, self._largest_result)) as pieces:
                            await save(pieces, to, self._run_sync, expected=expected)
                    except TooLarge as error:
                        raise Refused(ResultTooLarge(name, error.limit)) from error
                return
        raise ConnectionLost(TooSlow(RESULT_SECONDS))

    async def upload(self, file: Path, name: str) -> str:
        """See `app.ports.Comfy.upload`. Raises `OSError` for errors of our own disk.

        Servers rename a file if they have another one of its name (measured, T03), so the returned name counts.
        """
        content = await self._run_sync(file.read_bytes)
        answer = await self._ask("POST", "upload/image", files={"image": (name, content)})
        if answer.status == 413:
            raise Refused(UploadTooLarge(len(content)))
        if answer.status == 400:
            raise Refused(UploadRefused())
        return self._read(answer, http_schemas.Uploaded).value()

    async def node(self, class_type: str) -> msgspec.Raw | None:
        """See `app.ports.Comfy.node`."""
        return self._parts(await self._ask("GET", f"object_info/{_quoted(class_type)}")).get(class_type)

    async def nodes(self) -> Mapping[str, msgspec.Raw]:
        """See `app.ports.Comfy.nodes`."""
        return self._parts(await self._ask("GET", "object_info"))

    async def replacements(self) -> Mapping[str, msgspec.Raw]:
        """See `app.ports.Comfy.replacements`."""
        answer = await self._ask("GET", "node_replacements")
        try:
            return decode_shallow(answer.content, _NODES) if answer.is_success else {}
        except msgspec.DecodeError:
            return {}

    async def stats(self) -> Stats:
        """See `app.ports.Comfy.stats`."""
        return self._read(await self._ask("GET", "system_stats"), http_schemas.StatsReply).read()

    def _parts(self, answer: Answer) -> Mapping[str, msgspec.Raw]:
        """Split /object_info into its classes without decoding them: most are never looked up."""
        self._checked(answer)
        try:
            return decode_shallow(answer.content, _NODES)
        except msgspec.DecodeError as error:
            raise self._stranger(answer) from error

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        patience: httpx.Timeout | None = None,
    ) -> Answer:
        content = None if json is None else _encoded(json)
        sent = len(content or b"") + sum(len(file) for _, file in (files or {}).values())
        seconds = ANSWER_SECONDS + sent / SLOWEST
        with anyio.move_on_after(seconds):
            request = self._requests.request(method, path, json=content, files=files, timeout=patience or ANSWER)
            async with self._requests.exchange(request) as response:
                self._check_way(response.status_code)
                return await self._read_answer(response)
        raise ConnectionLost(TooSlow(seconds))

    async def _read_answer(self, response: httpx.Response) -> Answer:
        parts: list[bytes] = []
        size = 0
        try:
            async with AsyncExitStack() as stack:
                pieces = await stack.enter_async_context(aclosing(body(response, ANSWER_BYTES)))
                async for piece in pieces:
                    parts.append(piece)
                    size += len(piece)
                    if size - len(piece) <= LARGE < size:
                        await stack.enter_async_context(self._large_answers)
        except TooLarge as error:
            raise Refused(AnswerTooLarge(error.limit), certain=False) from error
        content = b"".join(parts)
        if self._api_key:
            # A node that is wrong may repeat the key in the message of its error, which people read.
            content = content.replace(self._api_key.encode(), HIDDEN)
        return Answer(response.status_code, media_type(response), content)

    def _check_way(self, status: int) -> None:
        """Raise an error if a proxy answers instead of the server, or if our credentials are refused."""
        if status in AWAY:
            raise ConnectionLost(ProxyError(status))
        if status in {401, 403, 407}:
            raise Refused(CredentialsRefused())

    def _check(self, status: int) -> None:
        self._check_way(status)
        if 200 <= status < 300:
            return
        if status == 413:
            raise Refused(WorkflowTooLarge())
        if status >= 500:
            # The server may have done it anyway (measured, T19).
            raise Refused(ServerError(status), certain=False)
        raise Refused(UnexpectedStatus(status))

    def _checked(self, answer: Answer) -> Answer:
        self._check(answer.status)
        return answer

    def _read(self, answer: Answer, shape: type[T]) -> T:
        self._check(answer.status)
        try:
            return decode(answer.content, msgspec.json.Decoder(shape))
        except msgspec.DecodeError as error:
            raise self._stranger(answer) from error

    def _understood(self, answer: Answer, shape: type[object]) -> bool:
        try:
            decode(answer.content, msgspec.json.Decoder(shape))
        except msgspec.DecodeError:
            return False
        return True

    def _stranger(self, answer: Answer) -> Refused:
        # An answer that claims to be JSON may come from a ComfyUI that did what was requested.
        return Refused(NotComfyUI(answer.kind), certain=not answer.is_json)


def _encoded(json: object) -> bytes:
    """Encode JSON. Raises `Refused` for what JSON cannot hold: unpaired surrogates, and too many levels."""
    try:
        return msgspec.json.encode(json)
    except (UnicodeError, RecursionError) as error:
        raise Refused(WorkflowUnsendable()) from error


def _quoted(part: str) -> str:
    """Quote one part of a path: ids and class names may hold any character (measured, T05: an id with a slash)."""
    return quote(part, safe="", errors="replace")
