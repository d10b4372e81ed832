"""The presets that fit any model: those that are included, and the operator's own."""

from __future__ import annotations

from collections.abc import Mapping

from app.config.settings import Preset

INCLUDED: Mapping[str, Preset] = {
    "photo": Preset(suffix="photograph, natural light, sharp focus"),
    "painting": Preset(suffix="oil painting, visible brush strokes"),
    "watercolour": Preset(suffix="watercolour on paper, soft edges"),
    "drawing": Preset(suffix="pencil drawing, fine lines"),
    "comic": Preset(suffix="comic book panel, bold outlines, flat colours"),
    "3d": Preset(suffix="3D render, soft studio light"),
    "pixel-art": Preset(suffix="pixel art, limited palette"),
}
"""The presets that come with the program."""


def available(own: Mapping[str, Preset]) -> dict[str, Preset]:
    """The included presets and the operator's own; an own one that is empty removes the included one of its name."""
    return {name: preset for name, preset in {**INCLUDED, **own}.items() if preset != Preset()}


def joined(text: str, addition: str) -> str:
    """A text with an addition after a comma."""
    return ", ".join(filter(None, (text.strip().rstrip(",").rstrip(), addition)))
