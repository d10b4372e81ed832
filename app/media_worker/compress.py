"""Makes results small enough for Discord, level by level, from the file as it is down to a small picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from PIL import Image

from app.media_worker import metadata
from app.media_worker.limits import LIGHT_PIXELS
from app.media_worker.normalise import COPIES, check_frames, reading, writing
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

VIDEO_BRANDS_ARE_NOT = frozenset({b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix"})
"""Brands of picture files that begin as MP4 does."""

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


def compress(source: Path, target: Path, limit: int, *, keep_metadata: bool, lane: Lane) -> Compressed:
    """Write the best version of a file that has at most `limit` bytes to `target`.

    First tries the file as it is, without its metadata unless `keep_metadata`; then smaller versions of pictures, and
    of videos if PyAV is installed. Raises `Refusal` if there is none, and `Redirection` if it needs another lane.
    Raises `OSError` if the file cannot be read.
    """
    size = source.stat().st_size
    if size <= limit + (0 if keep_metadata else LARGEST_GRAPH):
        whole: list[metadata.Piece] = [metadata.Keep(0, size)]
        pieces = whole if keep_metadata else metadata.plan(source)
        if pieces == whole and size <= limit:
            return Compressed(unchanged=True)
        if metadata.size_of(pieces) <= limit:
            with writing():
                metadata.write(source, target, pieces)
            return Compressed()
    if _is_video(source):
        if lane != "video":
            raise Redirection("video")
        return _compress_video(source, target, limit)
    try:
        return _compress_picture(source, target, limit, lane)
    except Refusal as refusal:
        if isinstance(refusal.reason, UNUSABLE):
            raise _does_not_fit() from refusal
        raise


def _does_not_fit() -> Refusal:
    return Refusal(DoesNotFit())


def _is_video(source: Path) -> bool:
    with source.open("rb") as file:
        start = file.read(12)
    is_mp4 = start[4:8] == b"ftyp" and start[8:12] not in VIDEO_BRANDS_ARE_NOT
    return is_mp4 or start.startswith(metadata.EBML)


def _compress_video(source: Path, target: Path, limit: int) -> Compressed:
    try:
        from app.media_worker.video import compress_video
    except ImportError as error:
        # The extra `video` is not installed.
        raise _does_not_fit() from error
    return compress_video(source, target, limit)


def _compress_picture(source: Path, target: Path, limit: int, lane: Lane) -> Compressed:
    with reading(source) as picture:
        frames = check_frames(picture) if picture.format not in {"MPO", "TIFF"} else 1
        if lane == "light" and picture.width * picture.height * frames > LIGHT_PIXELS:
            raise Redirection("heavy")
        if frames == 1:
            return _compress_still(picture, target, limit, source.stat().st_size)
    return _compress_animation(source, frames, target, limit)


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


def _compress_still(picture: Image.Image, target: Path, limit: int, size: int) -> Compressed:
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
            made.save(file, "WEBP", quality=level.quality, lossless=lossless, method=2)
        if target.stat().st_size <= limit:
            return Compressed(suffix=".webp", quality=level.quality, scale=level.scale)
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


def encode_frames(source: Path, count: int, level: Level, file: BinaryIO) -> None:
    """Write the first frames of an animation as WebP. Opens the source again, because not every reader rewinds well."""
    with reading(source) as picture:
        frames = _Frames(picture, count, level.scale)
        frames.save(file, "WEBP", save_all=True, duration=frames.pauses, loop=0, quality=level.quality, method=2)


def _compress_animation(source: Path, frames: int, target: Path, limit: int) -> Compressed:
    for level in _promising(source, frames, limit):
        with target.open("wb") as file:
            encode_frames(source, frames, level, file)
        if target.stat().st_size <= limit:
            return Compressed(suffix=".webp", quality=level.quality, scale=level.scale)
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
