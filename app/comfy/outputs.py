"""What a node showed, found under whatever keys it chose. All of it is untrusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.events import FileRef, NodeId, NodeOutput
from app.ports import Json


def scan(node: str, output: Mapping[str, Json] | None) -> NodeOutput:
    """Collect the files of all keys (images, gifs, audio, video, 3d, ...) and the texts of `text`.

    The output may be null (measured, T08: cached nodes), and a list may hold anything (T04_odd_output).
    """
    files: list[FileRef] = []
    texts: list[str] = []
    for key, shown in (output or {}).items():
        for item in shown if isinstance(shown, list) else [shown]:
            if isinstance(item, dict):
                files += _file(item)
            elif key == "text" and isinstance(item, str):
                texts.append(item)
    return NodeOutput(NodeId(node), tuple(dict.fromkeys(files)), tuple(texts))


def _file(item: dict[str, Json]) -> Iterator[FileRef]:
    name, subfolder, kind = item.get("filename"), item.get("subfolder"), item.get("type")
    if isinstance(name, str) and name:
        yield FileRef(
            name,
            subfolder if isinstance(subfolder, str) else "",
            kind if isinstance(kind, str) else "output",
        )
