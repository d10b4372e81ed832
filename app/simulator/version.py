"""The versions of ComfyUI that the simulator can act as: everything in which they differ, in one place."""

from __future__ import annotations

from msgspec import Struct

from app.ports import Json
from app.simulator.http.binary_frames import MAX_BODY


class Version(Struct, frozen=True, kw_only=True):
    """One version of ComfyUI whose answers were recorded."""

    number: str
    modern: bool
    """Whether it follows the protocol of versions from 0.26 on: prompt ids are UUIDs, and jobs have routes."""
    definitions: str
    """The file in `nodes/` with its /object_info, without descriptions."""
    features: dict[str, Json]
    """The server's answer to feature_flags and at /features (T12)."""
    system: dict[str, Json]
    """What /system_stats says about this version."""
    folders: tuple[str, ...]
    """The model folders, in the order of GET /models."""


V0_3_64 = Version(
    number="0.3.64",
    modern=False,
    definitions="object_info.json.gz",
    features={"supports_preview_metadata": True, "max_upload_size": MAX_BODY},
    system={"os": "posix", "required_frontend_version": "1.27.10"},
    folders=(
        "checkpoints",
        "configs",
        "loras",
        "vae",
        "text_encoders",
        "diffusion_models",
        "clip_vision",
        "style_models",
        "embeddings",
        "diffusers",
        "vae_approx",
        "controlnet",
        "gligen",
        "upscale_models",
        "custom_nodes",
        "hypernetworks",
        "photomaker",
        "classifiers",
        "model_patches",
        "audio_encoders",
    ),
)

V0_33_0 = Version(
    number="0.33.0",
    modern=True,
    definitions="object_info_0.33.json.gz",
    features={
        "supports_preview_metadata": True,
        "supports_model_type_tags": True,
        "max_upload_size": MAX_BODY,
        "extension": {"manager": {"supports_v4": True}},
        "node_replacements": True,
        "assets": False,
    },
    system={
        "os": "linux",
        "required_frontend_version": "1.49.6",
        "installed_templates_version": None,
        "required_templates_version": "0.11.44",
        "comfy_package_versions": [],
        "deploy_environment": "local-git",
    },
    folders=(
        "checkpoints",
        "configs",
        "loras",
        "vae",
        "text_encoders",
        "diffusion_models",
        "clip_vision",
        "style_models",
        "embeddings",
        "diffusers",
        "vae_approx",
        "controlnet",
        "gligen",
        "upscale_models",
        "latent_upscale_models",
        "custom_nodes",
        "datasets",
        "hypernetworks",
        "photomaker",
        "classifiers",
        "model_patches",
        "audio_encoders",
        "background_removal",
        "frame_interpolation",
        "geometry_estimation",
        "optical_flow",
        "detection",
    ),
)

VERSIONS = {version.number: version for version in (V0_3_64, V0_33_0)}
"""All versions by their number."""
