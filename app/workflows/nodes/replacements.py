"""The node classes that ComfyUI has renamed or merged, as a server lists them (`/node_replacements`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw, Struct

from app.ports import Json


class Replacement(Struct, frozen=True, kw_only=True):
    """The class that takes the place of another one."""

    by: str
    fields: tuple[str, ...] = ()
    """The fields of the old class, in the order in which the editor saves their values."""
    names: dict[str, str] = {}
    """The new names of inputs, by the old ones; other inputs keep their names."""
    added: dict[str, Json] = {}
    """The values of inputs that the old class did not have."""


REPLACEMENTS = {
    "ResizeImagesByLongerEdge": Replacement(
        by="ImageScaleToMaxDimension",
        fields=("longer_edge",),
        names={"images": "image", "longer_edge": "largest_size"},
        added={"upscale_method": "lanczos"},
    ),
    "ImageBatch": Replacement(by="BatchImagesNode", names={"image1": "images.image0", "image2": "images.image1"}),
    "ImageScaleBy": Replacement(
        by="ResizeImageMaskNode",
        fields=("upscale_method", "scale_by"),
        names={"image": "input", "upscale_method": "scale_method", "scale_by": "resize_type.multiplier"},
        added={"resize_type": "scale by multiplier"},
    ),
    "T2IAdapterLoader": Replacement(
        by="ControlNetLoader", fields=("t2i_adapter_name",), names={"t2i_adapter_name": "control_net_name"}
    ),
    "Load3DAnimation": Replacement(by="Load3D"),
    "Preview3DAnimation": Replacement(by="Preview3D"),
    "SDV_img2vid_Conditioning": Replacement(by="SVD_img2vid_Conditioning"),
    "ConditioningAverage ": Replacement(by="ConditioningAverage"),
}
"""The replacements that ComfyUI 0.33 registers, by the old class: for servers that do not list any."""


class _Output(Struct):
    old_idx: int
    new_idx: int


class _Listed(Struct):
    """One replacement, as a server lists it."""

    new_node_id: str
    old_widget_ids: list[str] | None = None
    input_mapping: list[dict[str, Json]] | None = None
    output_mapping: list[_Output] | None = None


_LISTED = msgspec.json.Decoder(list[_Listed])


def read_replacements(listed: Mapping[str, Raw]) -> dict[str, Replacement]:
    """Read what a server lists; the first of several replacements counts, as on the server.

    Entries that cannot be read are left out, and so are those that number the outputs anew.
    """
    return {old: new for old, entries in listed.items() if (new := next(_readable(entries), None)) is not None}


def _readable(entries: Raw) -> Iterator[Replacement]:
    try:
        first, *_ = _LISTED.decode(entries)
    except (ValueError, RecursionError):
        # Of msgspec's errors, and of an empty list.
        return
    if any(output.old_idx != output.new_idx for output in first.output_mapping or ()):
        return
    names: dict[str, str] = {}
    added: dict[str, Json] = {}
    for mapping in first.input_mapping or ():
        match mapping:
            case {"new_id": str() as new, "set_value": value}:
                added[new] = value
            case {"new_id": str() as new, "old_id": str() as old}:
                names[old] = new
            case _:
                return
    yield Replacement(by=first.new_node_id, fields=tuple(first.old_widget_ids or ()), names=names, added=added)
