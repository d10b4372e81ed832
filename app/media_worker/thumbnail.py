"""Makes small still pictures of results, as WebP."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from app.media_worker.containers import container_of
from app.media_worker.mark import PACKET
from app.media_worker.normalise import plain, reading, translated
from app.media_worker.protocol import Dimensions, Refusal
from app.reasons.files import FileUnrecognised

LONGEST_SIDE = 384
"""Pixels: a tile of the page is about 190 wide, and screens of phones show two pixels for one."""

QUALITY = 80
"""Percent: about 12 kB for a picture."""

METHOD = 4
"""How hard WebP's encoder tries, of 6: harder gains a few percent and takes twice as long."""

GAP = 2.0
"""A large picture is first reduced by a whole number, to this many times the thumbnail: faster, and looks the same."""


def make_thumbnail(source: Path, target: Path, *, mark_results: bool) -> Dimensions:
    """Write a thumbnail of a picture, or of a video if PyAV is installed; return its width and height.

    It is never larger than the result. With `mark_results` it carries the mark of `app.media_worker.mark`. Raises
    `Refusal`.
    """
    with source.open("rb") as file:
        is_video = container_of(file.read(12)) in {"mp4", "webm"}
    picture = _poster(source) if is_video else _small(source)
    with translated(), target.open("wb") as file:
        picture.save(file, "WEBP", quality=QUALITY, method=METHOD, xmp=PACKET if mark_results else b"")
    return picture.size


def _small(source: Path) -> Image.Image:
    """The picture, or the first one of an animation."""
    with reading(source) as opened:
        # Decoders of JPEG can decode less than the whole.
        opened.draft(opened.mode, (round(LONGEST_SIDE * GAP), round(LONGEST_SIDE * GAP)))
        picture = plain(opened)
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=GAP)
        # What was opened is closed at the end of the block.
        return picture.copy()


def _poster(source: Path) -> Image.Image:
    try:
        from app.media_worker.video import poster
    except ImportError as error:
        # The extra `video` is not installed.
        raise Refusal(FileUnrecognised()) from error
    return poster(source, LONGEST_SIDE)
