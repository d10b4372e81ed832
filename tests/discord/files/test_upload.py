"""Results become uploads: prepared by the media worker, as files, and only for as long as they are needed."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from PIL import Image

from app.discord.files.upload import AT_ONCE, UploadPreparer, clear
from app.discord.ui.components import Upload
from app.media_worker.client import MediaClient
from app.media_worker.mark import PACKET
from app.reasons.files import ResultDeleted, ResultNotPrepared, ResultReduced, ResultTooLargeToPost
from tests.elsewhere import Elsewhere
from tests.media_worker.processes import running
from tests.media_worker.samples import SECRET, gif, graph_png, noise

pytestmark = pytest.mark.anyio

LIMIT = 10 * 2**20


@asynccontextmanager
async def fitting(
    folder: Path, *, keep_metadata: bool = False, mark_results: bool = False
) -> AsyncGenerator[UploadPreparer]:
    async with running() as media:
        yield UploadPreparer(media, folder / "passing", keep_metadata=keep_metadata, mark_results=mark_results)
        assert left(folder) == [], "nothing is left behind"


def left(folder: Path) -> list[Path]:
    return list((folder / "passing").glob("*"))


def content(upload: Upload) -> bytes:
    data = Path(upload.path).read_bytes()
    assert upload.size == len(data)
    return data


async def test_results_are_files_without_the_graph_for_the_length_of_the_block(tmp_path: Path) -> None:
    picture = graph_png(tmp_path / "a b.PNG", noise())
    async with fitting(tmp_path) as fit, fit([str(picture), str(picture)], LIMIT, "ada") as (uploads, notes):
        assert [upload.name for upload in uploads] == ["a_b-1.png", "a_b-2.png"]
        assert not any(upload.data for upload in uploads)
        assert all(SECRET.encode() not in content(upload) for upload in uploads)
        assert {upload.dimensions for upload in uploads} == {(200, 160)}
        assert notes == []
    assert picture.exists()


async def test_results_that_only_another_disk_has_are_copied_first(tmp_path: Path) -> None:
    picture = graph_png(tmp_path / "a.png", noise())
    others = Elsewhere({str(tmp_path / "b.png"): picture.read_bytes()})
    async with running() as media:
        fit = UploadPreparer(media, tmp_path / "passing", keep_metadata=True, mark_results=False, others=others)
        async with fit([str(tmp_path / "b.png"), str(tmp_path / "gone.png")], LIMIT, "ada") as ((upload,), notes):
            assert content(upload) == picture.read_bytes()
            assert notes == [ResultDeleted()]


async def test_the_graph_stays_where_it_is_wanted(tmp_path: Path) -> None:
    picture = graph_png(tmp_path / "a.png", noise())
    async with fitting(tmp_path, keep_metadata=True) as fit, fit([str(picture)], LIMIT, "ada") as ((upload,), notes):
        assert SECRET.encode() in content(upload)
        assert notes == []


async def test_results_are_marked_and_those_on_the_disk_are_not(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    async with (
        fitting(tmp_path, mark_results=True) as fit,
        fit([str(tmp_path / "a.png")], LIMIT, "ada") as ((upload,), notes),
    ):
        assert PACKET in content(upload)
        assert (upload.name, notes) == ("a-1.png", [])
    assert (tmp_path / "a.png").read_bytes() == before


async def test_a_picture_that_cannot_be_marked_is_sent_and_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sounds and models are no pictures, so nobody misses the mark."""
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.glb").write_bytes(b"no picture either")
    files = [str(tmp_path / name) for name in ("a.png", "b.glb")]
    async with fitting(tmp_path, mark_results=True) as fit, fit(files, LIMIT, "ada") as (uploads, notes):
        assert [content(upload) for upload in uploads] == [b"no picture", b"no picture either"]
        assert notes == []
    logged = capsys.readouterr()
    assert (logged.out + logged.err).count("a result is posted without the mark") == 1


async def test_a_result_that_is_deleted_meanwhile_is_still_sent(tmp_path: Path) -> None:
    """What needs no change is not copied, so it would be gone."""
    noise().save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    async with fitting(tmp_path) as fit, fit([str(tmp_path / "a.png")], LIMIT, "ada") as ((upload,), _):
        os.remove(tmp_path / "a.png")  # noqa: PTH107 otherwise
        assert content(upload) == before


async def test_what_is_given_up_is_said(tmp_path: Path) -> None:
    picture = graph_png(tmp_path / "a.png", noise())
    async with fitting(tmp_path) as fit:
        async with fit([str(picture)], 40_000, "ada") as ((upload,), (note,)):
            assert upload.name == "a-1.webp"
            assert len(content(upload)) <= 40_000
            assert isinstance(note, ResultReduced)
            assert (note.quality < 100, note.scale) == (True, 1.0)
        async with fit([str(picture)], 9_000, "ada") as ((upload,), (note,)):
            assert isinstance(note, ResultReduced)
            assert note.scale < 1
            assert upload.dimensions == (200, 160), "the size as it was made, not as it is posted"


async def test_a_file_that_is_gone_or_never_fits_is_said_and_the_others_come(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF" * 100_000)
    (tmp_path / "b.gif").write_bytes(gif(1))
    files = [str(tmp_path / name) for name in ("nowhere.png", "a.glb", "b.gif")]
    async with fitting(tmp_path) as fit, fit(files, 100_000, "ada") as (uploads, notes):
        assert [upload.name for upload in uploads] == ["b-3.gif"]
        assert notes == [ResultDeleted(), ResultTooLargeToPost(400_000)]


async def test_without_a_media_worker_nothing_with_a_graph_is_sent(tmp_path: Path) -> None:
    media = MediaClient()
    async with anyio.create_task_group() as tasks:
        await tasks.start(media.run)
        tasks.cancel_scope.cancel()
    fit = UploadPreparer(media, tmp_path / "passing", keep_metadata=False, mark_results=True)
    picture = graph_png(tmp_path / "a.png", noise())
    async with fit([str(picture)], LIMIT, "ada") as (uploads, notes):
        assert uploads == []
        assert notes == [ResultNotPrepared()]


async def test_a_disk_without_room_is_said(tmp_path: Path) -> None:
    (tmp_path / "passing").write_bytes(b"a file where a folder should be")
    picture = graph_png(tmp_path / "a.png", noise())
    fit = UploadPreparer(MediaClient(), tmp_path / "passing", keep_metadata=False, mark_results=True)
    async with fit([str(picture)], LIMIT, "ada") as (uploads, notes):
        assert uploads == []
        assert notes == [ResultNotPrepared()]


@pytest.mark.slow
async def test_only_what_is_about_to_be_read_counts_against_the_memory_for_uploads(tmp_path: Path) -> None:
    """Two results of 40 MB that become small: together they would not fit, and one would wait for the other."""
    for name in ("a", "b"):
        Image.new("RGB", (4_000, 3_500)).save(tmp_path / f"{name}.bmp")
    a, b, limit = str(tmp_path / "a.bmp"), str(tmp_path / "b.bmp"), AT_ONCE - 30_000_000
    async with (
        fitting(tmp_path) as fit,
        fit([a], limit, "ada") as ((first,), _),
        fit([b], limit, "grace") as ((second,), _),
    ):
        assert first.size + second.size < 2_000_000


async def test_what_an_earlier_life_left_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "passing" / "old").mkdir(parents=True)
    clear(tmp_path / "passing")
    clear(tmp_path / "passing")
    assert left(tmp_path) == []
