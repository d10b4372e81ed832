"""Makes results small enough for Discord, level by level, from the file as it is down to a small picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from app.media_worker import mark, metadata
from app.media_worker.containers import container_of
from app.media_worker.limits import LIGHT_PIXELS
from app.media_worker.normalise import COPIES, check_frames, reading, writing
from app.media_worker.pieces import Keep, Piece, View, size_of, write
from app.media_worker.protocol import Compressed, Lane, Redirection, Refusal
from app.reasons.files import DoesNotFit, FileDamaged, FileUnrecognised, TooManyBytes, TooManyFrames, TooManyPixels

LARGEST_GRAPH = 8 * 2**20
"""Bytes of metadata that a file may lose. If it would have to lose more to fit, it is not scanned for metadata."""

SIZES = (0.75, 0.5, 0.35, 0.25)
"""Scales for when no quality is small enough; each has about half the bytes of the one before."""

LOSSLESS_PIXELS = 4_000_000
"""Pixels up to which the lossless level is worth its time: three seconds a megapixel."""

LOSSLESS_BYTES, OPAQUE_BYTES, TRANSPARENT_BYTES = 33, 7, 40
"""Bytes a pixel that WebP's encoder needs, measured. It stores transparency without loss."""

LARGEST_SCALING = 240_000_000
"""Bytes of a transparent picture and a copy of it, above which it is scaled strip by strip."""

STRIP = 512
"""Rows; an even number."""

LONGEST_SIDE = 16_383
"""Pixels; WebP's limit."""

SAMPLE = 12
"""Frames of an animation that are encoded to estimate the size of all."""

HOPELESS = 1.5
"""The lowest level is not tried if its estimated size is above this many times the limit."""

UNUSABLE = (FileUnrecognised, FileDamaged, TooManyBytes, TooManyPixels, TooManyFrames)
"""Reasons for a refusal after which only the file as it is could have been sent."""


class Level(Struct, frozen=True):
    """How much is given up: `quality` of WebP in percent, 100 for lossless; `scale` of the width and height."""

    quality: int
    scale: float = 1.0


STILL = (Level(100), Level(95), Level(90), Level(80), *(Level(80, size) for size in SIZES))
"""95 cannot be told from the original; 80 shows only in a direct comparison."""

MOVING = (Level(90), Level(75), Level(60), *(Level(60, size) for size in SIZES))
"""Lower qualities than for still pictures, because each frame is seen for less time."""


def compress(
    source: Path, target: Path, limit: int, *, keep_metadata: bool, mark_results: bool = False, lane: Lane
) -> Compressed:
    """Write the best version of a file that has at most `limit` bytes to `target`.

    First tries the file as it is, without its metadata unless `keep_metadata` and with the mark if `mark_results`; then
    smaller versions of pictures, and of videos if PyAV is installed. Raises `Refusal` if there is none, and
    `Redirection` if it needs another lane. Raises `OSError` if the file cannot be read.
    """
    size = source.stat().st_size
    plain, marked = None, None
    if size <= limit + (0 if keep_metadata else LARGEST_GRAPH):
        plain, marked = _plans(source, size, keep_metadata=keep_metadata, mark_results=mark_results)
    if marked is not None and size_of(marked) <= limit:
        return _written(source, target, marked, marked=True)
    # A file that fits only without the mark is worth less than a smaller version with it.
    last_resort = plain if plain is not None and size_of(plain) <= limit else None
    if last_resort is not None and marked is None:
        return _written(source, target, last_resort, marked=False)
    try:
        return _made_smaller(source, target, limit, lane, mark_results=mark_results)
    except Refusal:
        if last_resort is None:
            raise
        return _written(source, target, last_resort, marked=False)


def _plans(
    source: Path, size: int, *, keep_metadata: bool, mark_results: bool
) -> tuple[list[Piece], list[Piece] | None]:
    """The file at its full quality without and with the mark; None for a mark that is not wanted or not possible."""
    with source.open("rb") as file:
        whole: list[Piece] = [Keep(0, size)]
        plain = whole if keep_metadata else metadata.plan(View(file, whole))
        return plain, mark.plan(View(file, plain)) if mark_results else None


def _written(source: Path, target: Path, pieces: list[Piece], *, marked: bool) -> Compressed:
    if pieces == [Keep(0, source.stat().st_size)]:
        return Compressed(unchanged=True)
    with writing():
        write(source, target, pieces)
    return Compressed(marked=marked)


def _made_smaller(source: Path, target: Path, limit: int, lane: Lane, *, mark_results: bool) -> Compressed:
    if _is_video(source):
        if lane != "video":
            raise Redirection("video")
        return _compress_video(source, target, limit, mark_results=mark_results)
    try:
        return _compress_picture(source, target, limit, lane, mark.PACKET if mark_results else b"")
    except Refusal as refusal:
        if isinstance(refusal.reason, UNUSABLE):
            raise _does_not_fit() from refusal
        raise


def _does_not_fit() -> Refusal:
    return Refusal(DoesNotFit())


def _is_video(source: Path) -> bool:
    with source.open("rb") as file:
        return container_of(file.read(12)) in {"mp4", "webm"}


def _compress_video(source: Path, target: Path, limit: int, *, mark_results: bool) -> Compressed:
    try:
        from app.media_worker.video import compress_video
    except ImportError as error:
        # The extra `video` is not installed.
        raise _does_not_fit() from error
    box = mark.XMP_IN_MP4 if mark_results else b""
    made = compress_video(source, target, limit - len(box))
    with writing(), target.open("ab") as file:
        file.write(box)
    return replace(made, marked=mark_results)


def _compress_picture(source: Path, target: Path, limit: int, lane: Lane, xmp: bytes) -> Compressed:
    with reading(source) as picture:
        frames = check_frames(picture) if picture.format not in {"MPO", "TIFF"} else 1
        if lane == "light" and picture.width * picture.height * frames > LIGHT_PIXELS:
            raise Redirection("heavy")
        if frames == 1:
            return _compress_still(picture, target, limit, source.stat().st_size, xmp)
    return _compress_animation(source, frames, target, limit, xmp)


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    width, height = size
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS)  # pyright: ignore[reportUnknownMemberType]


def _halved(picture: Image.Image) -> Image.Image:
    """Halve width and height, strip by strip: Pillow would copy a whole transparent picture before it scales it."""
    made = Image.new(picture.mode, (-(-picture.width // 2), -(-picture.height // 2)))
    for top in range(0, picture.height, STRIP):
        strip = picture.crop((0, top, picture.width, min(top + STRIP, picture.height)))
        made.paste(strip.reduce(2), (0, top // 2))
    return made


def _compress_still(picture: Image.Image, target: Path, limit: int, size: int, xmp: bytes) -> Compressed:
    picture.load()
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    whole = picture if picture.mode == mode else picture.convert(mode)
    held = 4 * picture.width * picture.height * (1 if whole is picture else 2)
    if mode == "RGBA" and held + 4 * whole.width * whole.height > LARGEST_SCALING:
        whole = _halved(whole)
        held += 4 * whole.width * whole.height
    for level in STILL:
        wanted = _scaled(picture.size, level.scale)
        pixels = wanted[0] * wanted[1]
        lossless = level.quality == 100
        if lossless and (pixels > LOSSLESS_PIXELS or limit < size // 2):
            continue
        cost = LOSSLESS_BYTES if lossless else TRANSPARENT_BYTES if mode == "RGBA" else OPAQUE_BYTES
        copy = 4 * pixels if level.scale < 1 else 0
        if wanted[0] > whole.width or max(wanted) > LONGEST_SIDE or held + copy + cost * pixels > COPIES:
            continue
        made = _resized(whole, wanted)
        # Pillow would save the metadata that it finds in `info`.
        made.info.clear()
        with target.open("wb") as file:
            # Method 2 takes a third of the time of 4, for a few per cent more bytes.
            made.save(file, "WEBP", quality=level.quality, lossless=lossless, method=2, xmp=xmp)
        if target.stat().st_size <= limit:
            return Compressed(suffix=".webp", quality=level.quality, scale=level.scale, marked=bool(xmp))
    raise _does_not_fit()


class _Frames(Image.Image):
    """An animation for Pillow's WebP writer: each frame is decoded and scaled when the writer reaches it.

    `pauses` fills with the milliseconds of each frame just before the writer needs them.
    """

    def __init__(self, source: Image.Image, count: int, scale: float) -> None:
        super().__init__()
        self.pauses: list[int] = []
        self.n_frames = count
        self._source = source
        self._next = 0
        self._size = _scaled(source.size, scale)
        self._mode = "RGBA"

    def seek(self, frame: int) -> None:
        """Decode the next frame; when done, the writer seeks back to the first, which decodes nothing."""
        if frame < self._next:
            return
        self._source.seek(frame)
        self.im = _resized(self._source.convert("RGBA"), self.size).im
        self.pauses.append(int(self._source.info.get("duration", 100)))
        self._next = frame + 1

    def tell(self) -> int:
        """Return the first frame's number."""
        return 0


def encode_frames(source: Path, count: int, level: Level, file: BinaryIO, xmp: bytes = b"") -> None:
    """Write the first frames of an animation as WebP. Opens the source again, because not every reader rewinds well."""
    with reading(source) as picture:
        frames = _Frames(picture, count, level.scale)
        options = {"duration": frames.pauses, "loop": 0, "quality": level.quality, "method": 2, "xmp": xmp}
        frames.save(file, "WEBP", save_all=True, **options)


def _compress_animation(source: Path, frames: int, target: Path, limit: int, xmp: bytes) -> Compressed:
    for level in _promising(source, frames, limit):
        with target.open("wb") as file:
            encode_frames(source, frames, level, file, xmp)
        if target.stat().st_size <= limit:
            return Compressed(suffix=".webp", quality=level.quality, scale=level.scale, marked=bool(xmp))
    raise _does_not_fit()


def _promising(source: Path, frames: int, limit: int) -> Sequence[Level]:
    """The levels from the first whose estimated size fits: encoding all frames at each level would take minutes."""
    count = min(SAMPLE, frames)
    estimate = 0.0
    for number, level in enumerate(MOVING):
        sample = io.BytesIO()
        encode_frames(source, count, level, sample)
        estimate = len(sample.getvalue()) * frames / count
        if estimate <= limit:
            return MOVING[number:]
    return MOVING[-1:] if estimate <= limit * HOPELESS else ()
