"""What output nodes leave behind: real files, and the entries that name them (COMFYUI.md 3)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from PIL import Image

from app.ports import Json
from app.simulator import painter
from app.simulator.canvas import Canvas, Value, canvas_of, text
from app.simulator.sockets import Preview

if TYPE_CHECKING:
    from app.simulator.prompts import Prompt
    from app.simulator.server import World

FRAMES = 8
"""Pictures in an animation whose canvas has only one: enough to see that it moves."""


async def show(
    kind: str,
    inputs: dict[str, Value],
    prompt: Prompt,
    world: World,
    node: str,
    say_step: Callable[[int, int], None],
) -> dict[str, Json] | None:
    """Do what an output node does; None for any other node, and for those that show nothing.

    `say_step` is told of pictures that are sent one by one, which ComfyUI counts as steps (measured, T04).
    """
    canvas = canvas_of(inputs)
    prefix = text(inputs, "filename_prefix", "ComfyUI")
    match kind:
        case "SaveImage":
            return await _images(canvas, prompt, world, prefix, "output")
        case "PreviewImage":
            return await _images(canvas, prompt, world, "ComfyUI_temp_mdemo", "temp")
        case "SaveImageWebsocket":
            for index in range(canvas.count):
                say_step(index, canvas.count)
                content = await world.run_sync(_png, canvas, index, world, dict[str, str]())
                about: dict[str, Json] = {
                    "node_id": node,
                    "prompt_id": prompt.prompt_id,
                    "display_node_id": node,
                    "parent_node_id": None,
                    "real_node_id": node,
                    "image_type": "image/png",
                }
                world.sockets.show(Preview(about, content, format=2), prompt.client_id)
            return None
        case "SaveAnimatedWEBP" | "SaveAnimatedPNG":
            form = "WEBP" if kind == "SaveAnimatedWEBP" else "PNG"
            content = await world.run_sync(_animation, canvas, world, form)
            entry = world.files.save(prefix, f".{form.lower()}", content)
            return {"images": [dict[str, Json](entry)], "animated": [True]}
        case "SaveVideo" | "SaveWEBM":
            suffix = ".mp4" if kind == "SaveVideo" else ".webm"
            entry = world.files.save(prefix, suffix, _empty_video(kind))
            return {"images": [dict[str, Json](entry)], "animated": [True]}
        case "SaveAudio" | "PreviewAudio":
            entry = world.files.save(prefix, ".wav", _tone(), "output" if kind == "SaveAudio" else "temp")
            return {"audio": [dict[str, Json](entry)]}
        case "PreviewAny":
            source = inputs.get("source")
            told = str(source) if not isinstance(source, Canvas) else "a picture"
            return {"text": [told]}
        case _:
            return None


async def _images(canvas: Canvas, prompt: Prompt, world: World, prefix: str, kind: str) -> dict[str, Json]:
    chunks = {"prompt": msgspec.json.encode(prompt.graph).decode()}
    info = prompt.extra_data.get("extra_pnginfo")
    if isinstance(info, dict) and "workflow" in info:
        chunks["workflow"] = msgspec.json.encode(info["workflow"]).decode()
    entries: list[Json] = []
    for index in range(canvas.count):
        content = await world.run_sync(_png, canvas, index, world, chunks)
        entries.append(dict[str, Json](world.files.save(prefix, ".png", content, kind)))
    return {"images": entries}


def _png(canvas: Canvas, index: int, world: World, chunks: dict[str, str]) -> bytes:
    return painter.png(painter.paint(canvas, index, world.files.open_input), chunks)


def _animation(canvas: Canvas, world: World, form: str) -> bytes:
    count = canvas.count if canvas.count > 1 else FRAMES
    frames: list[Image.Image] = [painter.paint(canvas, index, world.files.open_input) for index in range(count)]
    return painter.animation(frames, form)


def _empty_video(kind: str) -> bytes:
    """A container without a picture: the simulator has no video encoder, and does not pretend to."""
    if kind == "SaveWEBM":
        return bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581 02")
    return struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom") + struct.pack(">I4s", 8, b"free")


def _tone() -> bytes:
    """One second of a quiet A, as 8 kHz WAV."""
    samples = bytes(round(128 + 40 * math.sin(n * math.tau * 440 / 8000)) for n in range(8000))
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + 8000, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    return head + struct.pack("<4sI", b"data", 8000) + samples
