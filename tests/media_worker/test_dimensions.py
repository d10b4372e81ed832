"""The size that a file states is read from its headers."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from app.media_worker import mark
from app.media_worker.dimensions import read_dimensions
from app.media_worker.protocol import LARGEST_SIDE
from tests.media_worker.fuzz import CORPUS
from tests.media_worker.samples import claiming, claiming_webp, encoded, exif, gif, noise
from tests.media_worker.test_mark import box, film

PICTURE = noise((40, 30))


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


def track_header(version: int, width: int, height: int) -> bytes:
    """A `tkhd` box: the times and the duration of version 1 are twice as long."""
    before = 76 if version == 0 else 88
    return box(b"tkhd", bytes([version]) + bytes(before - 1) + struct.pack(">II", width << 16, height << 16))


@pytest.mark.parametrize(
    "data",
    [
        encoded(PICTURE, "PNG"),
        encoded(PICTURE, "JPEG"),
        encoded(PICTURE, "JPEG", progressive=True, exif=exif()),
        encoded(PICTURE, "WEBP", quality=80),
        encoded(PICTURE, "WEBP", lossless=True),
        encoded(PICTURE, "WEBP", lossless=True, xmp=mark.PACKET),
        encoded(noise((40, 30), "RGBA"), "WEBP", quality=80),
        gif(3, (40, 30)),
        box(
            b"moov",
            box(b"mvhd", bytes(8)) + box(b"trak", track_header(1, 0, 0)) + box(b"trak", track_header(1, 40, 30)),
        ),
        box(b"moov", box(b"trak", box(b"edts", b"") + track_header(0, 40, 30))),
    ],
    ids=["png", "jpeg", "progressive jpeg", "vp8", "vp8l", "vp8x", "alpha", "gif", "mp4 version 1", "mp4 version 0"],
)
def test_the_width_and_height_of_a_file_are_read(tmp_path: Path, data: bytes) -> None:
    if data[4:8] == b"moov":
        data = box(b"ftyp", b"isom" + bytes(4)) + data
    assert read_dimensions(saved(tmp_path, data)) == (40, 30)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_the_size_of_a_real_video_is_read(tmp_path: Path, suffix: str) -> None:
    assert read_dimensions(saved(tmp_path, film(suffix))) == (64, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"\x89PNG\r\n\x1a\n",
        claiming(0, 5),
        claiming(LARGEST_SIDE + 1, 5),
        encoded(PICTURE, "BMP"),
        gif(1)[:8],
    ],
    ids=["empty", "text", "no header", "zero", "too large", "other kind", "cut off"],
)
def test_the_size_of_a_file_without_a_usable_one_is_unknown(tmp_path: Path, data: bytes) -> None:
    assert read_dimensions(saved(tmp_path, data)) is None


def test_the_largest_size_is_passed_on(tmp_path: Path) -> None:
    assert read_dimensions(saved(tmp_path, claiming(LARGEST_SIDE, 1))) == (LARGEST_SIDE, 1)
    assert read_dimensions(saved(tmp_path, claiming_webp(16_384, 7))) == (16_384, 7)


@pytest.mark.parametrize("sample", sorted(path.name for path in CORPUS.iterdir() if path.is_file()))
def test_no_file_that_was_cut_off_or_changed_breaks_the_reader(tmp_path: Path, sample: str) -> None:
    data = (CORPUS / sample).read_bytes()[:4096]
    for end in range(0, len(data), 97):
        read_dimensions(saved(tmp_path, data[:end]))
        read_dimensions(saved(tmp_path, data[:end] + b"\xff" * 16 + data[end + 16 :]))


def test_a_file_that_does_not_exist_has_no_size(tmp_path: Path) -> None:
    assert read_dimensions(tmp_path / "missing") is None
