"""Output nodes: they write real files and report them under ComfyUI's keys (T04, T20)."""

from __future__ import annotations

import io
import json
import string
from collections.abc import Callable
from typing import TypeAlias

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.ports import Json
from app.simulator.engine.cache import Result
from app.simulator.http import binary_frames
from app.simulator.media import flac, mp3, mp4, safetensors, webm
from app.simulator.nodes.context import Call
from app.simulator.nodes.types import Audio, Images, Latent, Video

Encoder: TypeAlias = Callable[[tuple[Image.Image, ...], float], bytes]
"""Encodes frames, with their rate per second, to the content of a file."""


async def save_image(call: Call) -> Result:
    """SaveImage."""
    return await _pictures(call, call.words("filename_prefix", "ComfyUI"), "output")


async def preview_image(call: Call) -> Result:
    """PreviewImage and MaskPreview: save to temp, under a name with five random letters."""
    return await _pictures(call, f"ComfyUI_temp_{_letters(call)}", "temp")


async def save_websocket(call: Call) -> Result:
    """SaveImageWebsocket: whole PNGs as binary frames, and nothing in history."""
    pictures = call.pictures()
    for index, picture in enumerate(pictures):
        image = await call.context.run_sync(_png, picture, None)
        await call.step(index, len(pictures), image, binary_frames.PNG)
    return Result(())


async def save_webp(call: Call) -> Result:
    """SaveAnimatedWEBP."""
    return await _animation(call, ".webp", webp)


async def save_apng(call: Call) -> Result:
    """SaveAnimatedPNG."""
    return await _animation(call, ".png", _apng)


async def save_video(call: Call) -> Result:
    """SaveVideo: JPEG frames in an MP4; see `media/mp4.py`."""
    return await _animation(call, ".mp4", mp4.encode)


async def save_webm(call: Call) -> Result:
    """SaveWEBM: VP8, whatever codec was requested; see `media/webm.py`."""
    return await _animation(call, ".webm", webm.encode)


async def save_audio(call: Call) -> Result:
    """SaveAudio; there is no Opus encoder, so Opus files become FLAC by name and content."""
    return await _sound(call, call.words("filename_prefix", "audio/ComfyUI"), "output")


async def save_mp3(call: Call) -> Result:
    """SaveAudioMP3: a silent file of the right length; see `media/mp3.py`."""
    return await _sound(call, call.words("filename_prefix", "audio/ComfyUI"), "output", ".mp3", mp3.encode)


async def save_latent(call: Call) -> Result:
    """SaveLatent: a real file in which all numbers are zero."""
    latent = call.first(Latent) or Latent(512, 512)
    content = safetensors.encode(latent.batch, latent.width, latent.height, json.dumps(call.graph))
    prefix = call.words("filename_prefix", "latents/ComfyUI")
    entry = await call.context.run_sync(call.context.files.save, prefix, ".latent", content)
    return Result((), {"latents": [dict[str, Json](entry)]})


async def preview_audio(call: Call) -> Result:
    """PreviewAudio."""
    return await _sound(call, f"ComfyUI_temp_{_letters(call)}", "temp")


async def preview_any(call: Call) -> Result:
    """PreviewAny: a text."""
    value = call.inputs.get("source")
    if isinstance(value, str):
        text = value
    elif value is None or isinstance(value, (bool, int, float, list, dict)):
        text = json.dumps(value)
    else:
        text = f"{type(value).__name__}"
    return Result((), {"text": [text]})


async def save_text(call: Call) -> Result:
    """SaveText: a file, and its text beside it."""
    text = call.words("text")
    prefix, suffix = call.words("filename_prefix", "ComfyUI"), f".{call.words('format', 'txt')}"
    files = call.context.files
    entry = await call.context.run_sync(lambda: files.save(prefix, suffix, text.encode(), tail=""))
    return Result((text,), {"text": [text], "files": [dict[str, Json](entry)]})


async def compare_images(call: Call) -> Result:
    """ImageCompare: both batches, saved to temp under keys of their own."""
    shown: dict[str, Json] = {}
    for side in ("a", "b"):
        batch = call.get(f"image_{side}", Images)
        if batch is not None:
            prefix = f"comfy.compare.{side}_temp_{_letters(call)}"
            shown[f"{side}_images"] = await call.context.run_sync(_write_pictures, call, batch.batch, prefix, "temp")
    return Result((), shown)


async def save_unknown(call: Call) -> Result:
    """Other output classes: save the input's images if there are any, else nothing."""
    if call.first(Images) is None:
        return Result(())
    return await _pictures(call, call.words("filename_prefix", "ComfyUI"), "output")


async def _pictures(call: Call, prefix: str, folder: str) -> Result:
    pictures = call.pictures()
    entries = await call.context.run_sync(_write_pictures, call, pictures, prefix, folder)
    return Result((Images(pictures),), {"images": entries})


def _write_pictures(call: Call, pictures: tuple[Image.Image, ...], prefix: str, folder: str) -> list[Json]:
    info, files = _chunks(call), call.context.files
    prefix = _expand(prefix, pictures[0])
    return [dict[str, Json](files.save(prefix, ".png", _png(picture, info), folder)) for picture in pictures]


async def _animation(call: Call, suffix: str, encode: Encoder) -> Result:
    entry = await call.context.run_sync(_write_animation, call, suffix, encode)
    return Result((), {"images": [entry], "animated": [True]})


def _write_animation(call: Call, suffix: str, encode: Encoder) -> Json:
    video = call.first(Video)
    pictures = video.frames if video else call.pictures()
    rate = video.rate if video else call.number("fps", 8.0)
    prefix = _expand(call.words("filename_prefix", "ComfyUI"), pictures[0])
    return dict[str, Json](call.context.files.save(prefix, suffix, encode(pictures, rate)))


async def _sound(
    call: Call, prefix: str, folder: str, suffix: str = ".flac", encode: Callable[[float], bytes] = flac.encode
) -> Result:
    audio = call.first(Audio) or Audio(1.0)
    content = await call.context.run_sync(encode, audio.seconds)
    # Newer versions end the names of sounds without the underscore (0.33: T04_audio).
    tail, files = "" if call.context.version.modern else "_", call.context.files
    entry = await call.context.run_sync(lambda: files.save(prefix, suffix, content, folder, tail=tail))
    return Result((audio,), {"audio": [dict[str, Json](entry)]})


def _chunks(call: Call) -> PngInfo:
    """Return PNG metadata with the graph and the request's extra_pnginfo, as ComfyUI adds to every image (T20)."""
    info = PngInfo()
    info.add_text("prompt", json.dumps(call.graph))
    extra = call.extra_data.get("extra_pnginfo")
    for key, value in extra.items() if isinstance(extra, dict) else ():
        info.add_text(key, json.dumps(value))
    return info


def _png(picture: Image.Image, info: PngInfo | None) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=info, compress_level=4)
    return out.getvalue()


def webp(pictures: tuple[Image.Image, ...], rate: float) -> bytes:
    """Encode frames as an animated WEBP; `rate` is in frames per second."""
    out = io.BytesIO()
    duration = round(1000 / rate)
    pictures[0].save(out, "WEBP", save_all=True, append_images=pictures[1:], duration=duration, quality=80, method=2)
    return out.getvalue()


def _apng(pictures: tuple[Image.Image, ...], rate: float) -> bytes:
    out = io.BytesIO()
    pictures[0].save(
        out, "PNG", save_all=True, append_images=pictures[1:], duration=round(1000 / rate), compress_level=4
    )
    return out.getvalue()


def _letters(call: Call) -> str:
    return "".join(call.context.rng.choices(string.ascii_lowercase, k=5))


def _expand(prefix: str, picture: Image.Image) -> str:
    """Resolve the two placeholders `%width%` and `%height%`."""
    return prefix.replace("%width%", str(picture.width)).replace("%height%", str(picture.height))
