"""Checks a value against an input's type, range and choices, and says in which folder a model's file belongs."""

from __future__ import annotations

from collections.abc import Iterator

from app.ports import Json
from app.workflows.nodes.definitions import Input
from app.workflows.parsing import Expected
from app.workflows.reasons.checks import (
    InputCheckReason,
    InputOutOfLimits,
    MissingModel,
    MissingServerFile,
    NotListed,
    WrongInputType,
)

FOLDERS = {
    "ckpt_name": "checkpoints",
    "config_name": "configs",
    "lora_name": "loras",
    "lora": "loras",
    "vae_name": "vae",
    "unet_name": "diffusion_models",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
    "audio_encoder_name": "audio_encoders",
    "upscale_model": "upscale_models",
    "upscale_model_name": "upscale_models",
    "model_path": "diffusers",
}
"""Input names of ComfyUI's own loaders, and the folder under `models` that each takes its files from."""

CLASS_FOLDERS = {
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("ModelPatchLoader", "name"): "model_patches",
    ("LatentUpscaleModelLoader", "model_name"): "latent_upscale_models",
}
"""The folder by class and input name, where the input's name alone does not determine it."""

MODEL_FILES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".onnx")
"""File name endings of model files in ComfyUI and its common node packs."""


def folder_of(kind: str, name: str) -> str:
    """Return the folder of the models that an input of a class takes, "" if it takes none."""
    return CLASS_FOLDERS.get((kind, name)) or FOLDERS.get(name, "")


def is_model(kind: str, known: Input) -> bool:
    """Return whether an input's values are names of model files."""
    values = known.choices or ()
    return bool(known.choices is not None and folder_of(kind, known.name)) or (
        bool(values) and all(isinstance(choice, str) and choice.lower().endswith(MODEL_FILES) for choice in values)
    )


def against(name: str, kind: str, known: Input, value: Json) -> Iterator[InputCheckReason]:
    """Yield each reason why the server would refuse a value in an input of the node titled `name`."""
    match known.widget_type:
        case "INT" | "FLOAT":
            number = _number(value, whole=known.widget_type == "INT")
            low, high = known.limit("min"), known.limit("max")
            if number is None:
                expected: Expected = "integer" if known.widget_type == "INT" else "number"
                yield WrongInputType(name, known.name, expected, str(value))
            elif (low is not None and number < low) or (high is not None and number > high):
                yield InputOutOfLimits(name, known.name, str(value), low, high)
        case "BOOLEAN" if not isinstance(value, (bool, int)):
            yield WrongInputType(name, known.name, "boolean", str(value))
        case "COMBO" if known.choices is not None:
            yield from _listed(name, kind, known, value)
        case _:
            return


def _listed(name: str, kind: str, known: Input, value: Json) -> Iterator[InputCheckReason]:
    choices = known.choices or ()
    wrapped = value.get("__value__") if isinstance(value, dict) else None
    for chosen in wrapped if isinstance(wrapped, list) else [value]:
        if chosen in choices or str(chosen) in choices:
            continue
        folder = folder_of(kind, known.name)
        if folder or is_model(kind, known) or str(chosen).lower().endswith(MODEL_FILES):
            yield MissingModel(name, known.name, str(chosen), folder)
        elif known.is_upload:
            yield MissingServerFile(name, known.name, str(chosen))
        else:
            yield NotListed(name, known.name, str(chosen), tuple(map(str, choices)))


def _number(value: Json, *, whole: bool) -> float | None:
    """Parse a number as the server does, which also accepts strings; None if it is not a number."""
    try:
        if isinstance(value, str):
            return int(value) if whole else float(value)
    except ValueError:
        return None
    return value if isinstance(value, (int, float)) else None
