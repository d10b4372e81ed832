"""Files for the tests of the media worker."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SECRET = "the whole graph"
"""What must not be in a file that is posted."""


def noise(size: tuple[int, int] = (200, 160), mode: str = "RGB") -> Image.Image:
    """A picture that cannot be compressed."""
    return Image.frombytes(mode, size, random.Random(1).randbytes(size[0] * size[1] * len(mode)))


def gradient(size: tuple[int, int]) -> Image.Image:
    """A picture that becomes brighter from the top to the bottom."""
    width, height = size
    return Image.frombytes("L", size, b"".join(bytes([y * 255 // height]) * width for y in range(height)))


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as a file."""
    made = io.BytesIO()
    picture.save(made, kind, **options)  # pyright: ignore[reportArgumentType]
    return made.getvalue()


def exif(text: str = f"workflow:{SECRET}", orientation: int = 1) -> Image.Exif:
    """Exif data, as ComfyUI and cameras write it."""
    made = Image.Exif()
    made[0x0112], made[0x010F] = orientation, text
    return made


def graph_png(path: Path, picture: Image.Image) -> Path:
    """A PNG that carries the graph in every kind of chunk that can hold it."""
    info = PngInfo()
    info.add_text("prompt", SECRET)
    info.add_text("extra", SECRET, zip=True)
    info.add_itxt("workflow", SECRET, zip=False)
    info.add_itxt("zipped", SECRET, zip=True)
    picture.save(path, pnginfo=info, exif=exif())
    return path


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def claiming(width: int, height: int) -> bytes:
    """A PNG that says it is that large, and has nothing inside."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def claiming_webp(width: int, height: int) -> bytes:
    """A WebP that says it is that large, and has nothing inside."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + size
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk


def gif(frames: int, size: tuple[int, int] = (8, 8)) -> bytes:
    """An animation of frames that differ."""
    first, *rest = (Image.new("L", size, number % 256) for number in range(frames))
    return encoded(first, "GIF", save_all=True, append_images=rest)
