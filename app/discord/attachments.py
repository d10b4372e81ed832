"""Fetching what people attach: from Discord alone, and no more than we take."""

from __future__ import annotations

from pathlib import Path

import httpx
from anyio import to_thread

from app.discord.intake import UNUSABLE, allowed, check_size, fits, recognise, take_in
from app.discord.words import Attached
from app.workflows.slots import WorkflowError

PATIENCE = 20.0
"""Seconds that Discord's file servers get to answer, and between two pieces of a file."""


class Intake:
    """Owns the way to Discord's files; `rest_url` is where Discord is, if it is not the real one."""

    def __init__(self, client: httpx.AsyncClient, rest_url: str) -> None:
        self._client = client
        self._rest_url = rest_url

    async def take(self, file: Attached, kind: str, to: Path) -> Path:
        """Fetch a file for a slot of this kind, and keep it at `to` with an ending of its own; where it lies.

        A picture becomes a plain PNG, anything else stays as it is. Raises `WorkflowError` with a sentence.
        """
        check(file, kind)
        if not allowed(file.url, self._rest_url):
            raise WorkflowError("The file does not come from Discord: attach it here.")
        data = bytearray()
        try:
            async with self._client.stream("GET", file.url) as response:
                response.raise_for_status()
                async for piece in response.aiter_bytes():
                    data += piece
                    check_size(len(data))
        except httpx.HTTPError:
            raise WorkflowError("Discord does not give the file out any more: attach it once more.") from None
        try:
            return await to_thread.run_sync(_keep, bytes(data), kind, to)
        except OSError as error:
            told = "The bot cannot keep the file: tell whoever runs it to look at its disk"
            raise WorkflowError(f"{told} ({error.strerror}).") from error


def check(file: Attached, kind: str) -> None:
    """What can be said before anything is fetched. Raises `WorkflowError`."""
    check_size(file.size)
    if not fits(kind, file.media_type):
        raise WorkflowError(UNUSABLE[kind])


def open_client() -> httpx.AsyncClient:
    """A client for Discord's files: it follows no redirect, which could lead inside our own network."""
    return httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False, limits=httpx.Limits(max_connections=8))


def _keep(data: bytes, kind: str, to: Path) -> Path:
    suffix, plain = (".png", take_in(data)) if kind == "image" else (recognise(data, kind), data)
    whole = to.with_name(f"{to.name}{suffix}")
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes(plain)
    return whole
