"""Re-encodes videos that are too large for Discord as H.264 and AAC in an MP4, one frame at a time; finds posters.

Needs the extra `video` (PyAV); importing this module without it raises `ImportError`.
"""

from __future__ import annotations

# PyAV's packets are generic without a parameter.
# pyright: reportUnknownMemberType=false
import math
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import av
import av.error
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from msgspec import Struct
from PIL import Image, ImageStat

from app.media_worker.containers import EBML
from app.media_worker.protocol import Compressed, Refusal
from app.reasons.files import DoesNotFit, FileDamaged

LONGEST_SIDE = 1920
"""Pixels: nobody sees more in a message, and the encoder's memory grows with them."""

MOST_PIXELS = 4096 * 2304
"""Pixels of a frame; decoders keep several frames."""

MOST_SECONDS = 15 * 60.0
"""Longer videos would look bad at the size that Discord accepts."""

BITS_A_PIXEL = 0.05
"""Bits a pixel of H.264; with fewer it is better to scale down."""

LEAST_VIDEO_BITS = 64_000
"""Bits a second below which nothing can be recognised."""

AUDIO_BITS = 96_000
AUDIO_RATE = 48_000
AUDIO_FRAME = 1024
"""Samples in a frame of AAC."""

SMALLEST_SCALE = 0.2

HEADROOM = 0.93
"""Part of the limit to aim at: the container needs a little, and the encoder follows its rate only roughly."""

TRIES = 3
"""Tries; each lowers its aim by the factor by which the one before was too large."""

THREADS = 2
"""Threads; each takes memory for frames of its own."""

MOST_LOOKED_AT = 120
"""Frames at the beginning of which one is shown for the whole video: five seconds."""

LEAST_CONTRAST = 12.0
"""Standard deviation of the brightness, 0 to 127, from which on something can be seen on a frame."""


class Plan(Struct, frozen=True):
    """What to encode: even `width` and `height`, `video` and `audio` bits a second; `scale` of the original."""

    width: int
    height: int
    video: int
    audio: int
    scale: float


def compress_video(source: Path, target: Path, limit: int) -> Compressed:
    """Write a version of a video that has at most `limit` bytes to `target`. Raises `Refusal` if there is none."""
    try:
        aim = limit * HEADROOM
        for _ in range(TRIES):
            # An open file and an explicit format, so that nothing inside can lead FFmpeg to another file or address.
            with source.open("rb") as file, av.open(file, "r", _format(file), metadata_errors="replace") as film:
                plan = _plan(film, aim)
                _encode(film, target, plan)
            size = target.stat().st_size
            if size <= limit:
                return Compressed(suffix=".mp4", quality=0, scale=plan.scale)
            aim *= HEADROOM * limit / size
    except (av.error.FFmpegError, ValueError, IndexError, ArithmeticError) as error:
        raise Refusal(DoesNotFit()) from error
    raise Refusal(DoesNotFit())


def poster(source: Path, longest_side: int) -> Image.Image:
    """The first frame of a video on which something can be seen, else its very first one, in this size at most.

    Raises `Refusal` if it cannot be decoded.
    """
    try:
        with source.open("rb") as file, av.open(file, "r", _format(file), metadata_errors="replace") as film:
            video = film.streams.video[0]
            width, height = video.codec_context.width, video.codec_context.height
            if width < 1 or height < 1 or width * height > MOST_PIXELS:
                raise Refusal(FileDamaged())
            video.codec_context.thread_count = THREADS
            scale = min(1.0, longest_side / max(width, height))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            first: Image.Image | None = None
            for frame in islice(film.decode(video), MOST_LOOKED_AT):
                picture = _picture(frame.reformat(width=size[0], height=size[1], format="rgb24"))
                if ImageStat.Stat(picture.convert("L")).stddev[0] >= LEAST_CONTRAST:
                    return picture
                first = first or picture
    except (av.error.FFmpegError, ValueError, IndexError, ArithmeticError) as error:
        raise Refusal(FileDamaged()) from error
    if first is None:
        raise Refusal(FileDamaged())
    return first


def _picture(frame: av.VideoFrame) -> Image.Image:
    """A frame in RGB as a picture."""
    return cast("Image.Image", frame.to_image())


def _format(file: BinaryIO) -> str:
    """FFmpeg's name of the container, by its first bytes."""
    start = file.read(4)
    file.seek(0)
    return "matroska" if start == EBML else "mp4"


def _plan(film: InputContainer, aim: float) -> Plan:
    """The encoding that stays below `aim` bytes. Raises `Refusal` if it would be unrecognisable."""
    video = film.streams.video[0]
    seconds = _seconds(film)
    width, height = video.codec_context.width, video.codec_context.height
    if width < 2 or height < 2 or width * height > MOST_PIXELS or not 0 < seconds <= MOST_SECONDS:
        raise Refusal(DoesNotFit())
    bits = aim * 8 / seconds
    audio = min(AUDIO_BITS, int(bits / 5)) if film.streams.audio else 0
    bits -= audio
    if bits < LEAST_VIDEO_BITS:
        raise Refusal(DoesNotFit())
    rate = float(video.average_rate or 25)
    by_bits = math.sqrt(bits / (BITS_A_PIXEL * rate * width * height))
    scale = max(SMALLEST_SCALE, min(1.0, by_bits, LONGEST_SIDE / max(width, height)))
    return Plan(_even(width * scale), _even(height * scale), int(bits), audio, scale)


def _seconds(film: InputContainer) -> float:
    video = film.streams.video[0]
    if film.duration:
        return film.duration / av.time_base
    if video.duration and video.time_base:
        return float(video.duration * video.time_base)
    return 0.0


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)


def _encode(film: InputContainer, target: Path, plan: Plan) -> None:
    video = film.streams.video[0]
    video.codec_context.thread_count = THREADS
    audio = film.streams.audio[0] if plan.audio else None
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as made:
        rate = Fraction(video.average_rate or 25).limit_denominator(1001)
        picture = made.add_stream("libx264", rate=rate)
        picture.width, picture.height, picture.pix_fmt = plan.width, plan.height, "yuv420p"
        picture.bit_rate = plan.video
        picture.codec_context.thread_count = THREADS
        picture.codec_context.time_base = video.time_base or 1 / rate
        picture.options = {
            "preset": "veryfast",
            "maxrate": str(plan.video),
            "bufsize": str(2 * plan.video),
        }
        sound = None
        resampler = AudioResampler(format="fltp", layout="stereo", rate=AUDIO_RATE, frame_size=AUDIO_FRAME)
        if audio is not None:
            sound = made.add_stream("aac", rate=AUDIO_RATE, layout="stereo")
            sound.bit_rate = plan.audio
        last = -1
        wanted = [video] if audio is None else [video, audio]
        for packet in film.demux(*wanted):
            if packet.stream.index == video.index:
                for frame in video.decode(packet):
                    # Players expect increasing timestamps.
                    if frame.pts is None or frame.pts <= last:
                        frame.pts = last + 1
                    last = frame.pts
                    small = frame.reformat(width=plan.width, height=plan.height, format="yuv420p")
                    small.pts, small.time_base = frame.pts, video.time_base or 1 / rate
                    made.mux(picture.encode(small))
            elif audio is not None and sound is not None:
                for heard in audio.decode(packet):
                    for piece in resampler.resample(heard):
                        made.mux(sound.encode(piece))
        made.mux(picture.encode(None))
        if sound is not None:
            for piece in resampler.resample(None):
                made.mux(sound.encode(piece))
            made.mux(sound.encode(None))
