"""The layers of a painted image: skies, lights and landscapes. All randomness comes from the given `rng`."""

from __future__ import annotations

import itertools
import math
import random

from PIL import Image, ImageDraw, ImageFilter

from app.simulator.art.palette import Color, Palette, mix
from app.simulator.nodes.images import curve, resized


def shine(canvas: Image.Image, palette: Palette, rng: random.Random) -> tuple[float, float]:
    """Draw a sun or moon with its glow; returns its position as fractions of the canvas."""
    width, height = canvas.size
    x, y = rng.uniform(0.18, 0.82), rng.uniform(0.14, 0.44)
    radius = min(canvas.size) * rng.uniform(0.05, 0.12)
    reach = round(radius * rng.uniform(5, 8))
    glow = resized(Image.radial_gradient("L"), (2 * reach, 2 * reach))
    glow = curve(glow, lambda level: ((255 - level) / 255) ** 2.2 * 190)
    canvas.paste(palette.light, (round(x * width) - reach, round(y * height) - reach), glow)
    draw = ImageDraw.Draw(canvas)
    draw.ellipse(_around(x * width, y * height, radius), fill=palette.light)
    return x, y


def stars(canvas: Image.Image, palette: Palette, rng: random.Random) -> None:
    """Draw points of light in the upper part."""
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.randint(60, 140)):
        x, y = rng.random() * canvas.width, rng.random() ** 1.6 * canvas.height * 0.6
        under = canvas.getpixel((int(x), int(y)))
        if isinstance(under, tuple):
            red, green, blue, *_ = under
            color = mix((int(red), int(green), int(blue)), palette.light, rng.uniform(0.25, 0.95))
            draw.ellipse(_around(x, y, canvas.height / 900 * rng.uniform(0.6, 2)), fill=color)


def clouds(canvas: Image.Image, palette: Palette, rng: random.Random) -> None:
    """Draw long soft streaks."""
    columns, rows = 7, 18
    noise = Image.frombytes("L", (columns, rows), rng.randbytes(columns * rows))
    thick = rng.uniform(0.6, 1.1)
    noise = curve(noise, lambda level: max(0, level - 120) * thick)
    veil = resized(noise, canvas.size, Image.Resampling.BICUBIC)
    fade = resized(Image.linear_gradient("L").transpose(Image.Transpose.FLIP_TOP_BOTTOM), canvas.size)
    canvas.paste(palette.light, (0, 0), Image.composite(veil, Image.new("L", canvas.size), fade))


def land(canvas: Image.Image, palette: Palette, rng: random.Random, *, sharp: bool) -> None:
    """Draw ranges of hills or of peaks, the far ones in the haze."""
    width, height = canvas.size
    layers = rng.randint(4, 6)
    top = rng.uniform(0.46, 0.6)
    draw = ImageDraw.Draw(canvas)
    far, near = palette.land
    for layer in range(layers):
        depth = layer / (layers - 1)
        base = height * (top + (1.0 - top) * depth**1.25 * 0.88)
        swing = height * (0.13 - 0.06 * depth) * (1.5 if sharp else 1.0)
        ridge = _ridge(rng, width, base, swing, sharp=sharp)
        color = mix(mix(far, palette.sky[-1], 0.35), near, depth)
        draw.polygon([(0, height), *ridge, (width, height)], fill=color)


def sea(canvas: Image.Image, palette: Palette, rng: random.Random, sun: tuple[float, float]) -> None:
    """Draw water up to the horizon, which mirrors the sky and glitters below the light."""
    width, height = canvas.size
    horizon = round(height * rng.uniform(0.56, 0.68))
    mirror = canvas.crop((0, 0, width, horizon)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    water = resized(mirror, (width, height - horizon)).filter(ImageFilter.GaussianBlur(width / 90))
    deep = Image.new("RGB", water.size, palette.land[1])
    canvas.paste(Image.blend(water, deep, 0.34), (0, horizon))
    draw = ImageDraw.Draw(canvas)
    for _ in range(130):
        depth = rng.random() ** 1.4
        y = horizon + depth * (height - horizon)
        x = (sun[0] + rng.gauss(0, 0.03 + 0.1 * depth)) * width
        half = width * (0.004 + 0.03 * depth * rng.random())
        thick = max(1, round(height / 420 * (0.4 + 1.6 * depth)))
        draw.line((x - half, y, x + half, y), fill=mix(palette.sky[-1], palette.light, rng.random()), width=thick)
    if rng.random() < 0.7:
        side = rng.choice((0, width))
        ridge = _ridge(rng, width, horizon - height * 0.02, height * 0.09, sharp=False)
        above_water = [(x, min(y + _shore(x, side, width) * height, horizon)) for x, y in ridge]
        draw.polygon([(0, horizon), *above_water, (width, horizon)], fill=mix(*palette.land, 0.45))


def city(canvas: Image.Image, palette: Palette, rng: random.Random) -> None:
    """Draw rows of buildings with lit windows."""
    width, height = canvas.size
    draw = ImageDraw.Draw(canvas)
    far, near = palette.land
    for layer in range(3):
        color = mix(mix(far, palette.sky[-1], 0.3), near, layer / 2)
        x = -rng.random() * width * 0.05
        while x < width:
            wide = width * rng.uniform(0.035, 0.1)
            top = height * (rng.uniform(0.42, 0.7) + 0.1 * layer)
            draw.rectangle((x, top, x + wide, height), fill=color)
            grid = max(4.0, height / 70)
            for column in range(1, int(wide / grid)):
                for row in range(1, int((height * 0.92 - top) / grid)):
                    if rng.random() < 0.16 + 0.06 * layer:
                        window_left, window_top = x + column * grid, top + row * grid
                        box = (window_left, window_top, window_left + grid * 0.42, window_top + grid * 0.5)
                        draw.rectangle(box, fill=mix(color, palette.light, rng.uniform(0.45, 0.95)))
            x += wide + width * rng.uniform(0.0, 0.012)


def bokeh(canvas: Image.Image, palette: Palette, rng: random.Random) -> None:
    """Draw lights out of focus."""
    colors: list[Color] = [palette.light, *palette.sky[1:]]
    for sharpness in (0.03, 0.012, 0.003):
        light = Image.new("L", canvas.size)
        draw = ImageDraw.Draw(light)
        for _ in range(rng.randint(6, 13)):
            radius = min(canvas.size) * rng.uniform(0.02, 0.11)
            where = _around(rng.random() * canvas.width, rng.random() * canvas.height, radius)
            draw.ellipse(where, fill=rng.randint(40, 130), outline=rng.randint(120, 180))
        blurred = light.reduce(2).filter(ImageFilter.GaussianBlur(canvas.width * sharpness / 2))
        canvas.paste(rng.choice(colors), (0, 0), resized(blurred, canvas.size))


def _ridge(rng: random.Random, width: int, base: float, swing: float, *, sharp: bool) -> list[tuple[float, float]]:
    if sharp:
        heights = [rng.uniform(-1, 1), rng.uniform(-1, 1)]
        rough = 0.9
        while len(heights) < 129:
            between = [(a + b) / 2 + rng.uniform(-rough, rough) for a, b in itertools.pairwise(heights)]
            heights = [value for pair in zip(heights, between, strict=False) for value in pair] + heights[-1:]
            rough *= 0.5
    else:
        waves = [(rng.uniform(1.2, 4.2), rng.uniform(0, math.tau), rng.uniform(0.4, 1)) for _ in range(4)]
        heights = [
            sum(math.sin(n / 128 * rate * math.tau / 1.6 + phase) * size for rate, phase, size in waves) / 2
            for n in range(129)
        ]
    return [(n * width / 128, base - value * swing) for n, value in enumerate(heights)]


def _shore(x: float, side: int, width: int) -> float:
    """Return how far a headland sinks: it rises at one side, and is gone in the middle."""
    return min(1.0, abs(x - side) / width * 0.3)


def _around(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return x - radius, y - radius, x + radius, y + radius
