"""What people attach, before it reaches a server: checked before it is decoded, and encoded anew. Synchronous."""

from __future__ import annotations

import io
import warnings
from urllib.parse import urlsplit

from PIL import Image, ImageCms, ImageOps

from app.workflows.slots import WorkflowError

MOST_BYTES = 25 * 2**20
"""More than Discord takes from most people; a photo of a telephone has 3 to 8 MB."""

MOST_PIXELS = 8192 * 8192
"""A picture of that size takes 200 MB to decode; no workflow of ours begins with a larger one."""

HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
"""Where Discord keeps attachments. We fetch from nowhere else: an address that people choose could lead inside."""

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
"""The colours that every program takes numbers for."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What Pillow may try; its rarer readers have been the ones with holes."""


UNUSABLE = {
    "image": "This is no picture that can be used: attach a PNG, JPEG or WebP.",
    "video": "This is no video that can be used: attach an MP4 or WebM.",
    "audio": "This is no sound that can be used: attach an MP3, WAV, FLAC or Ogg.",
}
"""What to say of a file, by the kind that is wanted."""

NAMES = {"image": "picture", "video": "video", "audio": "sound"}
"""What people call files of a kind."""

TYPES = {
    "image": ("image/",),
    "video": ("video/", "image/gif"),
    "audio": ("audio/", "application/ogg", "video/ogg"),
}
"""How the media types begin that Discord gives to files of a kind; it goes by their names."""

MARKS: dict[str, tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...]] = {
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
"""How files of a kind begin: the ending we give them, and which bytes stand where. An MP3 without a title begins
with its first frame: eleven bits, and layer III of one of three versions."""


def fits(kind: str, media_type: str) -> bool:
    """Whether a file of this type may be what a slot of a kind takes; one without a type may."""
    return not media_type or media_type.startswith(TYPES[kind])


def allowed(url: str, rest_url: str = "") -> bool:
    """Whether an attachment may be fetched from there: Discord's hosts, or the host that stands in for Discord."""
    try:
        parts, own = urlsplit(url), urlsplit(rest_url)
        if parts.username is not None or parts.password is not None:
            return False
        if own.hostname and (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port):
            return True
        return parts.scheme == "https" and parts.hostname in HOSTS and parts.port in {None, 443}
    except ValueError:
        return False


def check_size(size: int) -> None:
    """Raises `WorkflowError` for more bytes than we take."""
    if size > MOST_BYTES:
        told = f"has {size / 2**20:.0f} MB, and {MOST_BYTES // 2**20} MB is the most: make it smaller"
        raise WorkflowError(f"The file {told}.")


def recognise(data: bytes, kind: str) -> str:
    """The ending of a video or a sound, by its first bytes and never by its name. Raises `WorkflowError`."""
    for suffix, marks in MARKS[kind]:
        if all(data[offset : offset + len(mark)] == mark for offset, mark in marks):
            return suffix
    raise WorkflowError(UNUSABLE[kind])


def take_in(data: bytes) -> bytes:
    """The picture as a plain PNG: upright, in sRGB, without metadata. Raises `WorkflowError` with a sentence."""
    check_size(len(data))
    try:
        with warnings.catch_warnings():
            # Its own limit is ours to judge, by the header, before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise WorkflowError(f"The picture has too many pixels: at most {MOST_PIXELS // 10**6} million.") from None
    except (OSError, SyntaxError, ValueError):
        raise WorkflowError(UNUSABLE["image"]) from None
    with picture:
        width, height = picture.size
        if width * height > MOST_PIXELS:
            told = f"has {width} × {height} pixels, and {MOST_PIXELS // 10**6} million is the most: make it smaller"
            raise WorkflowError(f"The picture {told}.")
        if getattr(picture, "n_frames", 1) > 1 and picture.format not in {"MPO", "TIFF"}:
            raise WorkflowError("The picture moves, and a still one is needed: attach a single frame of it.")
        try:
            return _encoded(picture)
        except (OSError, SyntaxError, ValueError, MemoryError):
            raise WorkflowError("The picture is damaged or cut off: save it again, and attach that.") from None


def _encoded(picture: Image.Image) -> bytes:
    upright = ImageOps.exif_transpose(picture)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    profile = upright.info.get("icc_profile")
    plain = upright.convert(mode) if upright.mode in {"P", "PA", "LA", "1", "I;16", "I", "F"} else upright
    if isinstance(profile, bytes) and plain.mode in {"RGB", "RGBA", "L", "CMYK"}:
        plain = _to_srgb(plain, profile, mode)
    made = io.BytesIO()
    clean = plain.convert(mode)
    clean.info.clear()
    clean.save(made, "PNG", compress_level=1)
    return made.getvalue()


def _to_srgb(picture: Image.Image, profile: bytes, mode: str) -> Image.Image:
    """Colours as the profile means them; with a broken profile, as the numbers stand."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        made = ImageCms.profileToProfile(picture, source, SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return made or picture
