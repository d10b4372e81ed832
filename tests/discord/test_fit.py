"""What is too large is made to fit, and nobody gets the graph who should not."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.discord.fit import fit
from app.discord.strip import strip

SECRET = "the whole graph"


def _noise(size: tuple[int, int] = (200, 160), mode: str = "RGB") -> Image.Image:
    data = random.Random(1).randbytes(size[0] * size[1] * len(mode))
    return Image.frombytes(mode, size, data)


def _png(path: Path, picture: Image.Image) -> Path:
    info = PngInfo()
    info.add_text("prompt", SECRET)
    info.add_itxt("workflow", SECRET, zip=False)
    picture.save(path, pnginfo=info, exif=_exif())
    return path


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = f"workflow:{SECRET}"
    return exif


def _same(one: bytes, other: Image.Image) -> bool:
    with Image.open(io.BytesIO(one)) as picture:
        return picture.convert("RGBA").tobytes() == other.convert("RGBA").tobytes()


def test_a_png_that_fits_stays_as_it_is_without_the_graph(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.PNG", _noise())
    found = fit(path, 10**7)
    assert found is not None
    assert (found.rung, found.suffix, found.note) == (0, ".png", "")
    assert SECRET.encode() in path.read_bytes()
    assert SECRET.encode() not in found.data
    assert _same(found.data, _noise())


def test_the_graph_stays_where_it_is_wanted(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", _noise())
    found = fit(path, 10**7, keep_metadata=True)
    assert found is not None
    assert found.data == path.read_bytes()


def test_the_ladder_goes_down_by_quality_before_size(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", _noise())
    sizes = [len(found.data) for start in range(1, 9) if (found := fit(path, 10**7, start=start))]
    assert sizes[1:] == sorted(sizes[1:], reverse=True)
    lossless = fit(path, 10**7, start=1)
    assert lossless is not None
    assert _same(lossless.data, _noise())
    small = fit(path, 9_000)
    assert small is not None
    assert len(small.data) <= 9_000
    assert "of its size" in small.note
    assert fit(path, 10) is None


def test_a_second_try_goes_on_below_the_first(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", _noise())
    first = fit(path, 60_000)
    assert first is not None
    second = fit(path, 60_000, start=first.rung + 1)
    assert second is not None
    assert second.rung > first.rung


def test_what_is_transparent_stays_so(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", _noise(mode="RGBA"))
    found = fit(path, 10**7, start=2)
    assert found is not None
    with Image.open(io.BytesIO(found.data)) as picture:
        assert picture.mode == "RGBA"


def test_a_film_that_is_far_too_large_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        file.truncate(2**30)

    def never(self: Path) -> bytes:
        raise AssertionError(self)

    monkeypatch.setattr(Path, "read_bytes", never)
    assert fit(film, 10 * 2**20) is None


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_what_moves_goes_on_moving(suffix: str, tmp_path: Path) -> None:
    frames = [_noise((120, 90)).rotate(90 * turn) for turn in range(4)]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80, loop=0)
    found = fit(path, path.stat().st_size // 3)
    assert found is not None
    with Image.open(io.BytesIO(found.data)) as picture:
        assert getattr(picture, "n_frames", 1) == 4
    assert len(found.data) <= path.stat().st_size // 3


def test_a_file_of_another_kind_fits_or_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.glb"
    path.write_bytes(b"glTF" * 100)
    found = fit(path, 400)
    assert found is not None
    assert found.data == path.read_bytes()
    assert fit(path, 399) is None


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_exif_goes_and_the_picture_stays(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    _noise().save(path, exif=_exif(), quality=90)
    with Image.open(path) as picture:
        before = picture.convert("RGB").tobytes()
    stripped = strip(path.read_bytes())
    assert SECRET.encode() not in stripped
    with Image.open(io.BytesIO(stripped)) as picture:
        assert picture.convert("RGB").tobytes() == before
        assert not picture.getexif()


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def test_tags_of_films_become_nothing_and_no_address_moves() -> None:
    moov = _box(b"moov", _box(b"trak", _box(b"tkhd", b"t" * 20)) + _box(b"udta", SECRET.encode()))
    film = _box(b"ftyp", b"isom") + moov + _box(b"mdat", b"frames")
    stripped = strip(film)
    assert SECRET.encode() not in stripped
    assert stripped.index(b"frames") == film.index(b"frames")
    assert len(stripped) == len(film)
    tags = b"\x12\x54\xc3\x67" + bytes([0x40, len(SECRET)]) + SECRET.encode()
    live = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + tags + b"\x1f\x43\xb6\x75\x83abc"
    stripped = strip(live)
    assert SECRET.encode() not in stripped
    assert stripped.endswith(b"abc")
    assert len(stripped) == len(live)


@pytest.mark.parametrize(
    "beginning", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF....WEBP", b"....ftyp", b"\x1a\x45\xdf\xa3"]
)
def test_what_is_broken_comes_back_unchanged(beginning: bytes) -> None:
    broken = beginning + b"\x00\x01garbage that ends in the mid"
    assert len(strip(broken)) <= len(broken)
    assert strip(beginning)[:2] == beginning[:2]
