"""What people attach is checked before it is decoded, and reaches a server as a plain picture."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from app.discord.intake import MOST_BYTES, SRGB, allowed, check_size, recognise, take_in
from app.workflows.slots import WorkflowError


def _file(picture: Image.Image, kind: str, **options: object) -> bytes:
    made = io.BytesIO()
    picture.save(made, kind, **options)  # pyright: ignore[reportArgumentType]
    return made.getvalue()


def _read(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_a_plain_one(mode: str) -> None:
    kind = "TIFF" if mode in {"CMYK", "I;16"} else "PNG"
    taken = _read(take_in(_file(Image.new(mode, (30, 20)), kind)))
    assert (taken.format, taken.mode, taken.size) == ("PNG", "RGB", (30, 20))


def test_what_is_transparent_stays_so() -> None:
    taken = _read(take_in(_file(Image.new("RGBA", (3, 2), (9, 8, 7, 100)), "WEBP", lossless=True)))
    assert taken.getpixel((0, 0)) == (9, 8, 7, 100)


def test_a_photo_that_lies_on_its_side_is_set_upright_and_tells_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "whose camera it was"
    taken = take_in(_file(Image.new("RGB", (40, 20)), "JPEG", exif=exif))
    assert _read(taken).size == (20, 40)
    assert b"camera" not in taken
    assert not _read(taken).getexif()


def test_colours_are_those_that_the_profile_means() -> None:
    profile = SRGB.tobytes()
    assert _read(take_in(_file(Image.new("RGB", (4, 4), "red"), "PNG", icc_profile=profile))).size == (4, 4)
    broken = _file(Image.new("RGB", (4, 4), "red"), "PNG", icc_profile=b"no profile")
    assert _read(take_in(broken)).getpixel((0, 0)) == (255, 0, 0)


BLACK = Image.new("RGB", (4, 4))


def _claiming(width: int, height: int) -> bytes:
    """A PNG that says it is that large, and has nothing inside."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"GIF89a but no", "no picture"),
        (b"", "no picture"),
        (b"%PDF-1.7", "no picture"),
        (_claiming(20_000, 20_000), "pixels"),
        (_claiming(9_000, 9_000), "9000 × 9000 pixels"),
        (_claiming(100, 100), "damaged"),
        (_file(Image.effect_mandelbrot((200, 200), (-2, -2, 2, 2), 50), "PNG")[:900], "damaged"),
        (
            _file(Image.new("RGB", (4, 4)), "GIF", save_all=True, append_images=[Image.new("RGB", (4, 4), "red")]),
            "moves",
        ),
    ],
    ids=["half a gif", "nothing", "a document", "400 million pixels", "81 million", "empty", "cut off", "animated"],
)
def test_what_cannot_be_used_is_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(WorkflowError, match=sentence):
        take_in(data)


def test_too_many_bytes_are_refused_unseen() -> None:
    with pytest.raises(WorkflowError, match="30 MB"):
        check_size(30 * 2**20)
    check_size(MOST_BYTES)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://cdn.discordapp.com/attachments/1/2/a.png?ex=1", True),
        ("https://media.discordapp.net/a.png", True),
        ("http://cdn.discordapp.com/a.png", False),
        ("https://cdn.discordapp.com.evil.example/a.png", False),
        ("https://evil.example/cdn.discordapp.com", False),
        ("https://cdn.discordapp.com@evil.example/a.png", False),
        ("https://cdn.discordapp.com:8443/a.png", False),
        ("https://cdn.discordapp.com:nonsense/a.png", False),
        ("http://127.0.0.1:8000/cdn/a.png", True),
        ("http://127.0.0.1:8001/cdn/a.png", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_attachments_come_only_from_discord(url: str, may: bool) -> None:
    assert allowed(url, "http://127.0.0.1:8000/api/v10") is may
    if "127.0.0.1" in url:
        assert not allowed(url)


@pytest.mark.parametrize(
    ("kind", "data", "suffix"),
    [
        ("video", b"\0\0\0\x20ftypisom", ".mp4"),
        ("video", b"\x1a\x45\xdf\xa3rest", ".webm"),
        ("audio", b"ID3\x04rest", ".mp3"),
        ("audio", b"RIFF\0\0\0\0WAVEfmt ", ".wav"),
        ("audio", b"fLaC", ".flac"),
    ],
)
def test_videos_and_sounds_are_known_by_how_they_begin(kind: str, data: bytes, suffix: str) -> None:
    assert recognise(data, kind) == suffix
    with pytest.raises(WorkflowError, match="that can be used: attach"):
        recognise(b"#!/bin/sh\n", kind)
