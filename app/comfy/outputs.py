"""Reads the output of a node, whatever keys it uses. All of it is untrusted."""

from __future__ import annotations

from collections.abc import Iterator

from app.events import FileRef, NodeId, NodeOutput
from app.ports import Json

NAMED_ALONE = frozenset({"3d", "result"})
"""Keys under which 3D nodes give a file's bare name, without a table around it (docs/protocol/comfyui.md 4)."""


def scan(node: str, output: Json) -> NodeOutput:
    """Collect the files of all keys (images, gifs, audio, video, 3d, ...) and the texts of `text`.

    The output may be null (measured, T08: cached nodes), and a list may hold anything (T04_odd_output). Temporary files
    are collected too, with their type: which ones are results is decided later. A file under two keys is listed once.
    """
    files: list[FileRef] = []
    texts: list[str] = []
    for key, value in output.items() if isinstance(output, dict) else ():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                files += _file(item)
            elif key == "text":
                texts += _text(item)
            elif key in NAMED_ALONE and isinstance(item, str):
                files += _bare(item)
    return NodeOutput(NodeId(node), tuple(dict.fromkeys(files)), tuple(texts))


def _file(item: dict[str, Json]) -> Iterator[FileRef]:
    name, subfolder, kind = item.get("filename"), item.get("subfolder"), item.get("type")
    if isinstance(name, str) and name:
        yield FileRef(
            name,
            subfolder if isinstance(subfolder, str) else "",
            kind if isinstance(kind, str) and kind else "output",
        )


def _text(item: Json) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    elif isinstance(item, (int, float)) and not isinstance(item, bool):
        yield str(item)


def _bare(item: str) -> Iterator[FileRef]:
    """Read `folder/name.glb`, relative to the server's output folder; any other text is not a file name."""
    subfolder, _, name = item.replace("\\", "/").rpartition("/")
    if "." in name.strip(".") and not item.startswith("/") and ":" not in item and "\n" not in item:
        yield FileRef(name, subfolder)
