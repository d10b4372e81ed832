"""Fetching what people attach: from Discord alone, and no more than we take."""

from __future__ import annotations

from pathlib import Path

import httpx
from anyio import to_thread

from app.discord.intake import allowed, check_size, take_in
from app.discord.words import Picture
from app.workflows.slots import WorkflowError

PATIENCE = 20.0
"""Seconds that Discord's file servers get to answer, and between two pieces of a file."""


class Intake:
    """Owns the way to Discord's files; `rest_url` is where Discord is, if it is not the real one."""

    def __init__(self, client: httpx.AsyncClient, rest_url: str) -> None:
        self._client = client
        self._rest_url = rest_url

    async def take(self, picture: Picture, to: Path) -> Path:
        """Fetch a picture and keep it at `to` as a plain PNG. Raises `WorkflowError` with a sentence."""
        check(picture)
        if not allowed(picture.url, self._rest_url):
            raise WorkflowError("The picture does not come from Discord: attach it here.")
        data = bytearray()
        try:
            async with self._client.stream("GET", picture.url) as response:
                response.raise_for_status()
                async for piece in response.aiter_bytes():
                    data += piece
                    check_size(len(data))
        except httpx.HTTPError:
            raise WorkflowError("Discord does not give the picture out any more: attach it once more.") from None
        try:
            await to_thread.run_sync(_keep, bytes(data), to)
        except OSError as error:
            told = "The bot cannot keep the picture: tell whoever runs it to look at its disk"
            raise WorkflowError(f"{told} ({error.strerror}).") from error
        return to


def check(picture: Picture) -> None:
    """What can be said before anything is fetched. Raises `WorkflowError`."""
    check_size(picture.size)
    if picture.media_type and not picture.media_type.startswith("image/"):
        raise WorkflowError("This is no picture that can be used: attach a PNG, JPEG or WebP.")


def open_client() -> httpx.AsyncClient:
    """A client for Discord's files: it follows no redirect, which could lead inside our own network."""
    return httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False, limits=httpx.Limits(max_connections=8))


def _keep(data: bytes, to: Path) -> None:
    plain = take_in(data)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(plain)
