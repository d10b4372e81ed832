"""What flows along the links of a graph."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from PIL import Image

from app.ports import Json


class Images(Struct, frozen=True):
    """A batch of pictures (IMAGE), never empty."""

    batch: tuple[Image.Image, ...]


class Mask(Struct, frozen=True):
    """A batch of grey pictures (MASK)."""

    batch: tuple[Image.Image, ...]


class Latent(Struct, frozen=True):
    """A place for pictures (LATENT). Sizes in pixels; `pictures` is None while there is only noise."""

    width: int
    height: int
    batch: int = 1
    pictures: tuple[Image.Image, ...] | None = None
    moving: bool = False
    """Whether the batch is one film, whose frames shall resemble each other."""


class Model(Struct, frozen=True):
    """Anything loaded from a file: MODEL, CLIP, VAE, UPSCALE_MODEL."""

    name: str


class Conditioning(Struct, frozen=True):
    """A prompt (CONDITIONING); the simulator keeps the words."""

    words: str


class Guider(Struct, frozen=True):
    """GUIDER: a model and what it is told."""

    model: str
    words: str


class Noise(Struct, frozen=True):
    """NOISE: a seed."""

    seed: int


class Sigmas(Struct, frozen=True):
    """SIGMAS: how many steps, and how much they change."""

    steps: int
    denoise: float = 1.0


class Audio(Struct, frozen=True):
    """AUDIO: a tone of so many seconds."""

    seconds: float


class Video(Struct, frozen=True):
    """VIDEO: frames and their rate per second."""

    frames: tuple[Image.Image, ...]
    rate: float


class Opaque(Struct, frozen=True):
    """A value the simulator has no idea of, but passes on."""

    type: str


class Blocked(Struct, frozen=True):
    """An ExecutionBlocker: what needs it does not run; its message is told once, if it has one."""

    message: str | None


Value: TypeAlias = (
    Images
    | Mask
    | Latent
    | Model
    | Conditioning
    | Guider
    | Noise
    | Sigmas
    | Audio
    | Video
    | Opaque
    | Blocked
    | bool
    | int
    | float
    | str
    | list[Json]
    | dict[str, Json]
    | None
)
"""Anything a node may give or take."""

TYPES: dict[str, type] = {
    "IMAGE": Images,
    "MASK": Mask,
    "LATENT": Latent,
    "MODEL": Model,
    "CLIP": Model,
    "VAE": Model,
    "UPSCALE_MODEL": Model,
    "CONDITIONING": Conditioning,
    "GUIDER": Guider,
    "NOISE": Noise,
    "SIGMAS": Sigmas,
    "AUDIO": Audio,
    "VIDEO": Video,
}
"""ComfyUI's names for them."""
