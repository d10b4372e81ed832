"""Small versions of pictures, in memory: for messages that are edited often, and beside larger pictures."""

from __future__ import annotations

import anyio
from msgspec.structs import replace

from app.discord.messages.ports import PrepareFiles
from app.discord.ui.components import Upload

SMALL = 100_000
"""Bytes of a small picture: each edit of its message sends it."""


async def small_versions(
    prepare_files: PrepareFiles, file: str, person: str, *, made: bool = True
) -> tuple[Upload, ...]:
    """A small version of a person's picture; empty if there is none, or if it cannot be made small.

    If not `made`, it is a picture that the person sent.
    """
    async with prepare_files([file], SMALL, person, made=made) as (uploads, _):
        return tuple([await _in_memory(upload) for upload in uploads])


async def _in_memory(upload: Upload) -> Upload:
    """An upload that does not depend on a file."""
    if not upload.path:
        return upload
    return replace(upload, path="", data=await anyio.Path(upload.path).read_bytes())
