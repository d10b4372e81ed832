"""Makes the name of a command that people can pronounce from the name of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.workflows.discovery.candidates import LONGEST, slug
from app.workflows.model import Result

SPOKEN = {
    "t2i": "picture",
    "t2v": "video",
    "t2a": "sound",
    "t2m": "music",
    "i2i": "edit",
    "i2v": "animate",
    "r2v": "reference",
    "v2v": "restyle",
    "flf2v": "between",
    "s2v": "talk",
    "tts": "speech",
    "vto": "wear",
    "img2img": "edit",
    "txt2img": "picture",
    "img2vid": "animate",
    "txt2vid": "video",
}
"""Abbreviations in names of files, and what people say instead."""

SHORTER = {
    "text_to_image": "t2i",
    "text_to_video": "t2v",
    "image_to_video": "i2v",
    "image_to_model": "model",
    "text_to_speech": "tts",
}
"""Longer terms, and the abbreviations that stand for them."""

SILENT = frozenset(
    [
        *("api", "app", "basic", "comfyui", "copy", "default", "example", "export", "final", "new", "template"),
        *("templates", "test", "untitled", "utility", "workflow", "scaled", "mixed", "convrot", "to", "the"),
    ]
)
"""Words that say nothing about what a workflow makes."""

MEDIA = frozenset({"image", "video", "audio"})
"""Words that start the names of ComfyUI's own templates; they are left out if others remain."""

VERSION = re.compile(r"v?\d+|[vr]\d+\w?|\d+[a-z]{1,2}|(?:fp|bf|int|q)\d+\w*|(?=\w*\d)[0-9a-f]{6,}|\d+p")
"""Numbers, versions, sizes of models, precisions and hashes."""

WORDS = 4
"""Words that a command has at most."""

FALLBACK: dict[Result, str] = {"image": "picture", "video": "video", "audio": "sound", "text": "write"}
"""The command of a workflow whose file has no name that can be pronounced, by its result."""


def command_name(name: str, result: Result) -> str:
    """Return a command for the workflow `name`: the name itself if it can be pronounced; "" if nothing is left."""
    spoken = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    words = [word for word in spoken.split("_") if word]
    for long, short in SHORTER.items():
        spoken = spoken.replace(long, short)
    kept = [SPOKEN.get(word, word) for word in spoken.split("_") if _is_spoken(word)]
    if kept == words and len(words) <= WORDS:
        return slug(name)
    if len(set(kept)) > 1 and kept[0] in MEDIA:
        kept = kept[1:]
    return _joined(list(dict.fromkeys(kept))[:WORDS]) or (FALLBACK.get(result, "") if words else "")


def _is_spoken(word: str) -> bool:
    return word in SPOKEN or not (word in SILENT or not word or VERSION.fullmatch(word))


def _joined(words: Sequence[str]) -> str:
    return slug("-".join(words), LONGEST)
