"""What the simulated server has: ComfyUI's core nodes, recorded from a real one, and some models."""

from __future__ import annotations

import gzip
from importlib import resources

import msgspec
from msgspec import Struct

from app.ports import Json

CHECKPOINTS = ["dreamscape-v1.safetensors", "lantern-xl.safetensors"]
MODELS: dict[str, list[str]] = {
    "checkpoints": CHECKPOINTS,
    "loras": ["paper-cut.safetensors", "soft-light.safetensors"],
    "upscale_models": ["sharp-4x.safetensors"],
    "vae": ["clear-vae.safetensors"],
}
"""Invented names: a person should see at once that no real model was at work."""

_FOLDERS = {"ckpt_name": "checkpoints", "lora_name": "loras", "vae_name": "vae"}
"""Inputs whose recorded lists are replaced by the simulator's own models."""


class NodeInfo(Struct):
    """The part of /object_info that decides whether a graph is valid."""

    input: dict[str, dict[str, Json]]
    """The hidden ones are described by strings, the others by lists."""
    output: list[Json]
    output_node: bool = False

    def inputs(self) -> dict[str, tuple[bool, list[Json]]]:
        """Each input's name: whether it is required, and its type with its options."""
        return {
            name: (part == "required", spec)
            for part in ("required", "optional")
            for name, spec in self.input.get(part, {}).items()
            if isinstance(spec, list)
        }


def listed(spec: list[Json]) -> list[Json] | None:
    """The values an input may have, in the older or the newer form; None if it is no list."""
    match spec:
        case [list() as values, *_]:
            return values
        case ["COMBO", {"options": list() as values}, *_]:
            return values
        case _:
            return None


def options(spec: list[Json]) -> dict[str, Json]:
    """Default, limits and flags of an input."""
    return found if len(spec) > 1 and isinstance(found := spec[1], dict) else {}


class Catalog:
    """Owns the node definitions, raw for /object_info and typed for validation."""

    def __init__(self) -> None:
        packed = resources.files(__package__ or "").joinpath("object_info.json.gz").read_bytes()
        self.raw: dict[str, dict[str, Json]] = msgspec.json.decode(
            gzip.decompress(packed), type=dict[str, dict[str, Json]]
        )
        self.nodes: dict[str, NodeInfo] = {}
        for name, entry in self.raw.items():
            info = msgspec.convert(entry, NodeInfo)
            for key, (_, spec) in info.inputs().items():
                if key in _FOLDERS and listed(spec) is not None:
                    spec[0] = list[Json](MODELS[_FOLDERS[key]])
            entry["input"] = msgspec.to_builtins(info.input)
            self.nodes[name] = info
