"""Downloads what people attach: from Discord alone, and no more than is accepted."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import anyio
import httpx
import structlog
from anyio import CapacityLimiter, to_thread

from app.discord.files.attachment_rules import KINDS, allowed, check_size, fits, is_too_large
from app.media_worker.client import MediaClient
from app.media_worker.protocol import Refusal
from app.reasons.files import DiskFailed, FileUnrecognised, FileUnusable
from app.service.reasons import FileNotDownloaded, FilesArriving, NotFromDiscord
from app.service.requests import AttachedFile
from app.workflows.model import WorkflowError

logger = structlog.stdlib.get_logger(__name__)

PATIENCE = 20.0
"""Seconds that Discord's file servers have to answer, and between two pieces of a file."""

DEADLINE = 120.0
"""Seconds for a whole file: 64 MB at 5 Mbit a second."""

THREADS = 2
"""Threads that write downloads. They are separate from the journal's, which never waits for a file."""

WRITTEN_AT_ONCE = 2**20
"""Bytes kept in memory until they are written."""

MOST_OF_ONE = 10
"""Files of one person that may be downloading at once; Discord allows ten in a message."""

MOST_OF_ALL = 40
"""The same for everybody together: 2.5 GB on disk."""


class InputMedia:
    """Downloads attachments from Discord; `rest_url` is Discord's address, if it is not the real one.

    Files arrive in `folder`; the media worker then normalises them.
    """

    def __init__(self, client: httpx.AsyncClient, media: MediaClient, folder: Path, rest_url: str) -> None:
        self._client = client
        self._media = media
        self._folder = folder
        self._rest_url = rest_url
        self._threads = CapacityLimiter(THREADS)
        self._on_their_way: Counter[str] = Counter()

    async def take(self, file: AttachedFile, kind: str, to: Path, person: str) -> Path:
        """Download a person's file for a slot of this kind to `to`, with a suffix appended; return the final path.

        A picture becomes a plain PNG, anything else stays as it is. Raises `WorkflowError`.
        """
        check(file, kind)
        if not allowed(file.url, self._rest_url):
            raise WorkflowError(NotFromDiscord())
        with self._counted(person):
            arrived = self._folder / f"{to.name}.arrived"
            plain = self._folder / f"{to.name}.plain"
            try:
                await self._fetch(file.url, arrived, kind)
                suffix = await self._media.normalise(arrived, plain, KINDS[kind], person=person)
                return await to_thread.run_sync(_move, plain, to.with_name(f"{to.name}{suffix}"), limiter=self._threads)
            except Refusal as refusal:
                raise WorkflowError(FileUnusable(kind, refusal.reason)) from refusal
            except OSError as error:
                reason = FileUnusable(kind, DiskFailed(error.strerror or ""))
                logger.error("an attached file cannot be kept", reason=error.strerror)
                raise WorkflowError(reason) from error
            finally:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(_remove, arrived, plain, limiter=self._threads)

    async def _fetch(self, url: str, to: Path, kind: str) -> None:
        """Write a file as it arrives, and count its bytes. Raises `WorkflowError`, or `OSError` of the bot's disk."""
        size, writer = 0, _Writer(to, self._threads)
        # Uncompressed: a compressed response could expand a thousandfold.
        headers = {"Accept-Encoding": "identity"}
        try:
            with anyio.fail_after(DEADLINE):
                async with self._client.stream("GET", url, headers=headers) as response:
                    response.raise_for_status()
                    async for piece in response.aiter_raw():
                        size += len(piece)
                        if is_too_large(size):
                            # Closing ends the stream with an error; httpx cleans up badly when the loop is left early.
                            await response.aclose()
                        else:
                            await writer.write(piece)
                check_size(size, kind)
                await writer.flush()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            check_size(size, kind)
            raise WorkflowError(FileNotDownloaded()) from None

    @contextmanager
    def _counted(self, person: str) -> Generator[None]:
        """Refuse a file when one person, or all together, have too many in progress."""
        if self._on_their_way[person] >= MOST_OF_ONE or self._on_their_way.total() >= MOST_OF_ALL:
            raise WorkflowError(FilesArriving())
        self._on_their_way[person] += 1
        try:
            yield
        finally:
            self._on_their_way[person] -= 1
            if not self._on_their_way[person]:
                del self._on_their_way[person]


class _Writer:
    """Appends to a file in pieces large enough to be worth a call to a thread."""

    def __init__(self, path: Path, threads: CapacityLimiter) -> None:
        self._path = path
        self._threads = threads
        self._gathered = bytearray()
        self._started = False

    async def write(self, piece: bytes) -> None:
        """Buffer a piece, and write the buffer once it is large enough. Raises `OSError`."""
        self._gathered += piece
        if len(self._gathered) >= WRITTEN_AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Write the buffer; creates an empty file if there is nothing to write. Raises `OSError`."""
        data, self._gathered = bytes(self._gathered), bytearray()
        await to_thread.run_sync(_append, self._path, data, self._started, limiter=self._threads)
        self._started = True


def check(file: AttachedFile, kind: str) -> None:
    """Check what can be checked before the download. Raises `WorkflowError`."""
    check_size(file.size, kind)
    if not fits(kind, file.media_type):
        raise WorkflowError(FileUnusable(kind, FileUnrecognised()))


def open_client() -> httpx.AsyncClient:
    """An HTTP client for Discord's files; it follows no redirects, which could lead into the operator's own network."""
    limits = httpx.Limits(max_connections=8)
    return httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False, limits=limits, verify=_authorities())


@cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities that certifi lists. Loading them takes 30 ms, so it is done once."""
    return httpx.create_ssl_context()


def _append(path: Path, data: bytes, started: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab" if started else "wb") as file:
        file.write(data)


def _move(plain: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    return plain.replace(to)


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
