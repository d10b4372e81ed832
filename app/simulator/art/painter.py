"""Paints images from a prompt's text: deterministic, fast, and without a model."""

from __future__ import annotations

import hashlib
import io
import random

from msgspec import Struct
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from app.simulator.art import landscape, palette
from app.simulator.nodes.images import curve, resized

PREVIEW = 512
"""The size in pixels to which ComfyUI scales previews up or down (--preview-size)."""

LARGEST = 1280
"""Pixels of the longer side of a painted image; larger images are scaled up from it, to save time."""

OVERSIZE = 1.6
"""The factor by which images are painted larger: enough for smooth edges, and 512 by 512 stays below 60 ms."""

_SCENES = {
    "sea": ("sea", "ocean", "lake", "beach", "water", "ship", "island"),
    "city": ("city", "street", "tokyo", "town", "tower", "cyberpunk", "neon"),
    "peaks": ("mountain", "peak", "snow", "dragon", "castle"),
    "bokeh": ("portrait", "face", "cat", "dog", "person", "macro", "bokeh", "flower"),
    "hills": ("hill", "forest", "landscape", "field", "valley", "garden"),
}


class Recipe(Struct, frozen=True):
    """Everything that an image depends on."""

    words: str
    seed: int
    model: str
    steps: int
    width: int
    height: int


def paint(recipe: Recipe) -> Image.Image:
    """Paint an image of the recipe's size, without a caption. The same recipe gives the same pixels."""
    recipe_bytes = f"{recipe.words}\0{recipe.seed}\0{recipe.model}".encode()
    rng = random.Random(hashlib.sha256(recipe_bytes).digest())  # noqa: S311  only for painting
    colors = palette.choose(recipe.words, rng)
    scene = rng.choice(palette.named(recipe.words, _SCENES) or sorted(_SCENES))
    # Painted larger and scaled down for smooth edges, because Pillow draws without antialiasing.
    width, height = max(8, recipe.width), max(8, recipe.height)
    scale = min(OVERSIZE, LARGEST / max(width, height))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    canvas = palette.gradient(size, colors.sky)
    landscape.clouds(canvas, colors, rng)
    if colors.stars:
        landscape.stars(canvas, colors, rng)
    sun = landscape.shine(canvas, colors, rng)
    if scene == "sea":
        landscape.sea(canvas, colors, rng, sun)
    elif scene == "city":
        landscape.city(canvas, colors, rng)
    elif scene == "bokeh":
        landscape.bokeh(canvas, colors, rng)
    else:
        landscape.land(canvas, colors, rng, sharp=scene == "peaks")
    return _grain(resized(canvas, (width, height), Image.Resampling.BILINEAR), rng)


def repaint(recipe: Recipe, base: Image.Image, denoise: float) -> Image.Image:
    """Paint over a base image (img2img); the lower denoise (0 to 1) is, the more of the base remains."""
    fresh = paint(recipe)
    resized_base = resized(base.convert("RGB"), fresh.size, Image.Resampling.BILINEAR)
    return Image.blend(resized_base, fresh, max(0.0, min(1.0, denoise)))


def film(still: Image.Image, frames: int) -> tuple[Image.Image, ...]:
    """Return `frames` frames of a slow pan over an image."""
    width, height = still.size
    room_x, room_y = width * 0.12, height * 0.08
    shots: list[Image.Image] = []
    for frame in range(frames):
        share = frame / max(1, frames - 1)
        box_left, box_top = room_x * share, room_y * share
        box = (box_left, box_top, box_left + width - room_x, box_top + height - room_y)
        shots.append(resized(still, still.size, Image.Resampling.BILINEAR, box))
    return tuple(shots)


def caption(picture: Image.Image, recipe: Recipe) -> Image.Image:
    """Write the recipe into a lower corner of the image; leave it out if the text would be too small to read."""
    size = round(min(picture.size) / 34)
    if size < 7:
        return picture
    font = ImageFont.load_default(size)
    lines = [f"seed {recipe.seed} · {recipe.steps} step{'' if recipe.steps == 1 else 's'}"]
    if recipe.words.strip():
        lines.insert(0, _excerpt(" ".join(recipe.words.split()), font, picture.width * 0.86))
    wide = max(font.getlength(line) for line in lines)
    margin, line_height = size * 0.7, size * 1.35
    top = picture.height - margin * 2.4 - line_height * len(lines)
    plate = Image.new("L", picture.size)
    box = (margin, top, margin * 2.6 + wide, picture.height - margin)
    ImageDraw.Draw(plate).rounded_rectangle(box, radius=margin, fill=118)
    captioned = picture.copy()
    captioned.paste((12, 12, 20), (0, 0), plate)
    draw = ImageDraw.Draw(captioned)
    for number, line in enumerate(lines):
        color = (255, 255, 255) if number == 0 and len(lines) > 1 else (214, 218, 228)
        draw.text((margin * 1.8, top + margin * 0.7 + number * line_height), line, fill=color, font=font)
    return captioned


def preview(picture: Image.Image, clearness: float) -> bytes:
    """Encode a preview as a JPEG, which is sharper the further the sampling is (`clearness`, 0 to 1)."""
    scale = PREVIEW / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    # Blurred at half the size, which looks the same and is four times faster.
    small = resized(picture.convert("RGB"), (max(1, size[0] // 2), max(1, size[1] // 2)))
    foggy = small.filter(ImageFilter.GaussianBlur((1 - clearness) ** 1.5 * 22))
    out = io.BytesIO()
    image = resized(foggy, size) if clearness < 1 else resized(picture.convert("RGB"), size)
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def noise(pixels: bytes, side: int) -> bytes:
    """Encode a preview of noise that is as large as real ones: 100 to 150 kB (T07). `pixels` are RGB."""
    out = io.BytesIO()
    grain = Image.frombytes("RGB", (side, side), pixels)
    resized(grain, (PREVIEW, PREVIEW), Image.Resampling.BILINEAR).save(out, "JPEG", quality=95)
    return out.getvalue()


def _grain(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Add a slight texture; Pillow's own noise is not reproducible."""
    side = 256
    tile = curve(Image.frombytes("L", (side, side), rng.randbytes(side * side)), lambda level: 124 + level // 32)
    sheet = Image.new("L", picture.size)
    for x in range(0, picture.width, side):
        for y in range(0, picture.height, side):
            sheet.paste(tile, (x, y))
    return ImageChops.overlay(picture, Image.merge("RGB", (sheet, sheet, sheet)))


def _excerpt(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(words + "…") > room:
        words = words[:-1]
    return words.rstrip() + "…"
