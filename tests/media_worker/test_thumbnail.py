"""Thumbnails of results: their size and format, posters of videos, and what has none."""

# PyAV's packets are generic without a parameter.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import builtins
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import av
import pytest
from PIL import Image

from app.media_worker.mark import PACKET
from app.media_worker.protocol import Refusal
from app.media_worker.thumbnail import LONGEST_SIDE, make_thumbnail
from tests.media_worker.processes import on_linux, peak, running
from tests.media_worker.samples import encoded, noise


def made(path: Path, *, mark_results: bool = False) -> Image.Image:
    target = path.with_name("thumbnail")
    dimensions = make_thumbnail(path, target, mark_results=mark_results)
    picture = Image.open(io.BytesIO(target.read_bytes()))
    assert picture.format == "WEBP"
    assert picture.size == dimensions
    return picture


def write(path: Path, picture: Image.Image, kind: str = "PNG", **options: object) -> Path:
    picture.save(path, kind, **options)  # pyright: ignore[reportArgumentType]
    return path


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2048, 1024), (384, 192)), ((600, 1200), (192, 384)), ((100, 50), (100, 50)), ((4000, 2), (384, 1))],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_thumbnail_keeps_the_proportions_and_is_never_enlarged(
    size: tuple[int, int], expected: tuple[int, int], kind: str, tmp_path: Path
) -> None:
    assert LONGEST_SIDE == 384
    assert made(write(tmp_path / "a", Image.new("RGB", size, "teal"), kind)).size == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "I;16", "1", "CMYK"])
def test_every_mode_of_a_picture_has_a_thumbnail(mode: str, tmp_path: Path) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    picture = made(write(tmp_path / "a", Image.new(mode, (800, 400)), kind))
    assert picture.size == (384, 192)
    assert (picture.mode == "RGBA") == (mode in {"RGBA", "LA"}), "what is transparent stays so"


def test_an_animation_has_the_thumbnail_of_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (500, 500), colour) for colour in ("red", "lime", "blue")]
    path = write(tmp_path / "a.gif", frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = made(path)
    assert getattr(picture, "n_frames", 1) == 1
    assert colour_at(picture, 100) == "red"


def test_a_thumbnail_is_marked_where_results_are_and_has_no_other_metadata(tmp_path: Path) -> None:
    path = write(tmp_path / "a", Image.new("RGB", (800, 400)), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
    made(path, mark_results=True)
    assert PACKET in (tmp_path / "thumbnail").read_bytes()
    made(path)
    content = (tmp_path / "thumbnail").read_bytes()
    assert b"XMP" not in content
    assert b"EXIF" not in content


def colour_at(picture: Image.Image, at: int) -> str:
    """The colour of a pixel, roughly."""
    red, green, blue = picture.convert("RGB").tobytes()[3 * (at * picture.width + at) :][:3]
    return {(1, 1, 1): "white", (1, 0, 0): "red", (0, 1, 0): "lime"}[red > 128, green > 128, blue > 128]


def film(path: Path, colours: list[str]) -> Path:
    """A film with a frame of stripes in each of these colours."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 320, "yuv420p"
        for number, colour in enumerate(colours):
            picture = Image.new("RGB", (640, 320))
            picture.paste(colour, (0, 0, 320, 320))
            frame = cast("av.VideoFrame", av.VideoFrame.from_image(picture))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_the_poster_of_a_video_is_its_first_frame_on_which_something_can_be_seen(tmp_path: Path) -> None:
    picture = made(film(tmp_path / "a.mp4", ["black"] * 5 + ["white"] * 5 + ["lime"] * 5))
    assert picture.size == (384, 192)
    assert colour_at(picture, 50) == "white"


def test_a_video_on_which_nothing_can_be_seen_has_its_first_frame(tmp_path: Path) -> None:
    assert made(film(tmp_path / "a.mp4", ["black"] * 200)).size == (384, 192)


def test_without_pyav_a_video_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", ["white"])
    importing = builtins.__import__

    def refuse(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        if name == "app.media_worker.video":
            raise ImportError(name)
        return importing(name, globals, locals, fromlist, level)

    monkeypatch.delitem(sys.modules, "app.media_worker.video", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(Refusal):
        make_thumbnail(path, tmp_path / "thumbnail", mark_results=False)


@pytest.mark.parametrize(
    "content", [b"", b"text", encoded(noise((64, 64)), "PNG")[:200], b"\0\0\0\x18ftypmp42" + bytes(200), b"glTF" * 9]
)
def test_what_cannot_be_decoded_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(Refusal):
        make_thumbnail(path, tmp_path / "thumbnail", mark_results=False)


@on_linux
async def test_thumbnails_have_a_process_of_their_own_that_serves_one_after_the_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a", noise((1000, 1000)))
    video = film(tmp_path / "a.mp4", ["white"] * 3)
    async with running() as client:
        assert await client.thumbnail(path, tmp_path / "small") == (384, 384)
        (pid,) = client.processes
        assert await client.thumbnail(video, tmp_path / "poster", mark_results=True) == (384, 192)
        assert client.processes == {pid}
        assert peak(pid) < 1000
        with pytest.raises(Refusal):
            await client.thumbnail(tmp_path / "nothing", tmp_path / "small")
