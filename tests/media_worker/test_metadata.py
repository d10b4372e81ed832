"""Metadata goes out of files, and nothing else does."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from app.media_worker import metadata, pieces
from app.media_worker.containers import XMP_BOX
from app.media_worker.pieces import Keep, View
from app.simulator.media import flac, mp3
from tests.media_worker.fuzz import CORPUS
from tests.media_worker.samples import SECRET, exif, graph_png, noise, png_chunk


def stripped(data: bytes, folder: Path) -> bytes:
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    with source.open("rb") as file:
        found = metadata.plan(View(file, [Keep(0, len(data))]))
    pieces.write(source, target, found)
    made = target.read_bytes()
    assert len(made) == pieces.size_of(found)
    return made


def chunks(data: bytes) -> list[bytes]:
    """The kinds of the chunks of a PNG."""
    kinds: list[bytes] = []
    at = 8
    while at < len(data):
        kinds.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4])
    return kinds


def test_every_chunk_of_text_leaves_a_png_and_every_other_stays(tmp_path: Path) -> None:
    """Compressed text (zTXt) does not show the secret in the bytes, so the kinds are compared as well."""
    before = graph_png(tmp_path / "a.png", noise()).read_bytes()
    assert {b"tEXt", b"zTXt", b"iTXt", b"eXIf"} <= set(chunks(before))
    after = stripped(before, tmp_path)
    assert chunks(after) == [kind for kind in chunks(before) if kind in {b"IHDR", b"IDAT", b"IEND"}]
    assert SECRET.encode() not in after
    with Image.open(io.BytesIO(after)) as picture:
        picture.load()
        assert not picture.info
        assert picture.tobytes() == noise().tobytes()


def test_what_follows_the_end_of_a_png_goes(tmp_path: Path) -> None:
    data = graph_png(tmp_path / "a.png", noise()).read_bytes()
    assert SECRET.encode() not in stripped(data + SECRET.encode(), tmp_path)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_a_png_that_was_cut_off_within_its_text_loses_it(kind: bytes, tmp_path: Path) -> None:
    head = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(13))
    assert stripped(head + png_chunk(kind, b"workflow\0" + SECRET.encode())[:-6], tmp_path) == head


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_exif_goes_and_the_picture_stays(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    noise().save(path, exif=exif(), quality=90)
    with Image.open(path) as picture:
        before = picture.convert("RGB").tobytes()
    after = stripped(path.read_bytes(), tmp_path)
    assert SECRET.encode() not in after
    with Image.open(io.BytesIO(after)) as picture:
        assert picture.convert("RGB").tobytes() == before
        assert not picture.getexif()


def test_comments_leave_a_jpeg_and_its_colour_profile_stays(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg", comment=SECRET, icc_profile=b"colours")
    after = stripped((tmp_path / "a.jpg").read_bytes(), tmp_path)
    assert SECRET.encode() not in after
    assert b"colours" in after


def test_fill_bytes_before_a_marker_do_not_save_a_comment(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg", comment=SECRET)
    data = (tmp_path / "a.jpg").read_bytes()
    filled = data.replace(b"\xff\xfe", b"\xff\xff\xff\xfe", 1)
    assert len(filled) == len(data) + 2
    assert SECRET.encode() not in stripped(filled, tmp_path)


def test_an_animation_keeps_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    noise().save(path, save_all=True, append_images=[noise().rotate(90)], exif=exif())
    assert SECRET.encode() in path.read_bytes()
    after = stripped(path.read_bytes(), tmp_path)
    assert SECRET.encode() not in after
    with Image.open(io.BytesIO(after)) as picture:
        assert getattr(picture, "n_frames", 1) == 2


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def test_tags_of_films_become_nothing_and_no_address_moves(tmp_path: Path) -> None:
    moov = box(b"moov", box(b"trak", box(b"tkhd", b"t" * 20)) + box(b"udta", SECRET.encode()))
    film = box(b"ftyp", b"isom") + moov + box(b"mdat", b"frames")
    after = stripped(film, tmp_path)
    assert SECRET.encode() not in after
    assert after.index(b"frames") == film.index(b"frames")
    assert len(after) == len(film)
    large = struct.pack(">I4sQ", 1, b"meta", 16 + len(SECRET)) + SECRET.encode()
    after = stripped(box(b"ftyp", b"isom") + large + box(b"mdat", b"frames"), tmp_path)
    assert after == box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"free", 16 + len(SECRET)) + bytes(
        len(SECRET)
    ) + box(b"mdat", b"frames")
    tags = b"\x12\x54\xc3\x67" + bytes([0x40, len(SECRET)]) + SECRET.encode()
    live = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + tags + b"\x1f\x43\xb6\x75\x83abc"
    after = stripped(live, tmp_path)
    assert SECRET.encode() not in after
    assert after.endswith(b"abc")
    assert len(after) == len(live)


def test_xmp_leaves_a_film(tmp_path: Path) -> None:
    film = box(b"ftyp", b"isom") + box(b"uuid", XMP_BOX + SECRET.encode()) + box(b"mdat", b"frames")
    after = stripped(film, tmp_path)
    assert SECRET.encode() not in after
    assert after.index(b"frames") == film.index(b"frames")
    other = box(b"ftyp", b"isom") + box(b"uuid", bytes(16) + b"kept")
    assert stripped(other, tmp_path) == other


def test_an_avif_keeps_the_box_without_which_it_is_no_picture(tmp_path: Path) -> None:
    data = (CORPUS / "rgb.avif").read_bytes()
    assert b"meta" in data
    assert stripped(data, tmp_path) == data


def test_comments_leave_a_flac_and_its_sound_stays(tmp_path: Path) -> None:
    sound = flac.encode(0.1)
    info, frames = sound[4:42], sound[42:]
    assert info[0] == 0x80, "the only block"
    comment = SECRET.encode()
    with_comment = b"fLaC" + bytes([0]) + info[1:] + bytes([0x84]) + len(comment).to_bytes(3) + comment + frames
    assert stripped(with_comment, tmp_path) == sound
    first = b"fLaC" + bytes([4]) + len(comment).to_bytes(3) + comment + info + frames
    assert stripped(first, tmp_path) == sound


def test_tags_leave_an_mp3_at_both_ends(tmp_path: Path) -> None:
    sound = mp3.encode(0.1)
    if sound.startswith(b"ID3"):
        sound = stripped(sound, tmp_path)
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 2]) + SECRET.encode().ljust(130, b"\0")
    old = b"TAG" + SECRET.encode().ljust(125, b"\0")
    assert stripped(tag + sound + old, tmp_path) == sound


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8",
        b"RIFF....WEBP",
        b"....ftyp",
        b"\x1a\x45\xdf\xa3",
        b"fLaC",
        b"ID3",
        b"glTF",
        b"",
    ],
)
def test_a_file_that_cannot_be_followed_keeps_its_bytes(beginning: bytes, tmp_path: Path) -> None:
    broken = beginning + b"\x00\x01garbage that ends in the mid"
    assert len(stripped(broken, tmp_path)) <= len(broken)
    assert stripped(beginning, tmp_path)[:2] == beginning[:2]


def test_a_large_file_is_copied_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "COPIED_AT_ONCE", 7)
    data = graph_png(tmp_path / "a.png", noise()).read_bytes()
    with Image.open(io.BytesIO(stripped(data, tmp_path))) as picture:
        assert picture.tobytes() == noise().tobytes()
