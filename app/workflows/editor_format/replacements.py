"""Replaces node classes that ComfyUI has renamed or merged, as its server does with a prompt (`/node_replacements`)."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from app.ports import Json
from app.workflows.editor_format.parser import Node
from app.workflows.node_definitions import Definitions


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
"""The replacements that ComfyUI 0.33 registers, by the old class."""


def replaced(node: Node, definitions: Definitions) -> Node:
    """Return a node with the class that replaces its own, if the server has only the new one; else the node itself."""
    new = REPLACEMENTS.get(node.type)
    if new is None or definitions.get(node.type) is not None or definitions.get(new.by) is None:
        return node
    values = node.values
    if new.fields:
        # The row of values has the order of the old class, so the values are passed on by name.
        old = values if isinstance(values, dict) else dict(zip(new.fields, values, strict=False))
        values = {**new.added, **{new.names.get(name, name): value for name, value in old.items()}}
    return replace(
        node,
        type=new.by,
        inputs=tuple(
            replace(
                socket,
                name=new.names.get(socket.name, socket.name),
                widget=new.names.get(socket.widget, socket.widget),
            )
            for socket in node.inputs
        ),
        values=values,
        named={},
    )
