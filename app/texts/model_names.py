"""The names of models, for people: a file name without its folder and suffix, in words."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

ACRONYMS = frozenset({"sd", "sdxl", "xl", "hd", "vae", "llm", "gguf"})
"""Words that are written in capitals."""

SUFFIXES = frozenset({".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx"})
"""Suffixes of files with models."""


def model_name(file: str) -> str:
    """The human name of a model's file: “dreamscape-v1.safetensors” is “Dreamscape v1”."""
    name = PurePosixPath(file.replace("\\", "/")).name
    path = PurePosixPath(name)
    stem = path.stem if path.suffix.lower() in SUFFIXES else name
    words = [word.upper() if word.lower() in ACRONYMS else word for word in re.split(r"[\s_-]+", stem) if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
