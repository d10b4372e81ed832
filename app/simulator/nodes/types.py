"""The types of values that pass along the links of a graph."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from PIL import Image

from app.ports import Json


class Images(Struct, frozen=True):
    """A batch of images (IMAGE), never empty."""

    batch: tuple[Image.Image, ...]


class Mask(Struct, frozen=True):
    """A batch of greyscale images (MASK)."""

    batch: tuple[Image.Image, ...]


class Latent(Struct, frozen=True):
    """A latent (LATENT). Sizes are in pixels; `pictures` is None as long as there is only noise."""

    width: int
    height: int
    batch: int = 1
    pictures: tuple[Image.Image, ...] | None = None
    moving: bool = False
    """Whether the batch is one video, in which consecutive frames should be similar."""
    mask: Image.Image | None = None
    """What samplers may change: white, in greyscale; None is everything."""


class Model(Struct, frozen=True):
    """Anything that is loaded from a model file: MODEL, CLIP, VAE, UPSCALE_MODEL."""

    name: str


class Conditioning(Struct, frozen=True):
    """A prompt (CONDITIONING); the simulator keeps the text."""

    words: str


class Guider(Struct, frozen=True):
    """GUIDER: a model and its prompt."""

    model: str
    words: str


class Noise(Struct, frozen=True):
    """NOISE: a seed."""

    seed: int


class Sigmas(Struct, frozen=True):
    """SIGMAS: the number of steps, and how much they change the image (`denoise`, 0 to 1)."""

    steps: int
    denoise: float = 1.0


class Audio(Struct, frozen=True):
    """AUDIO: a tone of the given length in seconds."""

    seconds: float


class Video(Struct, frozen=True):
    """VIDEO: frames and their rate per second."""

    frames: tuple[Image.Image, ...]
    rate: float


class File3D(Struct, frozen=True):
    """A 3D model in a file (FILE_3D and its kinds): the suffix of its name, and its content."""

    suffix: str
    content: bytes


class Opaque(Struct, frozen=True):
    """A value of a type that the simulator does not know, but passes on."""

    type: str


class Blocked(Struct, frozen=True):
    """An ExecutionBlocker: nodes that need it do not run; its message, if any, is sent once."""

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
    | File3D
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
"""Any input or output of a node."""

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
"""The types by ComfyUI's names."""
