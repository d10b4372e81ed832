"""Derives graphs that start from a picture: image to image, and outpainting, by the graph that made the picture.

The sampler gets the encoded picture instead of its latent, and a strength; everything that only led to its old latent
is left out. Graphs in, graphs out: nothing here reads a file or asks a server.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from app.core.jobs.job import JobRequest, Upload, Variation
from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph, Json
from app.reasons import Reason
from app.workflows.api_graph import copied, inputs, sources
from app.workflows.discovery.value_source import held, number
from app.workflows.model import Target, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.reasons.variation import NoStrength, UnknownSize
from app.workflows.variations.extension import Extension, Frame, extended
from app.workflows.variations.picture_source import OWN, PictureSource, Size, link_to, picture_source

Strength: TypeAlias = Literal["subtle", "strong"]

Change: TypeAlias = Strength | Extension
"""What is done to a picture."""

CHANGES: dict[str, Change] = {
    "subtle": "subtle",
    "strong": "strong",
    "zoom": "zoom",
    "left": "left",
    "right": "right",
    "up": "up",
    "down": "down",
}
"""All of them by their names, as people and the journal have them."""

STRENGTHS: dict[Strength, float] = {"subtle": 0.4, "strong": 0.7}
"""The part of the sampling that is done anew (`denoise`). The composition of the picture survives both."""

PICTURE, SCALED, PADDED = f"{OWN}picture", f"{OWN}scaled", f"{OWN}padded"
ENCODED, MASKED, SIGMAS, MODEL = f"{OWN}encoded", f"{OWN}masked", f"{OWN}sigmas", f"{OWN}model"
"""The ids of the nodes that are added."""

TITLES = {PICTURE: "Picture", SCALED: "Scale", PADDED: "Margins", ENCODED: "Encode", MASKED: "Mask", SIGMAS: "Strength"}
"""What the progress calls them."""

FEATHER = 0.06
"""The part of the shorter side over which the picture blends into what is added."""

TILES: dict[str, Json] = {"tile_size": 512, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8}
"""The settings that the tiled decoder and encoder share, and their defaults."""


class Derived(Struct, frozen=True):
    """A graph that starts from a picture, and the input that gets its name."""

    graph: Graph
    picture: Target


def derive(graph: Graph, change: Change, definitions: Definitions | None = None) -> Derived:
    """Derive the graph that changes the picture which `graph` makes. Raises `WorkflowError` if that is impossible.

    A graph that was derived may be given; then only the latest change remains.
    """
    source = picture_source(graph, definitions)
    graph = copied(graph)
    _undo(graph, source)
    if change == "subtle" or change == "strong":
        latent = _encoded(graph, source, _scaled(graph, source))
        _set_strength(graph, source.sampler, STRENGTHS[change])
    else:
        latent = _extended(graph, source, extended(change, *_pixels(graph, source.size)))
        _set_strength(graph, source.sampler, 1.0)
    inputs(graph, source.sampler)["latent_image"] = [latent, 0]
    graph = _needed(graph, source.saver)
    return Derived(graph, Target(NodeId(PICTURE), "image"))


def varied(
    request: JobRequest, change: Change, picture: str, definitions: Definitions | None = None
) -> tuple[JobRequest, Target]:
    """The request that does this to the picture at this path, and the input that gets it. Raises `WorkflowError`."""
    derived = derive(request.graph, change, definitions)
    graph, target = derived.graph, derived.picture
    uploads = [upload for upload in request.uploads if upload.node in graph]
    made = replace(
        request,
        graph=graph,
        uploads=(*uploads, Upload(target.node, target.input, picture)),
        choices=tuple(choice for choice in request.choices if choice.node in graph),
        variation=Variation(change, picture),
    )
    return made, target


def problem(graph: Graph, change: Change, definitions: Definitions | None = None) -> Reason | None:
    """Why `derive` does not know how to do this to the picture that the graph makes; None if it does."""
    try:
        derive(graph, change, definitions)
    except WorkflowError as error:
        return error.reason
    return None


def can_be(graph: Graph, change: Change, definitions: Definitions | None = None) -> bool:
    """Whether `derive` knows how to do this to the picture that the graph makes."""
    return problem(graph, change, definitions) is None


def _undo(graph: Graph, source: PictureSource) -> None:
    """Take what an earlier change put before the sampler out of the graph."""
    for node in (source.sampler, _guider(graph, source.sampler)):
        for name, own in (("sigmas", SIGMAS), ("model", MODEL)):
            link = link_to(graph, node, name)
            if link is not None and link[0] == own:
                inputs(graph, node)[name] = inputs(graph, own)[name]
    for node in [node for node in graph if node.startswith(OWN)]:
        del graph[node]


def _scaled(graph: Graph, source: PictureSource) -> str:
    """Load the picture, in the size at which it was sampled."""
    _add(graph, PICTURE, "LoadImage", {"image": ""})
    if source.size is None:
        if source.resized:
            raise WorkflowError(UnknownSize())
        return PICTURE
    return _scale(graph, source.size.width, source.size.height)


def _scale(graph: Graph, width: Json, height: Json) -> str:
    """Scale the loaded picture; what does not fit is cut off on both sides."""
    settings: dict[str, Json] = {"upscale_method": "lanczos", "width": width, "height": height, "crop": "center"}
    return _add(graph, SCALED, "ImageScale", {"image": [PICTURE, 0], **settings})


def _encoded(graph: Graph, source: PictureSource, picture: str) -> str:
    decoder = inputs(graph, source.decoder)
    links: dict[str, Json] = {"pixels": [picture, 0], "vae": decoder["vae"]}
    if graph[source.decoder]["class_type"] != "VAEDecodeTiled":
        return _add(graph, ENCODED, "VAEEncode", links)
    # Their steps differ, so that the tiles' sizes may not be taken over.
    return _add(graph, ENCODED, "VAEEncodeTiled", {**links, **TILES})


def _extended(graph: Graph, source: PictureSource, frame: Frame) -> str:
    """Put the picture into a larger one, of which the sampler makes only what is new."""
    _add(graph, PICTURE, "LoadImage", {"image": ""})
    _scale(graph, frame.width, frame.height)
    sides: dict[str, Json] = {"left": frame.left, "top": frame.top, "right": frame.right, "bottom": frame.bottom}
    feathering = round(min(frame.width, frame.height) * FEATHER)
    _add(graph, PADDED, "ImagePadForOutpaint", {"image": [SCALED, 0], **sides, "feathering": feathering})
    _encoded(graph, source, PADDED)
    for node in (source.sampler, _guider(graph, source.sampler)):
        if isinstance(model := inputs(graph, node).get("model"), list):
            # It lets the seam change gradually, as the mask does.
            _add(graph, MODEL, "DifferentialDiffusion", {"model": model})
            inputs(graph, node)["model"] = [MODEL, 0]
            break
    return _add(graph, MASKED, "SetLatentNoiseMask", {"samples": [ENCODED, 0], "mask": [PADDED, 1]})


def _pixels(graph: Graph, size: Size | None) -> tuple[int, int]:
    """The size at which a picture was sampled, in pixels. Raises `WorkflowError` if the graph computes it."""
    width, height = (_whole(graph, size.width), _whole(graph, size.height)) if size is not None else (0, 0)
    if not width or not height:
        raise WorkflowError(UnknownSize())
    return width, height


def _whole(graph: Graph, side: Json) -> int:
    """A side in pixels, which the graph may hold in a node of its own; 0 if it computes it."""
    match side:
        case [str() as source, int()] if source in graph and (name := held(graph, source)):
            target = number(graph, source, name)
            side = inputs(graph, target.node)[target.input] if target is not None else None
        case _:
            pass
    return side if isinstance(side, int) and not isinstance(side, bool) else 0


def _set_strength(graph: Graph, sampler: str, strength: float) -> None:
    """Set how much the sampler changes: by its own setting, that of its schedule, or by leaving out first steps."""
    node_inputs = inputs(graph, sampler)
    if "start_at_step" in node_inputs:
        target = number(graph, sampler, "steps")
        steps = inputs(graph, target.node)[target.input] if target is not None else None
        start = round(steps * (1 - strength)) if isinstance(steps, (int, float)) else -1
        end = node_inputs.get("end_at_step")
        if start < 0 or not isinstance(end, int) or start >= end:
            raise WorkflowError(NoStrength(title(graph, sampler)))
        node_inputs["start_at_step"] = start
    elif "denoise" in node_inputs:
        node_inputs["denoise"] = strength
    elif (link := link_to(graph, sampler, "sigmas")) is None:
        raise WorkflowError(NoStrength(title(graph, sampler)))
    elif "denoise" in inputs(graph, link[0]):
        inputs(graph, link[0])["denoise"] = strength
    elif strength < 1:
        _add(graph, SIGMAS, "SplitSigmasDenoise", {"sigmas": [*link], "denoise": strength})
        # Its first output is what comes before, its second the rest.
        node_inputs["sigmas"] = [SIGMAS, 1]


def _guider(graph: Graph, sampler: str) -> str:
    """The node that has the sampler's model: its guider, or the sampler itself."""
    link = link_to(graph, sampler, "guider")
    return link[0] if link is not None else sampler


def _add(graph: Graph, node: str, kind: str, node_inputs: dict[str, Json]) -> str:
    meta: dict[str, Json] = {"title": TITLES.get(node, kind)}
    graph[node] = {"class_type": kind, "inputs": node_inputs, "_meta": meta}
    return node


def _needed(graph: Graph, saver: str) -> Graph:
    """The part of a graph on which its saved picture depends, in the same order."""
    needed, waiting = {saver}, [saver]
    while waiting:
        new = [source for source in sources(graph, waiting.pop()) if source in graph and source not in needed]
        needed.update(new)
        waiting += new
    return {node: entry for node, entry in graph.items() if node in needed}
