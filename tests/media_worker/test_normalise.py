"""What people attach becomes a plain picture, or is refused with a reason."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from app.media_worker import normalise as module
from app.media_worker.limits import MOST_BYTES, MOST_FRAMES
from app.media_worker.normalise import SRGB, normalise
from app.media_worker.protocol import Kind, Redirection, Refusal
from app.reasons import Reason
from app.reasons.files import (
    DiskFailed,
    FileAnimated,
    FileDamaged,
    FileReason,
    FileUnrecognised,
    TooManyFrames,
    TooManyPixels,
)
from tests.media_worker.fuzz import CORPUS, check
from tests.media_worker.samples import claiming, claiming_webp, encoded, exif, gif, noise

BLACK = Image.new("RGB", (4, 4))


def taken(data: bytes, folder: Path, kind: Kind = "image") -> bytes:
    (folder / "source").write_bytes(data)
    normalise(folder / "source", folder / "target", kind)
    return (folder / "target").read_bytes()


def picture(data: bytes, folder: Path) -> Image.Image:
    made = Image.open(io.BytesIO(taken(data, folder)))
    made.load()
    return made


def refusal(data: bytes, folder: Path, kind: Kind = "image") -> FileReason:
    with pytest.raises(Refusal) as caught:
        taken(data, folder, kind)
    return caught.value.reason


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_a_plain_one(mode: str, tmp_path: Path) -> None:
    kind = "TIFF" if mode in {"CMYK", "I;16"} else "PNG"
    made = picture(encoded(Image.new(mode, (30, 20)), kind), tmp_path)
    assert (made.format, made.mode, made.size) == ("PNG", "RGB", (30, 20))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_is_accepted(kind: str, tmp_path: Path) -> None:
    made = picture(encoded(noise((32, 20)), kind), tmp_path)
    assert (made.format, made.mode, made.size) == ("PNG", "RGB", (32, 20))


def test_a_transparent_picture_stays_transparent(tmp_path: Path) -> None:
    made = picture(encoded(Image.new("RGBA", (3, 2), (9, 8, 7, 100)), "WEBP", lossless=True), tmp_path)
    assert made.getpixel((0, 0)) == (9, 8, 7, 100)


def test_a_photo_on_its_side_becomes_upright_and_loses_its_metadata(tmp_path: Path) -> None:
    data = taken(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif("whose camera", 6)), tmp_path)
    made = Image.open(io.BytesIO(data))
    assert made.size == (20, 40)
    assert b"camera" not in data
    assert not made.getexif()


def test_colours_are_those_of_the_profile_and_a_broken_profile_is_ignored(tmp_path: Path) -> None:
    red = Image.new("RGB", (4, 4), "red")
    assert picture(encoded(red, "PNG", icc_profile=SRGB.tobytes()), tmp_path).size == (4, 4)
    assert picture(encoded(red, "PNG", icc_profile=b"no profile"), tmp_path).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GIF89a but no", FileUnrecognised),
        (b"", FileUnrecognised),
        (b"%PDF-1.7", FileUnrecognised),
        (claiming(20_000, 20_000), TooManyPixels),
        (claiming(8_192, 8_192), TooManyPixels),
        (claiming(8_001, 5_000), TooManyPixels),
        (claiming_webp(16_000, 16_000), TooManyPixels),
        (encoded(BLACK, "WEBP", lossless=True)[:20], FileUnrecognised),
        (claiming(100, 100), FileDamaged),
        (encoded(noise(), "PNG")[:900], FileDamaged),
        (encoded(noise(), "JPEG")[:900], FileDamaged),
        (gif(2), FileAnimated),
        (encoded(BLACK, "WEBP", save_all=True, append_images=[noise((4, 4))]), FileAnimated),
        (encoded(BLACK, "PNG", save_all=True, append_images=[noise((4, 4))]), FileAnimated),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_with_a_reason(
    data: bytes, reason: type[Reason], tmp_path: Path
) -> None:
    assert isinstance(refusal(data, tmp_path), reason)


def test_forty_megapixels_are_accepted_by_the_header(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(claiming(8_000, 5_000))
    with pytest.raises(Redirection, match="heavy"):
        normalise(tmp_path / "source", tmp_path / "target", "image", lane="light")


def test_a_large_picture_is_not_decoded_in_the_lane_of_quick_ones(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(encoded(Image.new("1", (2_001, 2_000)), "PNG"))
    with pytest.raises(Redirection, match="heavy"):
        normalise(tmp_path / "source", tmp_path / "target", "image", lane="light")
    assert normalise(tmp_path / "source", tmp_path / "target", "image", lane="heavy") == ".png"


def test_a_format_whose_decoder_takes_more_memory_has_a_lower_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.MOST_PIXELS_OF, "WEBP", 99)
    assert refusal(encoded(Image.new("RGB", (10, 10)), "WEBP"), tmp_path) == TooManyPixels(99, "WEBP")
    monkeypatch.setattr(module, "COPIES", 999)
    large = encoded(noise((10, 10)), "JPEG", progressive=True, subsampling=0)
    assert refusal(large, tmp_path) == TooManyPixels(99, "JPEG")
    assert picture(encoded(noise((10, 10)), "JPEG", progressive=True, subsampling=2), tmp_path).size == (10, 10)


@pytest.mark.parametrize("name", sorted(path.name for path in (CORPUS / "damaged").iterdir()))
def test_a_file_whose_decoder_raises_something_unusual_is_refused_or_accepted(name: str, tmp_path: Path) -> None:
    """Each is named after what Pillow raises: `TypeError`, `IndexError`, `struct.error` and so on.

    Damaged Exif data is no reason to refuse the picture.
    """
    outcome = check(name, (CORPUS / "damaged" / name).read_bytes(), normalise, tmp_path)
    assert outcome in {"FileDamaged", "FileUnrecognised", "taken"}


def test_more_bytes_than_the_limit_are_refused_unread(tmp_path: Path) -> None:
    for kind in ("image", "video", "audio"):
        with (tmp_path / "source").open("wb") as file:
            file.truncate(MOST_BYTES + 1)
        with pytest.raises(Refusal, match="TooManyBytes"):
            normalise(tmp_path / "source", tmp_path / "target", kind)


def test_a_gif_as_a_video_has_a_limit_of_frames(tmp_path: Path) -> None:
    accepted = gif(MOST_FRAMES)
    assert taken(accepted, tmp_path, "video") == accepted
    assert refusal(gif(MOST_FRAMES + 1), tmp_path, "video") == TooManyFrames(MOST_FRAMES)


@pytest.mark.parametrize(
    ("kind", "data", "suffix"),
    [
        ("video", b"\0\0\0\x20ftypisom", ".mp4"),
        ("video", b"\x1a\x45\xdf\xa3rest", ".webm"),
        ("audio", b"ID3\x04rest", ".mp3"),
        ("audio", b"\xff\xfbrest", ".mp3"),
        ("audio", b"RIFF\0\0\0\0WAVEfmt ", ".wav"),
        ("audio", b"fLaC", ".flac"),
        ("audio", b"OggS", ".ogg"),
    ],
)
def test_videos_and_sounds_are_recognised_by_their_first_bytes(
    kind: Kind, data: bytes, suffix: str, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(data)
    assert normalise(tmp_path / "source", tmp_path / "target", kind) == suffix
    assert (tmp_path / "target").read_bytes() == data
    assert refusal(b"#!/bin/sh\n", tmp_path, kind) == FileUnrecognised()


def test_a_full_disk_is_not_a_damaged_picture(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(encoded(noise(), "PNG"))
    with pytest.raises(Refusal) as caught:
        normalise(tmp_path / "source", Path("/dev/full") if os.path.exists("/dev/full") else tmp_path, "image")  # noqa: PTH110
    assert isinstance(caught.value.reason, DiskFailed)
