"""Turns attached files into plain ones: pictures into PNG; videos and sounds are recognised by their first bytes."""

from __future__ import annotations

import errno
import io
import warnings
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from app.media_worker.limits import LIGHT_PIXELS, MOST_BYTES, MOST_FRAMES, MOST_PIXELS, MOST_PIXELS_OF
from app.media_worker.protocol import Kind, Lane, Redirection, Refusal
from app.reasons.files import (
    DiskFailed,
    FileAnimated,
    FileDamaged,
    FileUnrecognised,
    TooManyBytes,
    TooManyFrames,
    TooManyPixels,
    TooMuchMemory,
)

PLUGINS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
"""Imported by name: otherwise the first WebP makes Pillow import all its forty plugins."""

AvifImagePlugin.DEFAULT_MAX_THREADS = 1
"""Each thread of the AV1 decoder reserves address space that the picture needs."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The formats that Pillow may try. Its rarer readers have had the most security holes."""

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
"""The colour space that every program assumes for pictures without a profile."""

COPIES = 330_000_000
"""Bytes for pixels in one process: its budget minus what Python and Pillow use."""

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO})
"""Errors of the disk. For files that Pillow cannot read it raises `OSError` without a number."""

MARKS: dict[Kind, tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...]] = {
    "image": (),
    "video": (
        (".mp4", ((4, b"ftyp"),)),
        (".webm", ((0, b"\x1a\x45\xdf\xa3"),)),
        (".gif", ((0, b"GIF8"),)),
    ),
    "audio": (
        (".mp3", ((0, b"ID3"),)),
        *((".mp3", ((0, bytes([0xFF, second])),)) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
        (".wav", ((0, b"RIFF"), (8, b"WAVE"))),
        (".flac", ((0, b"fLaC"),)),
        (".ogg", ((0, b"OggS"),)),
        (".m4a", ((4, b"ftyp"),)),
    ),
}
"""First bytes by kind: the suffix that the file gets, and which bytes are at which offset. An MP3 without a title
begins with its first frame: eleven bits, and layer III of one of three versions."""

FIRST_BYTES = 12
"""Bytes to read; more than the marks need."""


def normalise(source: Path, target: Path, kind: Kind, *, lane: Lane = "heavy") -> str:
    """Write an attached file as a plain file to `target`; return the suffix that fits it.

    A picture becomes an upright sRGB PNG without metadata; anything else is copied if its first bytes are right.
    Raises `Refusal` for any unusable file, and `Redirection` for a picture too large for the light lane.
    """
    if source.stat().st_size > MOST_BYTES:
        raise Refusal(TooManyBytes(MOST_BYTES))
    if kind == "image":
        _normalise_picture(source, target, lane)
        return ".png"
    suffix = recognise(source, kind)
    if suffix == ".gif":
        with reading(source) as picture:
            check_frames(picture)
    with writing():
        copyfile(source, target)
    return suffix


def recognise(source: Path, kind: Kind) -> str:
    """The suffix of a video or a sound, by its first bytes and never by its name. Raises `Refusal`."""
    with source.open("rb") as file:
        start = file.read(FIRST_BYTES)
    for suffix, marks in MARKS[kind]:
        if all(start[offset : offset + len(mark)] == mark for offset, mark in marks):
            return suffix
    raise Refusal(FileUnrecognised())


@contextmanager
def reading(source: Path) -> Generator[Image.Image]:
    """Yield an open picture with an acceptable number of pixels, of which only the header was read.

    Everything that a decoder raises within the block becomes a `Refusal`.
    """
    with warnings.catch_warnings(), translated():
        # Pillow warns about doubtful files; here they are accepted or refused.
        warnings.simplefilter("ignore")
        # Pillow refuses twice this number, and does so before a decoder allocates anything.
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS // 2
        try:
            with closing(_open(source)) as picture:
                check_pixels(picture)
                yield picture
        finally:
            Image.MAX_IMAGE_PIXELS = usual


@contextmanager
def writing() -> Generator[None]:
    """Turn disk errors within the block into a `Refusal`."""
    try:
        yield
    except OSError as error:
        raise Refusal(DiskFailed(error.strerror or "")) from error


@contextmanager
def translated() -> Generator[None]:
    """Turn what a decoder raises within the block into a `Refusal`: damaged files raise nearly everything."""
    try:
        yield
    except (Refusal, Redirection):
        raise
    except MemoryError as error:
        raise Refusal(TooMuchMemory()) from error
    except Image.DecompressionBombError as error:
        raise Refusal(TooManyPixels(MOST_PIXELS)) from error
    except OSError as error:
        disk = error.errno in DISK_ERRORS
        raise Refusal(DiskFailed(error.strerror or "") if disk else FileDamaged()) from error
    except Exception as error:
        # The boundary of the decoders; the worker logs the cause.
        raise Refusal(FileDamaged()) from error


def check_pixels(picture: Image.Image) -> None:
    """Raise `Refusal` for more pixels than a process can decode, according to the header."""
    width, height = picture.size
    kind = picture.format or ""
    most = min(MOST_PIXELS, MOST_PIXELS_OF.get(kind, MOST_PIXELS))
    if isinstance(picture, JpegImagePlugin.JpegImageFile) and picture.info.get("progressive"):
        most = min(most, COPIES // _bytes_of_progressive(picture))
    if width * height > most:
        raise Refusal(TooManyPixels(most, kind if most < MOST_PIXELS else ""))


def check_frames(picture: Image.Image) -> int:
    """The number of frames, without decoding them. Raises `Refusal` for too many."""
    if (frames := int(getattr(picture, "n_frames", 1))) > MOST_FRAMES:
        raise Refusal(TooManyFrames(MOST_FRAMES))
    return frames


def _open(source: Path) -> Image.Image:
    try:
        return Image.open(source, formats=FORMATS)
    except (Image.DecompressionBombError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise Refusal(FileUnrecognised()) from error


def _bytes_of_progressive(picture: JpegImagePlugin.JpegImageFile) -> int:
    """Bytes a pixel: 4 of the picture, and two for each coefficient, all of which are kept until the last scan."""
    factors = [(across, down) for _, across, down, _ in picture.layer]
    whole = max((across for across, _ in factors), default=1) * max((down for _, down in factors), default=1)
    return 4 + -(-2 * sum(across * down for across, down in factors) // max(whole, 1))


def _normalise_picture(source: Path, target: Path, lane: Lane) -> None:
    with reading(source) as opened:
        # Cameras that write MPO and TIFF add a preview as a second frame.
        if opened.format not in {"MPO", "TIFF"} and getattr(opened, "is_animated", False):
            raise Refusal(FileAnimated())
        if lane == "light" and opened.width * opened.height > LIGHT_PIXELS:
            raise Redirection("heavy")
        picture = plain(opened)
        with target.open("wb") as file:
            picture.save(file, "PNG", compress_level=1)


def plain(picture: Image.Image) -> Image.Image:
    """Upright, in sRGB, RGB or RGBA, without metadata; at most two copies exist at any time."""
    picture.load()
    try:
        ImageOps.exif_transpose(picture, in_place=True)
    except (MemoryError, OSError):
        raise
    except Exception:  # noqa: BLE001, S110  damaged Exif data says nothing about the picture itself
        pass
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    profile = picture.info.get("icc_profile")
    if picture.mode in {"P", "PA", "LA", "1", "I;16", "I", "F"}:
        picture = picture.convert(mode)
    if isinstance(profile, bytes) and picture.mode in {"RGB", "RGBA", "L", "CMYK"}:
        picture = _in_srgb(picture, profile, mode)
    if picture.mode != mode:
        picture = picture.convert(mode)
    picture.info.clear()
    return picture


def _in_srgb(picture: Image.Image, profile: bytes, mode: str) -> Image.Image:
    """The picture converted from its profile to sRGB; unchanged if the profile is broken."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        made = ImageCms.profileToProfile(picture, source, SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return made or picture
