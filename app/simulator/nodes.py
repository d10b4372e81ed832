"""What the simulated nodes make of their inputs; pure. A node not named here passes on what it got."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec.structs import replace

from app.simulator.canvas import Canvas, Value, canvas_of, integer, number, text

SAMPLERS = frozenset({"KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"})
SLEEPERS = frozenset({"BotTestSleep"})
"""Nodes that take steps."""


class NodeError(Exception):
    """A node that breaks: ComfyUI's `exception_type` and message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def steps_of(class_type: str, inputs: Mapping[str, Value], override: int | None) -> int:
    """How many steps a node takes; 0 for those that take none."""
    if class_type in SAMPLERS:
        return override or integer(inputs, "steps", 20)
    return integer(inputs, "steps", 10) if class_type in SLEEPERS else 0


def evaluate(class_type: str, inputs: Mapping[str, Value], size_of: Mapping[str, tuple[int, int]]) -> Value:
    """A node's result; all its outputs are the same value. `size_of` knows the uploaded pictures.

    Raises `NodeError` for nodes whose purpose it is.
    """
    canvas = canvas_of(inputs)
    match class_type:
        case "KSampler" | "KSamplerAdvanced" | "SamplerCustom" | "SamplerCustomAdvanced":
            return _sample(inputs, canvas)
        case "CLIPTextEncode":
            return text(inputs, "text")
        case "CheckpointLoaderSimple":
            return text(inputs, "ckpt_name")
        case "RandomNoise":
            return integer(inputs, "noise_seed", 0)
        case "EmptyImage":
            blank = _blank(inputs)
            return replace(blank, color=integer(inputs, "color", 0))
        case "LoadImage" | "LoadImageOutput":
            name = text(inputs, "image")
            width, height = size_of.get(name, (512, 512))
            return Canvas(width, height, file=name)
        case "ImageInvert":
            return replace(canvas, inverted=not canvas.inverted)
        case "ImageBatch":
            return replace(canvas, count=canvas.count + 1)
        case "RepeatLatentBatch" | "RepeatImageBatch":
            return replace(canvas, count=canvas.count * integer(inputs, "amount", 1))
        case "BotTestRaise":
            raise NodeError("RuntimeError", text(inputs, "message"))
        case "BotTestOOM":
            told = "This error means you ran out of memory on your GPU."
            raise NodeError("torch.OutOfMemoryError", f"Allocation on device\n{told}")
        case _ if class_type.startswith("Empty") and "width" in inputs:
            return _blank(inputs)
        case _:
            return _resized(class_type, inputs, canvas)


def _blank(inputs: Mapping[str, Value]) -> Canvas:
    count = integer(inputs, "batch_size", 1)
    return Canvas(integer(inputs, "width", 512), integer(inputs, "height", 512), count)


def _sample(inputs: Mapping[str, Value], latent: Canvas) -> Canvas:
    model = inputs.get("model")
    made_from = latent if latent.file or latent.prompt or latent.color is not None else None
    seed = integer(inputs, "seed", integer(inputs, "noise_seed", integer(inputs, "noise", 0)))
    return Canvas(
        latent.width,
        latent.height,
        latent.count,
        prompt=text(inputs, "positive"),
        seed=seed,
        steps=integer(inputs, "steps", 20),
        model=model if isinstance(model, str) else "",
        source=made_from,
        denoise=number(inputs, "denoise", 1.0),
    )


def _resized(class_type: str, inputs: Mapping[str, Value], canvas: Canvas) -> Value:
    width, height = canvas.width, canvas.height
    if class_type in {"ImageScaleBy", "LatentUpscaleBy"}:
        factor = number(inputs, "scale_by", 1.0)
    elif class_type == "ImageScaleToTotalPixels":
        factor = math.sqrt(number(inputs, "megapixels", 1.0) * 1024 * 1024 / (width * height))
    elif class_type == "ImageUpscaleWithModel":
        factor = 4.0
    elif class_type in {"ImageScale", "LatentUpscale", "ImageCrop"}:
        width = integer(inputs, "width", 0) or width
        height = integer(inputs, "height", 0) or height
        return replace(canvas, width=width, height=height)
    else:
        return canvas if any(isinstance(v, Canvas) for v in inputs.values()) else _first(inputs)
    return replace(canvas, width=max(8, round(width * factor)), height=max(8, round(height * factor)))


def _first(inputs: Mapping[str, Value]) -> Value:
    return next(iter(inputs.values()), None)
