"""Finds slots by the input nodes of other tools, which are recognised by their class; such nodes are optional."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from app.workflows.discovery.candidates import Candidate, FoundBy, slug
from app.workflows.model import Kind, Target


class Convention(Struct, frozen=True, kw_only=True):
    """The inputs in which a tool's nodes hold a slot's properties. The first name that exists counts; "" is any."""

    tool: str
    value: tuple[str, ...]
    name: tuple[str, ...] = ()
    """The inputs that hold the slot's name. If empty, the node's title is the name."""
    title: str = ""
    description: str = ""
    limits: tuple[str, str] = ("", "")
    kind: Kind | None = None


def _deploy(kind: Kind | None = None, *, limits: tuple[str, str] = ("", "")) -> Convention:
    return Convention(
        tool="ComfyUI Deploy",
        value=("default_value",),
        name=("input_id",),
        title="display_name",
        description="description",
        limits=limits,
        kind=kind,
    )


def _swarm(kind: Kind | None = None, *, limits: tuple[str, str] = ("", ""), value: str = "value") -> Convention:
    return Convention(
        tool="SwarmUI",
        value=(value,),
        name=("raw_id", "title"),
        title="title",
        description="description",
        limits=limits,
        kind=kind,
    )


CONVENTIONS: dict[str, Convention] = {
    "ComfyUIDeployExternalText": _deploy("text"),
    "ComfyUIDeployExternalTextAny": _deploy("text"),
    "ComfyUIDeployExternalNumber": _deploy("number"),
    "ComfyUIDeployExternalNumberInt": _deploy("integer"),
    "ComfyUIDeployExternalNumberSlider": _deploy("number", limits=("min_value", "max_value")),
    "ComfyUIDeployExternalNumberSliderInt": _deploy("integer", limits=("min_value", "max_value")),
    "ComfyUIDeployExternalBoolean": _deploy("boolean"),
    "ComfyUIDeployExternalCheckpoint": _deploy("model"),
    "SwarmInputText": _swarm("text"),
    "SwarmInputInteger": _swarm("integer", limits=("min", "max")),
    "SwarmInputFloat": _swarm("number", limits=("min", "max")),
    "SwarmInputBoolean": _swarm("boolean"),
    "SwarmInputDropdown": _swarm(),
    "SwarmInputModelName": _swarm("model"),
    "SwarmInputCheckpoint": _swarm("model"),
    "SwarmInputImage": _swarm("image", value="image"),
    "ETN_Parameter": Convention(
        tool="Krita AI", value=("default",), name=("name",), title="name", limits=("min", "max")
    ),
    "ServingInputText": Convention(tool="Serving Toolkit", value=("default",), name=("argument",), kind="text"),
    "ServingInputNumber": Convention(
        tool="Serving Toolkit",
        value=("default",),
        name=("argument",),
        limits=("min_value", "max_value"),
        kind="number",
    ),
}
"""The conventions by node class, with the input names of the tools' own nodes."""

PACKS = ("CPackInput", "BentoInput")
"""The prefixes of comfy-pack's classes; later versions use the second."""

PACKED: dict[str, Kind | None] = {
    "String": "text",
    "Int": "integer",
    "Integer": "integer",
    "Float": "number",
    "Boolean": "boolean",
    "Image": "image",
    "Any": None,
}
"""The rest of comfy-pack's class names, and the kind of slot; "Any" names its only input after the node it feeds."""

KRITA: dict[str, tuple[Kind, str]] = {
    "number": ("number", ""),
    "number (integer)": ("integer", ""),
    "toggle": ("boolean", ""),
    "text": ("text", ""),
    "prompt (positive)": ("text", "prompt"),
    "prompt (negative)": ("text", "negative"),
}
"""Krita's parameter types: the kind of slot, and the slot's name where the type determines it."""


def by_node_class(graph: Graph) -> Iterator[Candidate]:
    """Yield the candidates that other tools' input nodes name."""
    for node, entry in graph.items():
        convention = _convention(str(entry.get("class_type")))
        if convention is None:
            continue
        node_inputs = inputs(graph, node)
        value = next(
            (
                input_name
                for name in convention.value
                for input_name in ([name] if name else node_inputs)
                if _is_free(node_inputs, input_name)
            ),
            None,
        )
        kind, meant = KRITA.get(str(node_inputs.get("type")), (convention.kind, ""))
        name = slug(meant or _text(node_inputs, *convention.name) or title(graph, node))
        if value is None or not name:
            continue
        choices = tuple(choice.strip() for choice in _text(node_inputs, "values").split(",") if choice.strip())
        low, high = (_number(node_inputs.get(limit)) for limit in convention.limits)
        has_span = low is not None and high is not None and low < high
        yield Candidate(
            name=name,
            targets=(Target(NodeId(node), value),),
            how=FoundBy("tool", convention.tool),
            title=_text(node_inputs, convention.title),
            description=_text(node_inputs, convention.description),
            kind=kind or ("choice" if choices else None),
            minimum=low if has_span and kind in {"integer", "number"} else None,
            maximum=high if has_span and kind in {"integer", "number"} else None,
            choices=choices,
        )


def _convention(kind: str) -> Convention | None:
    for pack in PACKS:
        if kind.startswith(pack) and kind.removeprefix(pack) in PACKED:
            packed = PACKED[kind.removeprefix(pack)]
            return Convention(tool="comfy-pack", value=("value", "image", ""), limits=("min", "max"), kind=packed)
    return CONVENTIONS.get(kind)


def _is_free(node_inputs: dict[str, Json], name: str) -> bool:
    return name in node_inputs and not isinstance(node_inputs[name], list)


def _text(node_inputs: dict[str, Json], *names: str) -> str:
    values = (node_inputs.get(name) for name in names)
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def _number(value: Json) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
