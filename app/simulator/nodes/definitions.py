"""The nodes and models that the simulator has: the contents of /object_info and /models."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from app.ports import Json
from app.simulator.engine.files import Files
from app.simulator.version import Version

_HERE = Path(__file__).parent
"""The folder with /object_info of each measured version and its test nodes, without its descriptions."""

Definition: TypeAlias = dict[str, Json]
"""One class as in /object_info."""

MODELS: dict[str, tuple[str, ...]] = {
    "checkpoints": ("dreamscape-v1.safetensors", "portrait-xl.safetensors"),
    "loras": ("soft-light.safetensors", "ink-lines.safetensors"),
    "vae": ("clear-vae.safetensors",),
    "text_encoders": ("clip_l.safetensors", "t5xxl_fp8.safetensors"),
    "diffusion_models": ("dreamscape-flow.safetensors", "motion-t2v.safetensors"),
    "clip_vision": ("clip_vision_h.safetensors",),
    "controlnet": ("lines-control.safetensors",),
    "upscale_models": ("4x-crisp.pth",),
}
"""Invented files in the model folders; the other folders are empty."""

_FOLDERS = {
    "ckpt_name": "checkpoints",
    "lora_name": "loras",
    "vae_name": "vae",
    "unet_name": "diffusion_models",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "text_encoder": "text_encoders",
}
_FOLDER_OF_CLASS = {
    "UpscaleModelLoader": "upscale_models",
    "CLIPVisionLoader": "clip_vision",
    "AudioEncoderLoader": "audio_encoders",
    "ModelPatchLoader": "model_patches",
    "PhotoMakerLoader": "photomaker",
    "LatentUpscaleModelLoader": "latent_upscale_models",
    "LoadBackgroundRemovalModel": "background_removal",
    "FrameInterpolationModelLoader": "frame_interpolation",
    "OpticalFlowLoader": "optical_flow",
    "LoadMoGeModel": "geometry_estimation",
    "LoadDA3Model": "geometry_estimation",
    "LoadMediaPipeFaceLandmarker": "detection",
}
_UPLOADS = ("image_upload", "audio_upload", "video_upload", "file_upload")


class Input(Struct, frozen=True):
    """One input of a class: its type or list of values, and its options."""

    type: str | list[Json]
    options: dict[str, Json]
    required: bool

    @property
    def choices(self) -> list[Json] | None:
        """The allowed values, if the input has a list, in the older or the newer form; else None."""
        if isinstance(self.type, list):
            return self.type
        if self.type == "COMBO":
            choices = self.options.get("options", [])
            return choices if isinstance(choices, list) else []
        return None

    @property
    def upload(self) -> str:
        """ "image", "audio", "video" or "file" for an input that takes uploads, whose file must exist; else ""."""
        return next((name.removesuffix("_upload") for name in _UPLOADS if self.options.get(name)), "")

    @property
    def config(self) -> list[Json]:
        """The input's definition as errors quote it in `input_config`."""
        return [self.type, self.options]


class Catalog:
    """Owns the definitions; lists of models and uploads are filled in on each request."""

    def __init__(self, files: Files, version: Version, models: Mapping[str, Sequence[str]], *, any_node: bool) -> None:
        self._files = files
        self._models: dict[str, list[str]] = {
            folder: list(models.get(folder, MODELS.get(folder, ()))) for folder in version.folders
        }
        self._any = any_node
        self._recorded = version.definitions
        self._definitions = _recorded(version.definitions)

    def known(self, class_type: str) -> bool:
        """Return whether a prompt may use this class."""
        return self._any or class_type in self._definitions

    def is_output(self, class_type: str) -> bool:
        """Return whether a class is an output; an unknown class is one if its name says that it saves or shows."""
        definition = self._definitions.get(class_type)
        if definition is None:
            return "Save" in class_type or "Preview" in class_type
        return definition.get("output_node") is True

    def is_paid(self, class_type: str) -> bool:
        """Return whether nodes of a class call a service that bills for it."""
        return self._definitions.get(class_type, {}).get("api_node") is True

    def outputs(self, class_type: str) -> list[str]:
        """Return the types of a class's outputs; empty for an unknown class."""
        outputs = self._definitions.get(class_type, {}).get("output")
        return [str(output) for output in outputs] if isinstance(outputs, list) else []

    def sees_itself(self, class_type: str) -> bool:
        """Return whether a class receives its own node id, so that its results depend on the id."""
        return "unique_id" in self._section(class_type, "hidden")

    def recorded(self, class_type: str) -> bool:
        """Return whether the class has a definition, and is not only accepted because of `any_node`."""
        return class_type in self._definitions

    def inputs(self, class_type: str) -> dict[str, Input]:
        """Return the inputs of a class in their order, with the present models and uploads."""
        declared = _declared(_sections(self._definitions.get(class_type, {})))
        return {name: self._filled(class_type, name, entry) for name, entry in declared.items()}

    def inputs_of(self, class_type: str, values: Mapping[str, Json]) -> dict[str, Input]:
        """Return the inputs of a node with these values: dynamic inputs as the fields that the values choose."""
        return _expanded(self.inputs(class_type), values, "")

    def describe(self, class_type: str) -> Definition:
        """Return one class for /object_info; {} if it is unknown."""
        definition = self._definitions.get(class_type)
        return {} if definition is None else {class_type: _described(definition, self.inputs(class_type))}

    def describe_all(self) -> Definition:
        """Return all of /object_info."""
        unchanging = _unchanging(self._recorded)
        return {
            class_type: unchanging.get(class_type) or _described(definition, self.inputs(class_type))
            for class_type, definition in self._definitions.items()
        }

    def folders(self) -> list[str]:
        """Return the folders for GET /models."""
        return list(self._models)

    def models(self, folder: str) -> list[str] | None:
        """Return the files for GET /models/{folder}; None if there is no such folder."""
        return self._models.get(folder)

    def _section(self, class_type: str, section: str) -> dict[str, Json]:
        return _section(_sections(self._definitions.get(class_type, {})), section)

    def _filled(self, class_type: str, name: str, declared: Input) -> Input:
        if declared.choices is None:
            return declared
        if declared.upload:
            return _with_choices(declared, self._files.names(str(declared.options.get("image_folder", "input"))))
        folder = _folder(class_type, name)
        return declared if folder is None else _with_choices(declared, self._models.get(folder, ()))


def _sections(definition: Definition) -> dict[str, Json]:
    sections = definition.get("input")
    return sections if isinstance(sections, dict) else {}


def _section(sections: Mapping[str, Json], section: str) -> dict[str, Json]:
    entries = sections.get(section)
    return entries if isinstance(entries, dict) else {}


def _declared(sections: Mapping[str, Json]) -> dict[str, Input]:
    """The inputs of a class, or of an option of a dynamic input, as they were recorded."""
    inputs: dict[str, Input] = {}
    for section in ("required", "optional"):
        for name, spec in _section(sections, section).items():
            if isinstance(spec, list) and spec and isinstance(spec[0], (str, list)):
                options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
                inputs[name] = Input(spec[0], options, section == "required")
    return inputs


def _expanded(declared: Mapping[str, Input], values: Mapping[str, Json], prefix: str) -> dict[str, Input]:
    """Replace dynamic inputs by their fields, whose names have the dynamic input's name in front."""
    inputs: dict[str, Input] = {}
    for short_name, entry in declared.items():
        name = prefix + short_name
        match entry.type:
            case "COMFY_DYNAMICCOMBO_V3":
                # As in ComfyUI: one without a known choice is no input, not even a missing one (0.33: T04_video_mp4).
                options = {option["key"]: option for option in _options(entry) if isinstance(option["key"], str)}
                chosen = values.get(name)
                if isinstance(chosen, str) and chosen in options:
                    inputs[name] = Input("COMBO", {"options": list[Json](options)}, entry.required)
                    fields = options[chosen].get("inputs")
                    inputs |= _expanded(_declared(fields if isinstance(fields, dict) else {}), values, f"{name}.")
            case "COMFY_AUTOGROW_V3":
                inputs |= _grown(entry, values, f"{name}.")
            case "COMFY_MATCHTYPE_V3":
                inputs[name] = Input("*", entry.options, entry.required)
            case _:
                inputs[name] = entry
    return inputs


def _options(entry: Input) -> list[dict[str, Json]]:
    listed = entry.options.get("options")
    return [option for option in (listed if isinstance(listed, list) else ()) if isinstance(option, dict)]


def _grown(entry: Input, values: Mapping[str, Json], prefix: str) -> dict[str, Input]:
    """Return the fields of an input that grows: the least number of them, and those that have a value."""
    template = entry.options.get("template")
    match template:
        case {"input": dict() as sections, "min": int() as least}:
            pattern = next(iter(_declared(sections).values()))
        case _:
            return {}
    match template:
        case {"names": list() as listed}:
            names = [str(name) for name in listed]
        case {"prefix": str() as start, "max": int() as most}:
            names = [f"{start}{number}" for number in range(most)]
        case _:
            return {}
    kind = "*" if pattern.type == "COMFY_MATCHTYPE_V3" else pattern.type
    return {
        prefix + name: Input(kind, pattern.options, pattern.required and index < least)
        for index, name in enumerate(names)
        if index < least or prefix + name in values
    }


def _folder(class_type: str, name: str) -> str | None:
    """The folder whose models are the allowed values of an input; None for other inputs."""
    folder = _FOLDER_OF_CLASS.get(class_type) or _FOLDERS.get(name)
    return "text_encoders" if folder is None and name.startswith("clip_name") else folder


def _described(definition: Definition, filled: Mapping[str, Input]) -> Definition:
    """A class as in /object_info, with these inputs."""
    input_sections = definition["input"]
    sections: dict[str, Json] = dict(input_sections) if isinstance(input_sections, dict) else {}
    for section in ("required", "optional"):
        specs = sections.get(section)
        if isinstance(specs, dict):
            sections[section] = {name: _spec(specs[name], filled.get(name)) for name in specs}
    return {**definition, "input": sections}


@cache
def _unchanging(name: str) -> dict[str, Definition]:
    """The classes that list neither models nor uploads, as in /object_info: nine of ten, and the same each time."""
    unchanging: dict[str, Definition] = {}
    for class_type, definition in _recorded(name).items():
        inputs = _declared(_sections(definition))
        lists = [name for name, entry in inputs.items() if entry.choices is not None]
        if not any(inputs[name].upload or _folder(class_type, name) for name in lists):
            unchanging[class_type] = _described(definition, inputs)
    return unchanging


@cache
def _recorded(name: str) -> dict[str, Definition]:
    """Read all definitions; they never change, so a process reads them only once."""
    with gzip.open(_HERE / name) as recorded:
        return msgspec.json.decode(recorded.read(), type=dict[str, Definition])


def _with_choices(declared: Input, names: Sequence[str]) -> Input:
    own_choices: list[Json] = [choice for choice in declared.choices or () if choice in {"pixel_space", "none"}]
    choices: list[Json] = [*names, *own_choices]
    if isinstance(declared.type, list):
        return Input(choices, declared.options, declared.required)
    return Input(declared.type, {**declared.options, "options": choices}, declared.required)


def _spec(recorded: Json, filled: Input | None) -> Json:
    if filled is None or filled.choices is None:
        return recorded
    return filled.config
