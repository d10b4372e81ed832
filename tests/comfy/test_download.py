"""A stream of bytes on its way to the disk."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import pytest

from app.comfy.download import CHUNK, ROOM, save
from tests.conftest import virtual

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Thread:
    """Runs what would run in another thread, and counts how often that is entered."""

    def __init__(self) -> None:
        self.entered = 0

    async def run_sync(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        self.entered += 1
        return function(*args)


async def pieces(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield bytes(size)


async def test_a_picture_enters_the_other_thread_once_even_if_its_folder_is_new(tmp_path: Path) -> None:
    thread, path = Thread(), tmp_path / "new" / "folder" / "a.png"
    await save(pieces(100, 200), path, thread.run_sync, expected=300)
    assert thread.entered == 1
    assert path.read_bytes() == bytes(300)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


async def test_a_video_is_written_in_chunks(tmp_path: Path) -> None:
    thread, path = Thread(), tmp_path / "a.mp4"
    await save(pieces(CHUNK, CHUNK, 1), path, thread.run_sync)
    assert path.stat().st_size == 2 * CHUNK + 1
    assert thread.entered == 3


async def test_without_room_nothing_is_left_even_if_the_folder_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = shutil.disk_usage(tmp_path)._replace(free=ROOM + 99)
    real = shutil.disk_usage

    def usage(path: Path) -> object:
        real(path)
        return little

    monkeypatch.setattr("shutil.disk_usage", usage)
    path = tmp_path / "new" / "a.png"
    with pytest.raises(OSError, match="No space left"):
        await save(pieces(100), path, Thread().run_sync, expected=100)
    assert not path.parent.exists()
    await save(pieces(99), path, Thread().run_sync, expected=99)
    assert path.stat().st_size == 99
