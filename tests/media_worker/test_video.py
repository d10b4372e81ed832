"""Videos that are too large for Discord are encoded anew, in a process of their own."""

# PyAV's packets are generic without a parameter.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import builtins
import io
import random
import struct
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import av
import pytest

from app.media_worker.compress import compress
from app.media_worker.mark import PACKET
from app.media_worker.protocol import Compressed, Refusal
from tests.media_worker.processes import command_line, on_linux, outcome, peak, running
from tests.media_worker.samples import encoded, noise

SECONDS = 2

FAST = {"libx264": {"preset": "ultrafast"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}


def film(
    path: Path,
    *,
    codec: Literal["libx264", "libvpx"] = "libx264",
    sound: bool = True,
    size: tuple[int, int] = (320, 240),
) -> Path:
    """A film of noise, which cannot be compressed well."""
    path.write_bytes(_film(path.suffix, codec, sound, size))
    return path


@cache
def _film(suffix: str, codec: Literal["libx264", "libvpx"], sound: bool, size: tuple[int, int]) -> bytes:
    """Made once in a process, and as fast as the encoders can: most of the time of these tests would go there."""
    rng = random.Random(1)
    content = io.BytesIO()
    with av.open(content, "w", format=suffix.removeprefix(".")) as made:
        video = made.add_stream(codec, rate=10, options=FAST[codec])
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.bit_rate = 20_000_000
        audio = made.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for number in range(10 * SECONDS):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane in frame.planes:
                plane.update(rng.randbytes(plane.buffer_size))
            frame.pts = number
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
        if audio is not None:
            for number in range(SECONDS * 44_100 // 1024):
                heard = av.AudioFrame("fltp", "mono", 1024)
                heard.sample_rate, heard.pts = 44_100, 1024 * number
                heard.planes[0].update(struct.pack("1024f", *(rng.uniform(-0.5, 0.5) for _ in range(1024))))
                made.mux(audio.encode(heard))
            made.mux(audio.encode(None))
    return content.getvalue()


def smaller(path: Path, limit: int) -> Compressed:
    found = compress(path, path.with_name("target"), limit, keep_metadata=False, lane="video")
    assert path.with_name("target").stat().st_size <= limit
    return found


def test_a_film_that_is_too_large_becomes_h264_and_aac_and_keeps_its_length(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    found = smaller(path, path.stat().st_size // 4)
    assert (found.suffix, found.quality) == (".mp4", 0)
    with av.open(str(path.with_name("target"))) as made:
        assert [stream.codec_context.name for stream in made.streams] == ["h264", "aac"]
        assert made.streams.video[0].codec_context.pix_fmt == "yuv420p"
        frames = sum(1 for _ in made.decode(made.streams.video[0]))
        assert frames == 10 * SECONDS
        assert made.duration is not None
        assert abs(made.duration / av.time_base - SECONDS) < 0.5
    start = path.with_name("target").read_bytes()
    assert start.index(b"moov") < start.index(b"mdat"), "it plays before it has arrived"


def test_a_smaller_film_is_marked_within_the_limit(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    limit = path.stat().st_size // 4
    target = tmp_path / "target"
    found = compress(path, target, limit, keep_metadata=False, mark_results=True, lane="video")
    assert found.marked
    assert target.stat().st_size <= limit
    assert target.read_bytes().endswith(PACKET)
    with av.open(str(target)) as made:
        assert sum(1 for _ in made.decode(made.streams.video[0])) == 10 * SECONDS


def test_a_webm_without_sound_becomes_an_mp4(tmp_path: Path) -> None:
    path = film(tmp_path / "a.webm", codec="libvpx", sound=False)
    assert smaller(path, path.stat().st_size // 3).suffix == ".mp4"
    with av.open(str(path.with_name("target"))) as made:
        assert [stream.type for stream in made.streams] == ["video"]


def test_with_very_few_bytes_it_becomes_smaller_in_its_frame_as_well(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", size=(640, 480))
    found = smaller(path, 40_000)
    assert found.scale < 1
    with av.open(str(path.with_name("target"))) as made:
        width = made.streams.video[0].codec_context.width
        assert width < 640
        assert width % 2 == 0


@pytest.mark.parametrize("limit", [10, 5_000])
def test_a_film_that_could_show_nothing_is_refused(limit: int, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="DoesNotFit"):
        smaller(film(tmp_path / "a.mp4"), limit)


@pytest.mark.parametrize("kept", [20, 200, 20_000])
def test_a_damaged_film_is_refused(kept: int, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:kept] + bytes(30_000))
    with pytest.raises(Refusal, match="DoesNotFit"):
        smaller(path, 15_000)


def test_without_pyav_a_film_is_too_large_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(
        name: str,
        scope: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        names: Sequence[str] = (),
        level: int = 0,
    ) -> object:
        if name == "av" or name.startswith("av."):
            raise ModuleNotFoundError(name)
        return real(name, scope, local, names, level)

    path = film(tmp_path / "a.mp4")
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "app.media_worker.video", raising=False)
    with pytest.raises(Refusal, match="DoesNotFit"):
        smaller(path, path.stat().st_size // 4)


@on_linux
@pytest.mark.anyio
async def test_films_have_a_process_of_their_own_with_its_own_budget(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    good = tmp_path / "good"
    good.write_bytes(encoded(noise((16, 16)), "PNG"))
    async with running() as client:
        assert await outcome(client, good) == ".png"
        pictures = set(client.processes)
        found = await client.compress(path, tmp_path / "target", path.stat().st_size // 4, person="ada")
        assert found.suffix == ".mp4"
        (video,) = client.processes - pictures
        assert peak(video) < 500
        assert command_line(video)[-1] == b"video"
