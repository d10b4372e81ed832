"""Writes .latent files: the safetensors format, with a latent of zeros (T04)."""

from __future__ import annotations

import struct

import msgspec

CHANNELS, STRIDE = 4, 8
"""A Stable Diffusion latent has four numbers for each 8 by 8 pixels."""


def encode(batch: int, width: int, height: int, prompt: str) -> bytes:
    """Encode `batch` latents of this size in pixels, with the prompt as metadata, as SaveLatent does."""
    shape = [batch, CHANNELS, height // STRIDE, width // STRIDE]
    size = 4 * shape[0] * shape[1] * shape[2] * shape[3]
    head = msgspec.json.encode(
        {
            "__metadata__": {"prompt": prompt},
            "latent_format_version_0": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
            "latent_tensor": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]},
        }
    )
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + bytes(size)
