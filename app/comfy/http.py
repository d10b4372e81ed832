"""The Comfy port over httpx: one client for each server, opened once and closed once."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import quote

import anyio
import httpx
import msgspec
from anyio import to_thread

from app.comfy import replies
from app.comfy.download import length, save
from app.comfy.failure import failure
from app.comfy.lenient import decode
from app.comfy.refusal import dropped, missing, sentence
from app.comfy.tls import tls_context
from app.config import Server
from app.events import FileRef, PromptId
from app.ports import ConnectionLost, Graph, History, Json, Queue, Refused, RunSync, Stats, Ticket

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
"""Seconds. Name, TCP and TLS: a server that needs longer is as good as away, and will be asked again."""

ANSWER_TIMEOUT = 30.0
"""Seconds without a byte. ComfyUI's loop answers within 65 ms even under load (measured, T17), but it reads
a picture and a history from disk and encodes them while its one thread samples."""

QUESTION = httpx.Timeout(5.0, connect=CONNECT_TIMEOUT)
"""For queue and history, which it has in memory: as long as for a pong, so that no look hangs on a half-open line
for longer than the websocket does. Who asked in vain asks again, on another line."""

LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30.0)
"""Kept for less than aiohttp keeps an idle one, 75 s."""

DOWNLOADS = 16
"""Results at once: half of the connections are left for questions, however long fifty films take on a narrow line."""

AWAY = frozenset({502, 503, 504})
"""What a reverse proxy says of a ComfyUI that is down."""

_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}")


@asynccontextmanager
async def open_comfy(
    server: Server,
    client_id: str,
    *,
    run_sync: RunSync = to_thread.run_sync,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncGenerator[HttpComfy]:
    """Open the HTTP client for the length of the block. `transport` is for a server in memory.

    Raises `OSError` for a CA file that cannot be read. Proxies of the environment are not used: the server
    is usually on our own network, or on this machine.
    """
    async with httpx.AsyncClient(
        base_url=server.url.rstrip("/") + "/",
        headers=server.headers,
        timeout=httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
        limits=LIMITS,
        verify=tls_context(server),
        transport=transport,
        trust_env=False,
        follow_redirects=False,
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
        self._downloads = anyio.Semaphore(DOWNLOADS)

    async def submit(self, prompt: PromptId, graph: Graph) -> Ticket:
        """See `app.ports.Comfy.submit`."""
        body = {"prompt": graph, "client_id": self._client_id, "prompt_id": prompt, "extra_data": {}}
        answer = await self._ask("POST", "prompt", json=body)
        if answer.status_code == 400:
            raise Refused(sentence(answer.content, graph), missing=missing(answer.content))
        accepted = self._read(answer, replies.Accepted)
        return Ticket(PromptId(accepted.prompt_id), dropped(accepted.node_errors, graph))

    async def queue(self) -> Queue:
        """See `app.ports.Comfy.queue`."""
        return self._read(await self._ask("GET", "queue", patience=QUESTION), replies.QueueReply).read()

    async def history(self, prompt: PromptId) -> History | None:
        """See `app.ports.Comfy.history`."""
        answer = await self._ask("GET", f"history/{_quoted(prompt)}", patience=QUESTION)
        entry = self._read(answer, dict[str, replies.HistoryReply]).get(prompt)
        return entry.read() if entry is not None else None

    async def newest(self, count: int) -> dict[PromptId, History]:
        """See `app.ports.Comfy.newest`."""
        answer = await self._ask("GET", f"history?max_items={count}", patience=QUESTION)
        entries = self._read(answer, dict[PromptId, replies.HistoryReply])
        return {prompt: entry.read() for prompt, entry in entries.items()}

    async def cancel(self, prompt: PromptId) -> None:
        """See `app.ports.Comfy.cancel`; never a global interrupt or clear."""
        if self._cancels_jobs:
            answer = await self._ask("POST", f"api/jobs/{_quoted(prompt)}/cancel")
            if answer.is_success and self._understood(answer, replies.Cancelled):
                return
            # A 404 without JSON is the router's, for good; one with JSON is about this job alone.
            known = self._understood(answer, dict[str, msgspec.Raw])
            self._cancels_jobs = known or answer.status_code not in {404, 405}
        # First out of the queue, then off the machine: a prompt that starts in between is not missed.
        self._check(await self._ask("POST", "queue", json={"delete": [prompt]}))
        self._check(await self._ask("POST", "interrupt", json={"prompt_id": prompt}))

    async def fetch(self, file: FileRef, to: Path) -> None:
        """See `app.ports.Comfy.fetch`. Raises `OSError` for our own disk."""
        name = PurePosixPath(file.filename.replace("\\", "/")).name
        where = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._downloads, self._client.stream("GET", "view", params=where) as answer:
                if answer.status_code in {400, 403, 404}:
                    raise Refused(f"A result, {name}, is gone from the server.")
                self._check(answer)
                await save(answer.aiter_bytes(), to, self._run_sync, expected=length(answer.headers))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise failure(self._name, error) from error

    async def upload(self, file: Path) -> str:
        """See `app.ports.Comfy.upload`. Raises `OSError` for our own disk.

        Servers never delete uploads, and rename what clashes (measured, T03), so the name is one of our own.
        """
        content = await self._run_sync(file.read_bytes)
        suffix = file.suffix.lower()
        name = f"atelier-{uuid.uuid4().hex}{suffix if _EXTENSION.fullmatch(suffix) else ''}"
        answer = await self._ask("POST", "upload/image", files={"image": (name, content)})
        if answer.status_code == 413:
            size = f"{len(content) / 2**20:.0f} MiB"
            raise Refused(f"{file.name} is larger than {self._name} takes ({size}): make it smaller.")
        if answer.status_code == 400:
            raise Refused(f"{self._name} does not take {file.name}: try another file.")
        return self._read(answer, replies.Uploaded).value()

    async def choices(self, class_type: str, input_name: str) -> Sequence[str]:
        """See `app.ports.Comfy.choices`."""
        return [str(value) for value in replies.listed(await self._input(class_type, input_name))]

    async def default(self, class_type: str, input_name: str) -> Json:
        """See `app.ports.Comfy.default`."""
        return replies.default(await self._input(class_type, input_name))

    async def nodes(self) -> dict[str, Json]:
        """See `app.ports.Comfy.nodes`."""
        return self._read(await self._ask("GET", "object_info"), dict[str, Json])

    async def stats(self) -> Stats:
        """See `app.ports.Comfy.stats`."""
        return self._read(await self._ask("GET", "system_stats"), replies.StatsReply).read()

    async def _input(self, class_type: str, input_name: str) -> Json:
        answer = self._check(await self._ask("GET", f"object_info/{_quoted(class_type)}"))
        try:
            return replies.input_config(answer.content, class_type, input_name)
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
    ) -> httpx.Response:
        content = None if json is None else msgspec.json.encode(json)
        headers = {} if json is None else {"Content-Type": "application/json"}
        try:
            answer = await self._client.request(
                method, path, content=content, headers=headers, files=files, timeout=patience or self._client.timeout
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise failure(self._name, error) from error
        self._check_way(answer)
        return answer

    def _check_way(self, answer: httpx.Response) -> None:
        """Whether it is the server that answers, and to us."""
        if answer.status_code in AWAY:
            raise ConnectionLost(f"{self._name} is away: a proxy answers {answer.status_code}")
        if answer.status_code in {401, 403, 407}:
            raise Refused(f"{self._name} wants other credentials: look at its headers in atelier.toml.")

    def _check(self, answer: httpx.Response) -> httpx.Response:
        self._check_way(answer)
        if answer.is_success:
            return answer
        code = answer.status_code
        if code == 413:
            raise Refused(f"The workflow is larger than {self._name} takes (100 MB, if it is set up as usual).")
        if code >= 500:
            # It may have done it all the same (measured, T19).
            raise Refused(f"{self._name} broke on this request ({code}): its own log says why.", certain=False)
        raise Refused(f"{self._name} answers {code}: is this address that of a ComfyUI?")

    def _read(self, answer: httpx.Response, shape: type[T]) -> T:
        self._check(answer)
        try:
            return decode(answer.content, msgspec.json.Decoder(shape))
        except msgspec.DecodeError as error:
            raise self._stranger(answer) from error

    def _understood(self, answer: httpx.Response, shape: type[object]) -> bool:
        try:
            decode(answer.content, msgspec.json.Decoder(shape))
        except msgspec.DecodeError:
            return False
        return True

    def _stranger(self, answer: httpx.Response) -> Refused:
        kind = answer.headers.get("content-type", "nothing known").partition(";")[0]
        return Refused(f"{self._name} answers, but is no ComfyUI: it sent {kind[:60]}. Check the address.")


def _quoted(part: str) -> str:
    """One part of a path: ids and class names may hold anything (measured, T05: an id with a slash)."""
    return quote(part, safe="")
