"""What is known of the files of a result by looking at the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from app.retention.files import thumbnail_path
from app.service.results.files import ResultFile, look_at


def test_a_picture_has_its_true_size_and_what_is_gone_has_none(tmp_path: Path) -> None:
    picture, song, gone = tmp_path / "a.PNG", tmp_path / "b.mp3", tmp_path / "c.mp4"
    Image.new("RGB", (64, 48)).save(picture)
    thumbnail_path(str(picture)).write_bytes(b"small")
    song.write_bytes(b"sound")
    assert look_at([str(picture), str(song), str(gone)]) == [
        ResultFile(kind="picture", suffix=".png", size=picture.stat().st_size, width=64, height=48, has_thumbnail=True),
        ResultFile(kind="audio", suffix=".mp3", size=5, width=0, height=0, has_thumbnail=False),
        ResultFile(kind="video", suffix=".mp4", size=None, width=0, height=0, has_thumbnail=False),
    ]


@pytest.mark.parametrize("name", ["", "folder", "a\0b"])
def test_what_is_no_file_is_as_if_it_was_deleted(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (file,) = look_at([f"{tmp_path}/{name}"])
    assert (file.size, file.width, file.has_thumbnail) == (None, 0, False)
