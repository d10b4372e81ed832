"""Every verb of the Comfy port, asked with something that it accepts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from app.events import FileRef, PromptId
from app.node_cache import NodeCache
from app.ports import Comfy, Graph

PROMPT = PromptId("68a341af-b6f0-4711-a615-0957f5b95e53")
GRAPH: Graph = {"3": {"class_type": "KSampler", "inputs": {"seed": 1}, "_meta": {"title": "Sampler"}}}

Verb = Callable[[Comfy, Path], Awaitable[object]]

VERBS: dict[str, Verb] = {
    "submit": lambda comfy, _: comfy.submit(PROMPT, GRAPH),
    "queue": lambda comfy, _: comfy.queue(),
    "history": lambda comfy, _: comfy.history(PROMPT),
    "newest": lambda comfy, _: comfy.newest(10),
    "cancel": lambda comfy, _: comfy.cancel(PROMPT),
    "fetch": lambda comfy, folder: comfy.fetch(FileRef("a.png"), folder / "a.png"),
    "upload": lambda comfy, _: comfy.upload(Path(__file__), "a.png"),
    "node": lambda comfy, _: NodeCache(comfy).node("KSampler"),
    "nodes": lambda comfy, _: comfy.nodes(),
    "replacements": lambda comfy, _: comfy.replacements(),
    "stats": lambda comfy, _: comfy.stats(),
}
