"""Colours, and the palettes that the words of a prompt select."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from PIL import Image

from app.simulator.nodes.images import resized

Color: TypeAlias = tuple[int, int, int]


class Palette(Struct, frozen=True):
    """The colours of an image: the sky from its top to the horizon, the land from far to near, and the light."""

    sky: tuple[Color, ...]
    land: tuple[Color, Color]
    light: Color
    stars: bool = False


_PALETTES: dict[str, Palette] = {
    "dusk": Palette(
        ((38, 30, 84), (126, 62, 122), (236, 118, 106), (255, 202, 138)),
        ((150, 84, 118), (34, 22, 52)),
        (255, 226, 170),
    ),
    "night": Palette(
        ((8, 12, 38), (22, 34, 82), (56, 78, 138), (122, 138, 182)),
        ((58, 76, 124), (8, 12, 28)),
        (240, 240, 255),
        stars=True,
    ),
    "aurora": Palette(
        ((6, 16, 40), (12, 58, 82), (32, 132, 118), (148, 208, 152)),
        ((30, 92, 96), (6, 18, 30)),
        (214, 255, 226),
        stars=True,
    ),
    "morning": Palette(
        ((104, 160, 208), (164, 202, 222), (240, 222, 202), (255, 238, 212)),
        ((142, 170, 176), (38, 70, 74)),
        (255, 250, 228),
    ),
    "ember": Palette(
        ((58, 12, 32), (142, 30, 40), (228, 92, 44), (255, 184, 92)),
        ((146, 48, 46), (30, 8, 20)),
        (255, 226, 156),
    ),
    "mint": Palette(
        ((36, 92, 108), (94, 160, 152), (178, 214, 186), (242, 240, 208)),
        ((104, 158, 140), (18, 50, 54)),
        (255, 252, 224),
    ),
    "lilac": Palette(
        ((82, 72, 142), (148, 118, 186), (222, 170, 204), (255, 220, 214)),
        ((148, 120, 176), (42, 30, 74)),
        (255, 242, 236),
    ),
    "snow": Palette(
        ((92, 124, 166), (150, 178, 206), (206, 220, 232), (246, 246, 246)),
        ((178, 196, 214), (76, 98, 128)),
        (255, 255, 250),
    ),
}

_WORDS = {
    "night": ("night", "star", "moon", "midnight", "space"),
    "aurora": ("aurora", "northern", "magic", "alien"),
    "morning": ("morning", "dawn", "day", "sky", "sunny", "beach"),
    "ember": ("fire", "red", "lava", "dragon", "autumn", "desert", "mars"),
    "mint": ("forest", "green", "jungle", "garden", "spring", "tree", "sea", "lake"),
    "lilac": ("dream", "flower", "pink", "purple", "fairy", "lavender"),
    "snow": ("snow", "winter", "ice", "mountain", "frost"),
    "dusk": ("sunset", "dusk", "evening", "orange", "city"),
}

_DRIFT = 14
"""How far a seed shifts each colour channel, so that two seeds of one prompt do not look alike."""


def choose(words: str, rng: random.Random) -> Palette:
    """Return the palette that a prompt names, else a random one; always with a small random shift."""
    palette = _PALETTES[rng.choice(named(words, _WORDS) or sorted(_PALETTES))]
    drift = tuple(rng.randint(-_DRIFT, _DRIFT) for _ in range(3))

    def shifted(color: Color) -> Color:
        red, green, blue = (max(0, min(255, a + b)) for a, b in zip(color, drift, strict=True))
        return red, green, blue

    far, near = palette.land
    return Palette(tuple(shifted(color) for color in palette.sky), (shifted(far), near), palette.light, palette.stars)


def named(words: str, signs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the keys of which the prompt contains a word, singular or plural."""
    prompt_words = {word.strip(",.;:!?()[]").removesuffix("s") for word in words.lower().split()}
    return [key for key, sign_words in signs.items() if not prompt_words.isdisjoint(sign_words)]


def mix(first: Color, second: Color, share: float) -> Color:
    """Mix two colours; `share` (0 to 1) is that of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def gradient(size: tuple[int, int], stops: Sequence[Color]) -> Image.Image:
    """Return an image that runs through the colours from top to bottom."""
    strip = Image.new("RGB", (1, len(stops)))
    for row, color in enumerate(stops):
        strip.putpixel((0, row), color)
    # Cuts off half a stop above and below, where the interpolation is constant.
    return resized(strip, size, Image.Resampling.BICUBIC, (0, 0.5, 1, len(stops) - 0.5))
