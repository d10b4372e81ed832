"""Finds how a graph makes its picture: which sampler and which latent it comes from, and where it is saved."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.core.jobs.progress import title
from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from app.workflows.discovery.value_source import chosen, number
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.reasons.variation import (
    NoSampler,
    NotOnePicture,
    PictureRearranged,
    SampledInParts,
    UnknownLatent,
)

Link: TypeAlias = tuple[str, int]
"""A node, and the number of its output."""

SAVERS = frozenset({"SaveImage", "SaveImageAdvanced", "SaveImageWebsocket"})
"""Output nodes whose pictures are results."""

VIEWERS = frozenset({"PreviewImage"})
"""Output nodes whose pictures are results only if the graph saves none."""

COMPARERS = frozenset({"ImageCompare", "MaskPreview", "Preview3D"})
"""Output nodes that only show something in the editor, and save none of it."""

SCALERS = frozenset(
    {
        "ImageScale",
        "ImageScaleBy",
        "ImageScaleToMaxDimension",
        "ImageScaleToTotalPixels",
        "ImageUpscaleWithModel",
    }
)
"""Nodes that change only the size of a picture."""

DECODERS = frozenset({"VAEDecode", "VAEDecodeTiled"})

SAMPLERS = frozenset({"KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"})

EMPTY = frozenset(
    {
        "EmptyChromaRadianceLatentImage",
        "EmptyFlux2LatentImage",
        "EmptyHunyuanImageLatent",
        "EmptyLatentImage",
        "EmptySD3LatentImage",
    }
)
"""Latents of pictures that a VAE could have encoded."""

EMPTY_FILMS = frozenset({"EmptyHunyuanLatentVideo"})
"""Latents of films, which are one picture if they have one frame."""

ENCODERS = frozenset({"VAEEncode", "VAEEncodeTiled"})

OWN = "vary_"
"""The beginning of the ids of the nodes that `app.workflows.variations.derive` adds."""


class Size(Struct, frozen=True):
    """A width and a height in pixels, each a number or a link to one."""

    width: Json
    height: Json


class PictureSource(Struct, frozen=True):
    """How a graph makes its picture.

    `size` is that of the latent from which `sampler` starts, None if it is unknown; `resized` says whether the picture
    may have another one.
    """

    saver: str
    decoder: str
    sampler: str
    size: Size | None
    resized: bool


def picture_source(graph: Graph, definitions: Definitions | None) -> PictureSource:
    """Find the sampler that made the picture. Raises `WorkflowError` if the graph is not understood.

    Of several samplers in a row it is the last one, from which a picture of its size can start; of samplers that share
    the steps, the first of them.
    """
    saver = _saver(graph, definitions)
    saved = _saved(graph, saver)
    decoder = _unscaled(graph, saved)[0]
    if graph[decoder].get("class_type") not in DECODERS or link_to(graph, decoder, "vae") is None:
        raise WorkflowError(PictureRearranged(title(graph, decoder)))
    sampler = _source(graph, decoder, "samples")[0]
    if graph[sampler].get("class_type") not in SAMPLERS:
        raise WorkflowError(NoSampler(title(graph, sampler)))
    sampler = _first_of(graph, sampler)
    return PictureSource(saver, decoder, sampler, _latent_size(graph, sampler, "latent_image"), decoder != saved[0])


def only_enlarges(graph: Graph) -> bool:
    """Whether a graph saves a picture that it got, in another size."""
    try:
        link = _unscaled(graph, _saved(graph, _saver(graph, None)))
    except WorkflowError:
        return False
    return graph[link[0]].get("class_type") == "LoadImage"


def link_to(graph: Graph, node: str, name: str) -> Link | None:
    """Return what an input is connected to, past switches; None if it is not connected."""
    match inputs(graph, node).get(name):
        case [str() as source, int() as slot] if source in graph:
            return _followed(graph, (source, slot))
        case _:
            return None


def _saver(graph: Graph, definitions: Definitions | None) -> str:
    places = [node for node in graph if graph[node].get("class_type") in SAVERS]
    places = places or [node for node in graph if graph[node].get("class_type") in VIEWERS]
    others = [node for node in graph if node not in places and _saves_pictures(graph, definitions, node)]
    if len(places) != 1 or others:
        raise WorkflowError(NotOnePicture(len(places) + len(others)))
    return places[0]


def _saves_pictures(graph: Graph, definitions: Definitions | None, node: str) -> bool:
    """Whether a node makes results of pictures that it gets, in a way that is not known here."""
    kind = str(graph[node].get("class_type"))
    definition = definitions.get(kind) if definitions is not None else None
    if kind in VIEWERS | COMPARERS or definition is None or not definition.is_output:
        return False
    return any(known.type in {"IMAGE", "VIDEO"} for known in definition.inputs.values())


def _saved(graph: Graph, saver: str) -> Link:
    for name in ("images", "image"):
        if (link := link_to(graph, saver, name)) is not None:
            return link
    raise WorkflowError(PictureRearranged(title(graph, saver)))


def _unscaled(graph: Graph, link: Link) -> Link:
    """What a picture was before only its size was changed."""
    seen: set[str] = set()
    while graph[link[0]].get("class_type") in SCALERS:
        if link[0] in seen:
            raise WorkflowError(PictureRearranged(title(graph, link[0])))
        seen.add(link[0])
        link = _source(graph, link[0], "image")
    return link


def _source(graph: Graph, node: str, name: str) -> Link:
    """What an input comes from. Raises `WorkflowError` if that is nothing: the server would refuse the graph."""
    link = link_to(graph, node, name)
    if link is None:
        raise WorkflowError(NoSampler(title(graph, node)))
    return link


def _followed(graph: Graph, link: Link) -> Link:
    """Follow a link past switches."""
    seen: set[str] = set()
    while (branch := chosen(graph, link[0])) and link[0] not in seen:
        seen.add(link[0])
        match inputs(graph, link[0]).get(branch):
            case [str() as source, int() as slot] if source in graph:
                link = source, slot
            case _:
                break
    return link


def _first_of(graph: Graph, sampler: str) -> str:
    """The sampler that begins the steps which this one ends; mostly the same one.

    Raises `WorkflowError` unless it adds noise itself, and the last one removes all of it.
    """
    first, seen, leaves_noise = sampler, {sampler}, False
    while _leaves_noise(graph, first) == leaves_noise:
        if _adds_noise(graph, first):
            return first
        before = link_to(graph, first, "latent_image")
        if before is None or before[0] in seen or graph[before[0]].get("class_type") != "KSamplerAdvanced":
            break
        first, leaves_noise = before[0], True
        seen.add(first)
    raise WorkflowError(SampledInParts(title(graph, sampler)))


def _adds_noise(graph: Graph, sampler: str) -> bool:
    setting = inputs(graph, sampler).get("add_noise")
    noise = link_to(graph, sampler, "noise")
    without = noise is not None and graph[noise[0]].get("class_type") == "DisableNoise"
    return not (without or setting == "disable" or setting is False)


def _leaves_noise(graph: Graph, sampler: str) -> bool:
    return inputs(graph, sampler).get("return_with_leftover_noise") == "enable"


def _latent_size(graph: Graph, node: str, name: str) -> Size | None:
    """The size of the latent that an input gets. Raises `WorkflowError` unless a picture can take its place."""
    sizes: list[Size | None] = []
    seen: set[str] = set()
    while True:
        link = link_to(graph, node, name)
        if link is None or link[0] in seen:
            raise WorkflowError(UnknownLatent(title(graph, node)))
        node = link[0]
        seen.add(node)
        kind, node_inputs = graph[node].get("class_type"), inputs(graph, node)
        name = "samples"
        if kind in EMPTY or (kind in EMPTY_FILMS and _frames(graph, node) == 1):
            size = Size(node_inputs.get("width"), node_inputs.get("height"))
            sizes.append(size if size.width and size.height else None)
        elif kind in ENCODERS:
            sizes.append(_picture_size(graph, node, "pixels"))
        elif kind == "LatentUpscale" and node_inputs.get("width") and node_inputs.get("height"):
            sizes.append(Size(node_inputs["width"], node_inputs["height"]))
            continue
        elif kind in {"LatentUpscale", "LatentUpscaleBy"}:
            sizes.append(None)
            continue
        elif kind in SAMPLERS:
            name = "latent_image"
            continue
        elif kind == "RepeatLatentBatch" or node.startswith(OWN):
            continue
        else:
            raise WorkflowError(UnknownLatent(title(graph, node)))
        # What is nearest to the sampler decides.
        return sizes[0]


def _frames(graph: Graph, node: str) -> Json:
    target = number(graph, node, "length")
    return inputs(graph, target.node)[target.input] if target is not None else None


def _picture_size(graph: Graph, node: str, name: str) -> Size | None:
    """The size of the picture that an input gets, as far as the node before sets it."""
    link = link_to(graph, node, name)
    kind = graph[link[0]].get("class_type") if link is not None else None
    if link is None:
        return None
    node_inputs = inputs(graph, link[0])
    if kind == "ImageScale" and node_inputs.get("width") and node_inputs.get("height"):
        return Size(node_inputs["width"], node_inputs["height"])
    if (
        link[0].startswith(OWN)
        and kind == "ImagePadForOutpaint"
        and (inner := _picture_size(graph, link[0], "image")) is not None
    ):
        width = _sum(inner.width, node_inputs.get("left"), node_inputs.get("right"))
        height = _sum(inner.height, node_inputs.get("top"), node_inputs.get("bottom"))
        return Size(width, height) if width and height else None
    return None


def _sum(*numbers: Json) -> int:
    """The sum of whole numbers; 0 if one of them is no number."""
    known = [number for number in numbers if isinstance(number, int)]
    return sum(known) if len(known) == len(numbers) else 0
