"""Paints what a canvas describes: hills under a sky, different for each prompt, seed and model."""

from __future__ import annotations

import colorsys
import hashlib
import io
import math
import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

from app.simulator.canvas import Canvas

Color = tuple[int, int, int]

SMALLEST_CAPTION = 160
"""Pixels of width below which a caption could not be read."""


def paint(canvas: Canvas, index: int, load: Callable[[str], Image.Image]) -> Image.Image:
    """Paint the `index`-th picture of a canvas; `load` opens an uploaded file."""
    size = (max(8, canvas.width), max(8, canvas.height))
    if canvas.file:
        picture = ImageOps.fit(load(canvas.file).convert("RGB"), size)
    elif canvas.prompt or canvas.color is None:
        picture = _landscape(canvas, index, size)
        if canvas.source is not None:
            before = ImageOps.fit(paint(canvas.source, index, load), size)
            picture = Image.blend(before, picture, min(1.0, max(0.0, canvas.denoise)))
        _caption(picture, canvas, index)
    else:
        picture = Image.new("RGB", size, _rgb(canvas.color))
    return ImageChops.invert(picture) if canvas.inverted else picture


def png(picture: Image.Image, chunks: dict[str, str]) -> bytes:
    """Encode with text chunks, as ComfyUI does with `prompt` and `workflow` (measured, T20)."""
    info = PngInfo()
    for key, value in chunks.items():
        info.add_text(key, value)
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=info, compress_level=4)
    return out.getvalue()


def animation(frames: list[Image.Image], kind: str) -> bytes:
    """Encode frames as an animated PNG or WEBP."""
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=160, loop=0)
    return out.getvalue()


def preview(picture: Image.Image, fraction: float) -> bytes:
    """A JPEG of the picture as it becomes clear; `fraction` of its steps are done."""
    small = ImageOps.contain(picture, (256, 256))
    blurred = small.filter(ImageFilter.GaussianBlur((1 - fraction) * 18))
    out = io.BytesIO()
    blurred.save(out, "JPEG", quality=85)
    return out.getvalue()


def _rgb(color: int) -> Color:
    return color >> 16 & 255, color >> 8 & 255, color & 255


def _hue(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _landscape(canvas: Canvas, index: int, size: tuple[int, int]) -> Image.Image:
    seed = f"{canvas.prompt}\n{canvas.seed}\n{index}\n{canvas.model}"
    dice = random.Random(hashlib.sha256(seed.encode()).digest())  # noqa: S311  art, no secret
    height = size[1]
    hue = dice.random()
    top, low = _hue(hue, 0.62, 0.42 + 0.3 * dice.random()), _hue(hue + 0.09, 0.34, 0.98)
    sky = ImageOps.fit(Image.linear_gradient("L"), size)
    picture = ImageOps.colorize(sky, top, low)
    _stars(picture, dice)
    _moon(picture, dice, _hue(hue + 0.48, 0.18, 1.0))
    layers = dice.randint(4, 6)
    for layer in range(layers):
        depth = (layer + 1) / layers
        shade = _hue(hue + 0.03 + 0.12 * depth, 0.3 + 0.42 * depth, 0.82 - 0.62 * depth)
        base = height * (0.42 + 0.44 * depth)
        _hills(picture, dice, base, height * (0.16 - 0.07 * depth), shade)
    grain = Image.effect_noise(size, 14).convert("RGB")
    return ImageChops.soft_light(picture, Image.blend(Image.new("RGB", size, (128, 128, 128)), grain, 0.5))


def _stars(picture: Image.Image, dice: random.Random) -> None:
    draw = ImageDraw.Draw(picture, "RGBA")
    for _ in range(dice.randint(10, 60)):
        x, y = dice.random() * picture.width, dice.random() ** 2 * picture.height * 0.5
        radius = dice.random() * picture.width / 400 + 0.4
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (255, 255, 245, dice.randint(60, 200)))


def _moon(picture: Image.Image, dice: random.Random, color: Color) -> None:
    radius = min(picture.size) * (0.05 + 0.09 * dice.random())
    x = picture.width * (0.15 + 0.7 * dice.random())
    y = picture.height * (0.12 + 0.22 * dice.random())
    glow = Image.new("L", picture.size, 0)
    draw = ImageDraw.Draw(glow)
    for ring in range(6, 0, -1):
        wide = radius * (1 + ring * 0.32)
        draw.ellipse((x - wide, y - wide, x + wide, y + wide), fill=12 + (6 - ring) * 12)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=245)
    picture.paste(color, mask=glow.filter(ImageFilter.GaussianBlur(max(1.0, radius / 14))))


def _hills(picture: Image.Image, dice: random.Random, base: float, swing: float, shade: Color) -> None:
    waves = [(dice.uniform(1, 5), dice.random() * math.tau, dice.random()) for _ in range(4)]
    waves += [(dice.uniform(9, 23), dice.random() * math.tau, dice.random() * 0.16) for _ in range(3)]
    stride = max(1, picture.width // 256)
    edge = [
        (x, base - swing * sum(w * math.sin(f * x / picture.width * math.tau / 2 + p) for f, p, w in waves))
        for x in range(0, picture.width + stride, stride)
    ]
    ImageDraw.Draw(picture).polygon([*edge, (picture.width, picture.height), (0, picture.height)], fill=shade)


def _caption(picture: Image.Image, canvas: Canvas, index: int) -> None:
    if picture.width < SMALLEST_CAPTION:
        return
    size = max(10, picture.width // 36)
    font = ImageFont.load_default(size)
    said = " ".join(canvas.prompt.split())
    said = said if len(said) <= 44 else f"{said[:43]}…"
    facts = f"seed {canvas.seed} · {canvas.steps} steps" + (f" · {index + 1}" if index else "")
    draw = ImageDraw.Draw(picture, "RGBA")
    top = picture.height - 3 * size - 6
    draw.rectangle((0, top, picture.width, picture.height), (8, 8, 16, 110))
    draw.text((size, top + size * 0.3), said, (255, 255, 255, 235), font)
    draw.text((size, top + size * 1.6), facts, (255, 255, 255, 165), font)
