"""Named sets of settings that fit any model: what is added to the prompt, and values of slots. Plain data."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from app.ports import Json


class Preset(Struct, frozen=True, kw_only=True):
    """One preset. A model without a slot for one of its values is used without that value.

    `suffix` is added to the prompt and `negative` to the negative prompt, after a comma; `format` is one of
    `app.service.formats.FORMATS`, "" for the model's own; `values` are those of other slots, by name.
    """

    suffix: str = ""
    negative: str = ""
    format: str = ""
    values: dict[str, Json] = {}


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
