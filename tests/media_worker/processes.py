"""Real media workers for tests."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from app.media_worker.client import MediaClient
from app.media_worker.limits import PICTURES, VIDEOS, Limits
from app.media_worker.protocol import Kind, Refusal
from app.reasons.jobs import kind_of

T = TypeVar("T")

ENOUGH = 60.0
"""Seconds for anything that a test waits for: far more than it takes."""

on_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


@asynccontextmanager
async def running(
    pictures: Limits = PICTURES, videos: Limits = VIDEOS, idle: float = ENOUGH
) -> AsyncGenerator[MediaClient]:
    """A client whose processes end with the block."""
    client = MediaClient(pictures, videos, idle)
    with anyio.fail_after(5 * ENOUGH):
        async with anyio.create_task_group() as tasks:
            await tasks.start(client.run)
            yield client
            tasks.cancel_scope.cancel()


async def outcome(client: MediaClient, source: Path, person: str = "ada", kind: Kind = "image") -> str:
    """The ending of the plain file, or why there is none."""
    try:
        return await client.normalise(source, source.with_name(f"{source.name}.{person}.plain"), kind, person=person)
    except Refusal as refusal:
        return kind_of(refusal.reason)


async def until(predicate: Callable[[], T | None]) -> T:
    """Wait for something that only another process can bring about; what the predicate returns then."""
    with anyio.fail_after(ENOUGH):
        while not (found := predicate()):  # noqa: ASYNC110  nothing in this process announces it
            await anyio.sleep(0.005)
    return found


def peak(pid: int) -> float:
    """The most memory that a process has had resident, in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 10**6


def environment(pid: int) -> bytes:
    """What a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def command_line(pid: int) -> list[bytes]:
    """The arguments that a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")


def endless(path: Path) -> Path:
    """A file on which a worker hangs for ever: a pipe into which nobody writes."""
    os.mkfifo(path)
    return path
