"""Lines on stdout: at once if the reader has room, and without holding up anything else if it has none."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper

import anyio
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

from app.cli.output.renderers import LineRenderer

FILLER = b"\0"


@contextmanager
def pipe() -> Generator[tuple[int, int]]:
    """The read end and the write end of a pipe that is stdout. Not a fixture: pytest sets stdout after these."""
    read, write = os.pipe()
    with pytest.MonkeyPatch.context() as patch, TextIOWrapper(os.fdopen(write, "wb", 0)) as stdout:
        patch.setattr("sys.stdout", stdout)
        yield read, write
    os.close(read)


def fill(write: int) -> int:
    """Fill a pipe; return the number of bytes."""
    size = 0
    os.set_blocking(write, False)
    try:
        while True:
            size += os.write(write, FILLER * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
        return size


def read_all(read: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(read, size - len(data))
    return data


async def test_a_line_is_written_at_once_if_the_reader_has_room() -> None:
    with pipe() as (read, _):
        saying = LineRenderer([]).announce("first")
        with pytest.raises(StopIteration):
            # It ends without giving the event loop a turn.
            saying.send(None)
        assert os.read(read, 100) == b"first\n"
    await checkpoint()


async def test_lines_without_room_wait_in_order_and_hold_up_nothing() -> None:
    with pipe() as (read, write):
        size = fill(write)
        renderer = LineRenderer([])
        async with anyio.create_task_group() as tasks:
            for line in ("first", "second"):
                tasks.start_soon(renderer.announce, line)
                await anyio.wait_all_tasks_blocked()
            assert (await to_thread.run_sync(read_all, read, size)).strip(FILLER) == b""
        assert os.read(read, 100) == b"first\nsecond\n"


async def test_a_line_longer_than_the_room_holds_up_nothing() -> None:
    line = "x" * 200_000
    with pipe() as (read, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(LineRenderer([]).announce, line)
            await anyio.wait_all_tasks_blocked()
            assert await to_thread.run_sync(read_all, read, len(line) + 1) == f"{line}\n".encode()
