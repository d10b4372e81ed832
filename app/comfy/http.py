"""The Comfy port over httpx: one client for each server, opened once and closed once."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from app.comfy import replies
from app.comfy.download import save
from app.comfy.refusal import dropped, sentence
from app.comfy.tls import tls_context
from app.config import Server
from app.events import FileRef, PromptId
from app.ports import ConnectionLost, Graph, History, Queue, Refused, RunSync, Stats, Ticket

T = TypeVar("T")

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""ComfyUI's loop answers within 65 ms even under load (measured, T17); 30 s is for slow uploads."""

LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30.0)
"""Eight looks and many downloads at once; kept for less than aiohttp keeps an idle one, 75 s."""

AWAY = frozenset({502, 503, 504})
"""What a reverse proxy says of a ComfyUI that is down."""


@asynccontextmanager
async def open_comfy(
    server: Server, client_id: str, *, run_sync: RunSync, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncGenerator[HttpComfy]:
    """Open the HTTP client for the length of the block. `transport` is for a server in memory."""
    async with httpx.AsyncClient(
        base_url=server.url.rstrip("/") + "/",
        headers=server.headers,
        timeout=TIMEOUT,
        limits=LIMITS,
        verify=tls_context(server),
        transport=transport,
        trust_env=False,
    ) as client:
        yield HttpComfy(client, server, client_id, run_sync)


class HttpComfy:
    """See `app.ports.Comfy`. Knows besides only whether the server can cancel by itself."""

    def __init__(self, client: httpx.AsyncClient, server: Server, client_id: str, run_sync: RunSync) -> None:
        self._client = client
        self._name = server.label
        self._client_id = client_id
        self._run_sync = run_sync
        self._cancels_jobs = True

    async def submit(self, prompt: PromptId, graph: Graph) -> Ticket:
        """See `app.ports.Comfy.submit`."""
        body = {"prompt": graph, "client_id": self._client_id, "prompt_id": prompt, "extra_data": {}}
        answer = await self._ask("POST", "prompt", json=body)
        if answer.status_code == 400:
            raise Refused(sentence(answer.content, graph))
        if answer.status_code >= 500:
            raise Refused(self._trouble(answer), certain=False)
        accepted = self._read(answer, replies.Accepted)
        return Ticket(PromptId(accepted.prompt_id), dropped(accepted.node_errors, graph))

    async def queue(self) -> Queue:
        """See `app.ports.Comfy.queue`."""
        return self._read(await self._ask("GET", "queue"), replies.QueueReply).read()

    async def history(self, prompt: PromptId) -> History | None:
        """See `app.ports.Comfy.history`."""
        answer = await self._ask("GET", f"history/{prompt}")
        entry = self._read(answer, dict[str, replies.HistoryReply]).get(prompt)
        return entry.read() if entry is not None else None

    async def cancel(self, prompt: PromptId) -> None:
        """See `app.ports.Comfy.cancel`; never a global interrupt or clear."""
        if self._cancels_jobs:
            answer = await self._ask("POST", f"api/jobs/{prompt}/cancel")
            if answer.is_success:
                return
            self._cancels_jobs = answer.status_code not in {404, 405}
        # First out of the queue, then off the machine: a prompt that starts in between is not missed.
        self._check(await self._ask("POST", "queue", json={"delete": [prompt]}))
        self._check(await self._ask("POST", "interrupt", json={"prompt_id": prompt}))

    async def fetch(self, file: FileRef, to: Path) -> None:
        """See `app.ports.Comfy.fetch`."""
        where = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._client.stream("GET", "view", params=where) as answer:
                if answer.status_code in {400, 403, 404}:
                    raise Refused(f"A result, {Path(file.filename).name}, is gone from the server.")
                self._check(answer)
                await save(answer.aiter_bytes(), to, self._run_sync)
        except httpx.TransportError as error:
            raise self._lost(error) from error

    async def upload(self, file: Path) -> str:
        """See `app.ports.Comfy.upload`. Servers never delete uploads, so the name is one of our own."""
        content = await self._run_sync(file.read_bytes)
        name = f"atelier-{uuid.uuid4().hex}{file.suffix.lower()}"
        answer = await self._ask("POST", "upload/image", files={"image": (name, content)})
        if answer.status_code == 413:
            size = f"{len(content) / 2**20:.0f} MiB"
            raise Refused(f"{file.name} is larger than {self._name} takes ({size}): make it smaller.")
        return self._read(answer, replies.Uploaded).value()

    async def choices(self, class_type: str, input_name: str) -> Sequence[str]:
        """See `app.ports.Comfy.choices`."""
        answer = self._check(await self._ask("GET", f"object_info/{class_type}"))
        try:
            return replies.choices(answer.content, class_type, input_name)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise self._stranger() from error

    async def stats(self) -> Stats:
        """See `app.ports.Comfy.stats`."""
        return self._read(await self._ask("GET", "system_stats"), replies.StatsReply).read()

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> httpx.Response:
        content = None if json is None else msgspec.json.encode(json)
        headers = {} if json is None else {"Content-Type": "application/json"}
        try:
            answer = await self._client.request(method, path, content=content, headers=headers, files=files)
        except httpx.TransportError as error:
            raise self._lost(error) from error
        except httpx.HTTPError as error:
            raise Refused(f"{self._name} answers with nonsense: {error}.") from error
        if answer.status_code in AWAY:
            raise ConnectionLost(f"{self._name} is away: a proxy answers {answer.status_code}")
        if answer.status_code in {401, 403}:
            raise Refused(f"{self._name} wants other credentials: look at its headers in atelier.toml.")
        return answer

    def _check(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code in AWAY:
            raise ConnectionLost(f"{self._name} is away: a proxy answers {answer.status_code}")
        if answer.is_success:
            return answer
        raise Refused(self._trouble(answer))

    def _read(self, answer: httpx.Response, shape: type[T]) -> T:
        try:
            return msgspec.json.decode(self._check(answer).content, type=shape)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise self._stranger() from error

    def _trouble(self, answer: httpx.Response) -> str:
        if answer.status_code == 413:
            return f"The workflow is larger than {self._name} takes: make its inputs smaller."
        if answer.status_code >= 500:
            return f"{self._name} broke on this request ({answer.status_code}): its own log says why."
        return f"{self._name} answers {answer.status_code}: is this address that of a ComfyUI?"

    def _stranger(self) -> Refused:
        return Refused(f"{self._name} answers, but is no ComfyUI: check the address.")

    def _lost(self, error: httpx.TransportError) -> ConnectionLost:
        told = str(error) or type(error).__name__
        return ConnectionLost(f"{self._name} cannot be reached: {told}")
