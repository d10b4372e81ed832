"""Results that are too large become smaller, level by level, and nobody gets the graph who should not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from app.media_worker import compress as module
from app.media_worker.compress import STILL, Level, compress
from app.media_worker.limits import MOST_FRAMES
from app.media_worker.mark import PACKET
from app.media_worker.pieces import Piece, View
from app.media_worker.protocol import Compressed, Redirection, Refusal
from tests.media_worker.samples import SECRET, claiming, gif, gradient, graph_png, noise


def made(path: Path, limit: int, *, keep_metadata: bool = False, mark_results: bool = False) -> Compressed:
    target = path.with_name("target")
    found = compress(path, target, limit, keep_metadata=keep_metadata, mark_results=mark_results, lane="heavy")
    assert (path if found.unchanged else target).stat().st_size <= limit
    return found


def target(path: Path) -> Image.Image:
    picture = Image.open(path.with_name("target"))
    picture.load()
    return picture


def too_large(path: Path, limit: int) -> None:
    with pytest.raises(Refusal, match="DoesNotFit"):
        made(path, limit)


def test_a_png_that_fits_keeps_its_pixels_and_loses_the_graph(tmp_path: Path) -> None:
    path = graph_png(tmp_path / "a.PNG", noise())
    assert made(path, 10**7) == Compressed()
    assert SECRET.encode() not in path.with_name("target").read_bytes()
    assert target(path).tobytes() == noise().tobytes()


def test_a_file_that_only_fits_without_the_graph_fits(tmp_path: Path) -> None:
    path = graph_png(tmp_path / "a.png", noise())
    assert made(path, path.stat().st_size - 50) == Compressed()


def test_the_graph_stays_where_it_is_wanted(tmp_path: Path) -> None:
    path = graph_png(tmp_path / "a.png", noise())
    assert made(path, 10**7, keep_metadata=True) == Compressed(unchanged=True)


def test_a_file_without_metadata_is_not_even_copied(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.png")
    assert made(tmp_path / "a.png", 10**7) == Compressed(unchanged=True)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("keep_metadata", [False, True])
def test_a_result_is_marked_whether_it_needs_anything_else_or_not(keep_metadata: bool, tmp_path: Path) -> None:
    noise().save(tmp_path / "plain.png")
    graph = graph_png(tmp_path / "graph.png", noise())
    for path in (tmp_path / "plain.png", graph):
        before = path.read_bytes()
        assert made(path, 10**7, keep_metadata=keep_metadata, mark_results=True) == Compressed(marked=True)
        after = path.with_name("target").read_bytes()
        assert PACKET in after
        assert (SECRET.encode() in after) == (keep_metadata and path == graph)
        assert target(path).tobytes() == noise().tobytes()
        assert path.read_bytes() == before, "only the copy is marked"


def test_the_limit_counts_with_the_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise().save(path)
    size = path.stat().st_size
    made(path, 10**7, mark_results=True)
    with_mark = path.with_name("target").stat().st_size
    assert size < with_mark < size + 600
    assert made(path, with_mark, mark_results=True) == Compressed(marked=True)
    smaller = made(path, with_mark - 1, mark_results=True)
    assert (smaller.suffix, smaller.marked) == (".webp", True)
    assert PACKET in path.with_name("target").read_bytes()


def test_a_file_that_fits_only_without_the_mark_and_cannot_be_smaller_comes_without_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x0cftypisom" + b"\0\0\x03\xe8mdat" + bytes(992))
    assert made_in_the_lane_of_videos(path, 1_012) == Compressed(unchanged=True)
    assert made_in_the_lane_of_videos(path, 10_000) == Compressed(marked=True)
    with pytest.raises(Refusal, match="DoesNotFit"):
        made_in_the_lane_of_videos(path, 1_011)


def made_in_the_lane_of_videos(path: Path, limit: int) -> Compressed:
    return compress(path, path.with_name("target"), limit, keep_metadata=False, mark_results=True, lane="video")


@pytest.mark.parametrize("kind", ["still", "moving"])
def test_a_smaller_version_is_marked_within_the_limit(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    more = [noise().rotate(90)] if kind == "moving" else []
    noise().save(path, save_all=True, append_images=more)
    for limit in (60_000, 30_000):
        assert made(path, limit, mark_results=True).marked
        assert target(path).info["xmp"] == PACKET


def test_what_cannot_be_marked_is_posted_as_it_is(tmp_path: Path) -> None:
    for name, data in {"a.glb": b"glTF" * 100, "a.png": b"\x89PNG\r\n\x1a\n and no picture"}.items():
        (tmp_path / name).write_bytes(data)
        assert made(tmp_path / name, 10**6, keep_metadata=True, mark_results=True) == Compressed(unchanged=True)


def test_levels_give_up_quality_before_size(tmp_path: Path) -> None:
    for before, after in pairwise(STILL):
        assert (before.quality, before.scale) > (after.quality, after.scale)
    path = graph_png(tmp_path / "a.png", noise())
    lossless = made(path, noise_bytes := path.stat().st_size - 1_000)
    assert (lossless.quality, lossless.scale, lossless.suffix) in {(100, 1.0, ".webp"), (95, 1.0, ".webp")}
    sizes = [(found.quality, found.scale) for limit in (60_000, 30_000, 9_000) if (found := made(path, limit))]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1][1] < 1
    assert noise_bytes > 60_000
    too_large(path, 10)


def test_a_picture_compresses_without_loss_where_that_is_enough(tmp_path: Path) -> None:
    picture = gradient((300, 200)).convert("RGB")
    picture.save(tmp_path / "a.bmp")
    found = made(tmp_path / "a.bmp", 100_000)
    assert (found.quality, found.scale) == (100, 1.0)
    assert target(tmp_path / "a.bmp").convert("RGB").tobytes() == picture.tobytes()


def test_a_transparent_picture_stays_transparent(tmp_path: Path) -> None:
    path = graph_png(tmp_path / "a.png", noise(mode="RGBA"))
    assert made(path, 40_000).suffix == ".webp"
    assert target(path).mode == "RGBA"


def test_a_large_transparent_picture_is_scaled_strip_by_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_SCALING", 1)
    monkeypatch.setattr(module, "STRIP", 32)
    monkeypatch.setattr(module, "STILL", (Level(80, 0.5),))
    picture = gradient((301, 201)).convert("RGBA")
    picture.save(tmp_path / "a.bmp")
    found = made(tmp_path / "a.bmp", 90_000)
    assert found.scale == 0.5
    half = target(tmp_path / "a.bmp").convert("L")
    assert half.size == (150, 100)
    for y in (5, 50, 95):
        value, expected = half.getpixel((75, y)), picture.convert("L").getpixel((150, 2 * y))
        assert isinstance(value, int)
        assert isinstance(expected, int)
        assert abs(value - expected) < 8


def test_a_level_that_takes_too_much_memory_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = graph_png(tmp_path / "a.png", noise())
    pixels = 200 * 160
    monkeypatch.setattr(module, "COPIES", 4 * pixels + 4 * pixels // 4 + module.OPAQUE_BYTES * pixels // 4)
    assert made(path, 80_000).scale == 0.5


def test_a_film_that_is_far_too_large_is_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "film.glb"
    with film.open("wb") as file:
        file.truncate(2**30)

    def never(_: View) -> list[Piece]:
        raise AssertionError

    monkeypatch.setattr(module.metadata, "plan", never)
    too_large(film, 10 * 2**20)


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_an_animation_keeps_its_frames_and_pauses(suffix: str, tmp_path: Path) -> None:
    frames = [noise((120, 90)).rotate(90 * turn) for turn in range(20)]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[80] * 10 + [40] * 10, loop=0)
    made(path, path.stat().st_size // 3)
    with Image.open(path.with_name("target")) as picture:
        assert getattr(picture, "n_frames", 1) == 20
        pauses: list[int] = []
        for number in range(20):
            picture.seek(number)
            picture.load()
            pauses.append(picture.info["duration"])
    assert pauses == [80] * 10 + [40] * 10


def test_frames_are_those_of_the_original_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    frames = [Image.new("RGB", (64, 64), (20 * number, 0, 0)) for number in range(12)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, compress_level=0)
    made(path, path.stat().st_size // 4)
    with Image.open(path.with_name("target")) as picture:
        for number in range(12):
            picture.seek(number)
            red = picture.convert("RGB").getpixel((32, 32))
            assert isinstance(red, tuple)
            assert abs(red[0] - 20 * number) < 10


def test_an_animation_that_can_never_fit_is_not_encoded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(gif(40, (64, 64)))
    encoded: list[int] = []
    real = module.encode_frames

    def counting(source: Path, count: int, *rest: object) -> None:
        encoded.append(count)
        real(source, count, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(module, "encode_frames", counting)
    too_large(path, 100)
    assert set(encoded) == {module.SAMPLE}


def test_a_file_of_another_kind_fits_or_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.glb"
    path.write_bytes(b"glTF" * 100)
    assert made(path, 400) == Compressed(unchanged=True)
    too_large(path, 399)


@pytest.mark.parametrize("data", [claiming(9_000, 9_000), gif(MOST_FRAMES + 1), claiming(50, 50)])
def test_a_picture_that_is_not_opened_is_posted_as_it_is_or_not_at_all(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    too_large(path, len(data) - 1)


def test_large_pictures_and_videos_ask_for_another_lane(tmp_path: Path) -> None:
    Image.new("L", (2_100, 2_000)).save(tmp_path / "a.bmp")
    with pytest.raises(Redirection, match="heavy"):
        compress(tmp_path / "a.bmp", tmp_path / "target", 1_000, keep_metadata=False, lane="light")
    for lane in ("light", "heavy"):
        (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(2_000))
        with pytest.raises(Redirection, match="video"):
            compress(tmp_path / "a.mp4", tmp_path / "target", 1_000, keep_metadata=False, lane=lane)
    assert compress(tmp_path / "a.bmp", tmp_path / "target", 10**7, keep_metadata=False, lane="light").unchanged
