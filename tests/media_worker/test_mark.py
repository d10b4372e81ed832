"""Pictures and videos are marked as made by a machine, and nothing else about them changes."""

from __future__ import annotations

# PyAV's packets are generic without a parameter.
# pyright: reportUnknownMemberType=false
import io
import random
import struct
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import av
import pytest
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from app.media_worker import mark, pieces
from app.media_worker.mark import PACKET, marked
from app.media_worker.pieces import Keep, View, Zeros
from tests.media_worker.fuzz import CORPUS
from tests.media_worker.samples import encoded, noise, png_chunk

SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
MACHINE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
OLD = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">somebody else\'s</x:xmpmeta>'


def frames(count: int = 3) -> list[Image.Image]:
    return [noise((40, 30)).rotate(90 * turn) for turn in range(count)]


def animation(kind: str, **options: object) -> bytes:
    first, *rest = frames()
    return encoded(first, kind, save_all=True, append_images=rest, duration=[50, 80, 110], loop=0, **options)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def film(suffix: str = "mp4") -> bytes:
    made = io.BytesIO()
    with av.open(made, "w", format=suffix) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([50 * number]) * plane.buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return made.getvalue()


def packets(data: bytes) -> list[bytes]:
    """The XMP of a file as a reader that knows no format finds it: by the tags around it."""
    found: list[bytes] = []
    at = 0
    while (at := data.find(b"<x:xmpmeta", at)) >= 0:
        end = data.index(b"</x:xmpmeta>", at) + len(b"</x:xmpmeta>")
        found.append(data[at:end])
        at = end
    return found


def says_machine(xmp: bytes) -> bool:
    return any(one.get(SOURCE_TYPE) == MACHINE for one in ET.fromstring(xmp.decode()).iter())


def pillow_reads(data: bytes) -> bytes:
    """The XMP of a picture by Pillow; of a GIF by its own rule, which Pillow does not know."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        if picture.format == "GIF":
            block, at = picture.info["extension"]
            assert block == b"XMP DataXMP"
            # The bytes that look like the lengths of sub-blocks are a part of the packet.
            start = data.rindex(b"XMP DataXMP", 0, at) + 11
            return data[start : data.index(b"\x01\xff\xfe\xfd", start)]
        xmp = picture.info["xmp"]
        return xmp.encode() if isinstance(xmp, str) else xmp


def pixels(data: bytes) -> list[tuple[str, tuple[int, int], bytes, object]]:
    with Image.open(io.BytesIO(data)) as picture:
        return [
            (frame.mode, frame.size, frame.convert("RGBA").tobytes(), frame.info.get("duration"))
            for frame in ImageSequence.Iterator(picture)
        ]


STILLS: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded(noise(), "PNG"),
    "png with alpha": lambda: encoded(noise(mode="RGBA"), "PNG"),
    "jpeg": lambda: encoded(noise(), "JPEG"),
    "jpeg with Exif and colours": lambda: encoded(noise(), "JPEG", exif=Image.Exif(), icc_profile=b"colours"),
    "progressive jpeg": lambda: encoded(noise(), "JPEG", progressive=True, comment=b"a comment"),
    "lossy webp": lambda: encoded(noise(), "WEBP"),
    "lossy webp of odd size": lambda: encoded(noise((201, 163)), "WEBP"),
    "lossy webp with alpha": lambda: encoded(noise(mode="RGBA"), "WEBP"),
    "lossless webp": lambda: encoded(noise((201, 163)), "WEBP", lossless=True),
    "lossless webp with alpha": lambda: encoded(noise((201, 163), "RGBA"), "WEBP", lossless=True),
    "webp with colours and Exif": lambda: encoded(noise(), "WEBP", icc_profile=b"colours", exif=b"Exif\0\0II*\0"),
    "gif": lambda: encoded(noise().convert("P"), "GIF"),
    "gif with a comment": lambda: encoded(noise().convert("L"), "GIF", comment=b"a comment"),
}
MOVING: dict[str, Callable[[], bytes]] = {
    "moving png": lambda: animation("PNG"),
    "moving webp": lambda: animation("WEBP"),
    "moving lossless webp": lambda: animation("WEBP", lossless=True),
    "moving gif": lambda: animation("GIF"),
}
PICTURES = STILLS | MOVING


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_marked_and_keeps_its_pixels_and_its_bytes(name: str) -> None:
    data = PICTURES[name]()
    after = marked(data)
    assert says_machine(pillow_reads(after))
    assert len(packets(after)) == 1
    assert pixels(after) == pixels(data)
    assert len(data) < len(after) < len(data) + 900
    assert compressed(after) == compressed(data)


def compressed(data: bytes) -> list[bytes]:
    """What is encoded in a picture, by a parser of our own for each format."""
    found: list[bytes] = []
    if data.startswith(b"\x89PNG"):
        at = 8
        while at < len(data):
            end = at + 12 + int.from_bytes(data[at : at + 4])
            if data[at + 4 : at + 8] != b"iTXt":
                found.append(data[at:end])
            at = end
    elif data.startswith(b"\xff\xd8"):
        found.append(data[data.index(b"\xff\xdb") :])
    elif data.startswith(b"RIFF"):
        at = 12
        while at < len(data):
            kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
            if kind not in {b"VP8X", b"XMP "}:
                found.append(data[at : at + 8 + length])
            at += 8 + length + length % 2
    elif (start := data.find(b"!\xff\x0bXMP DataXMP")) >= 0:
        end = data.index(b"\x01\xff\xfe\xfd", start) + 258
        found.append(data[6:start] + data[end:])
    else:
        found.append(data[6:])
    return found


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_a_video_is_marked_at_its_end_and_keeps_its_frames(suffix: str) -> None:
    data = film(suffix)
    after = marked(data)
    assert after.startswith(data), "no offset in the film changes"
    length, kind = struct.unpack_from(">I4s", after, len(data))
    assert (kind, len(data) + length) == (b"uuid", len(after))
    assert after[len(data) + 8 :][:16].hex() == "be7acfcb97a942e89c71999491e3afac"
    assert says_machine(*packets(after[len(data) + 24 :]))
    assert decoded(after) == decoded(data)
    assert len(decoded(after)) == 5


def decoded(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data), "r") as container:
        return [bytes(frame.planes[0]) for frame in container.decode(video=0)]


def test_a_fragmented_video_is_marked() -> None:
    made = io.BytesIO()
    with (
        av.open(io.BytesIO(film()), "r") as source,
        av.open(made, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = made.getvalue()
    assert decoded(marked(data)) == decoded(data)
    assert says_machine(*packets(marked(data)))


def with_old_xmp() -> dict[str, bytes]:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", OLD.decode())
    info.add_itxt("workflow", "stays")
    zipped = PngInfo()
    zipped.add_itxt("XML:com.adobe.xmp", OLD.decode(), zip=True)
    gif = animation("GIF")
    colours = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    old_in_gif = b"!\xff\x0bXMP DataXMP" + OLD + bytes([1, *range(255, -1, -1), 0])
    uuid = box(b"uuid", bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC") + OLD)
    return {
        "png": encoded(noise(), "PNG", pnginfo=info),
        "zipped png": encoded(noise(), "PNG", pnginfo=zipped),
        "moving png": animation("PNG", pnginfo=info),
        "jpeg": encoded(noise(), "JPEG", xmp=OLD, exif=Image.Exif()),
        "webp": encoded(noise(), "WEBP", xmp=OLD),
        "moving webp": animation("WEBP", xmp=OLD),
        "gif": gif[:colours] + old_in_gif + gif[colours:-1] + old_in_gif + b";",
        "mp4": film() + uuid,
    }


@pytest.mark.parametrize("name", with_old_xmp())
def test_xmp_that_is_there_is_replaced(name: str) -> None:
    data = with_old_xmp()[name]
    after = marked(data)
    assert [says_machine(xmp) for xmp in packets(after)] == [True]
    assert b"somebody else" not in after
    if name == "mp4":
        assert decoded(after) == decoded(data)
    else:
        assert pixels(after) == pixels(data)
    if name in {"png", "moving png"}:
        assert b"stays" in after, "only XMP is replaced"


@pytest.mark.parametrize("name", [*PICTURES, "film"])
def test_a_mark_is_not_added_twice(name: str) -> None:
    once = marked(PICTURES[name]() if name in PICTURES else film())
    twice = marked(once)
    assert len(packets(twice)) == 1
    if name != "film":
        assert twice == once


def test_the_mark_follows_jfif_and_exif_and_precedes_the_rest() -> None:
    exif = Image.Exif()
    exif[0x010F] = "camera"
    after = marked(encoded(noise(), "JPEG", exif=exif, icc_profile=b"colours"))
    places = [after.index(name) for name in (b"JFIF", b"Exif", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE")]
    assert places == sorted(places)
    filled = encoded(noise(), "JPEG").replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1)
    assert says_machine(pillow_reads(marked(filled)))
    assert pixels(marked(filled)) == pixels(filled)


@pytest.mark.parametrize("name", ["rgb.avif", "moving.avif", "film.webm", "rgb.bmp", "raw.tif", "tone.mp3", "tone.wav"])
def test_formats_that_cannot_carry_the_mark_stay_as_they_are(name: str) -> None:
    data = (CORPUS / name).read_bytes()
    assert marked(data) == data


@pytest.mark.parametrize("name", [*PICTURES, "film"])
def test_a_truncated_file_is_left_alone_or_marked_but_never_raises(name: str) -> None:
    data = PICTURES[name]() if name in PICTURES else film()
    rng = random.Random(1)
    for end in [*range(64), *(rng.randrange(len(data)) for _ in range(100))]:
        cut = data[:end]
        after = marked(cut)
        assert after == cut or len(packets(after)) == 1


HOSTILE = {
    "png without a head": b"\x89PNG\r\n\x1a\n" + png_chunk(b"IDAT", b"x") + png_chunk(b"IEND", b""),
    "png without an end": b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(13)),
    "png whose chunk is too long": b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(13)) + b"\xff\xff\xff\xffIDAT",
    "png of very many chunks": b"\x89PNG\r\n\x1a\n"
    + png_chunk(b"IHDR", bytes(13))
    + png_chunk(b"IDAT", b"") * mark.MOST_PARTS
    + png_chunk(b"IEND", b""),
    "jpeg without a picture": b"\xff\xd8\xff\xe0\x00\x02\xff\xd9",
    "jpeg of fill bytes": b"\xff\xd8" + b"\xff" * 100_000,
    "webp without chunks": b"RIFF\x04\0\0\0WEBP",
    "webp that is longer than it is": b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(40),
    "webp of no size": b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\0\0\0\0",
    "webp of two pictures": b"RIFF\x24\0\0\0WEBP" + 2 * (b"VP8L\x08\0\0\0\x2f" + bytes(7)),
    "gif without blocks": b"GIF89a" + bytes(7),
    "gif whose sub-blocks do not end": b"GIF89a" + bytes(7) + b"!\xfe" + b"\xff" * 1_000,
    "gif of an unknown block": b"GIF89a" + bytes(7) + b"?;",
    "mp4 whose last box has no length": box(b"ftyp", b"isom") + bytes(4) + b"mdat" + b"frames",
    "mp4 with half a box": box(b"ftyp", b"isom") + b"\0\0",
    "mp4 of very many boxes": box(b"ftyp", b"isom") + box(b"free", b"") * mark.MOST_PARTS,
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_left_alone(name: str) -> None:
    assert marked(HOSTILE[name]) == HOSTILE[name]


@pytest.mark.parametrize("name", ["png", "lossy webp", "gif"])
def test_what_follows_a_picture_stays(name: str) -> None:
    after = marked(PICTURES[name]() + b"trailing")
    assert after.endswith(b"trailing")
    assert says_machine(pillow_reads(after))


def test_the_mark_is_small_and_plain() -> None:
    assert len(PACKET) < 500
    assert b"\0" not in PACKET, "a GIF would end it there"
    assert says_machine(*packets(PACKET))


def test_a_view_reads_a_file_that_is_not_written_yet(tmp_path: Path) -> None:
    """Whatever the pieces are, reading through the view is the same as reading the file that they make up."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(100)))
    made = [Keep(10, 20), b"inserted", Zeros(5), Keep(50, 53), b"", Keep(0, 40)]
    pieces.write(source, target, made)
    whole = target.read_bytes()
    with source.open("rb") as file:
        view = View(file, made)
        assert view.size == len(whole) == pieces.size_of(made)
        for start in range(len(whole) + 2):
            for count in (0, 1, 7, 30, 100):
                assert view.read(start, count) == whole[start : start + count]
        changed = view.resolve([Keep(5, 30), b"new", Keep(30, 200)])
    pieces.write(source, target, changed)
    assert target.read_bytes() == whole[5:30] + b"new" + whole[30:]
