"""Encodes a 3D model as a binary glTF file (.glb): one triangle, which every viewer can open."""

from __future__ import annotations

import struct

import msgspec

_CORNERS = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_FLOAT, _ARRAY, _TRIANGLES = 5126, 34962, 4
_JSON, _BINARY = 0x4E4F534A, 0x004E4942
"""The types of a file's two chunks (glTF 2.0, section 4.4.3)."""


def encode() -> bytes:
    """Return a file of glTF 2.0 in its binary form."""
    corners = struct.pack(f"<{len(_CORNERS)}f", *_CORNERS)
    accessor = {
        "bufferView": 0,
        "componentType": _FLOAT,
        "count": 3,
        "type": "VEC3",
        "min": [0, 0, 0],
        "max": [1, 1, 0],
    }
    scene = {
        "asset": {"version": "2.0", "generator": "Atelier's simulator"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "mode": _TRIANGLES}]}],
        "accessors": [accessor],
        "bufferViews": [{"buffer": 0, "byteLength": len(corners), "target": _ARRAY}],
        "buffers": [{"byteLength": len(corners)}],
    }
    chunks = _chunk(_JSON, msgspec.json.encode(scene), b" ") + _chunk(_BINARY, corners, b"\0")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunk(kind: int, content: bytes, filler: bytes) -> bytes:
    content += filler * (-len(content) % 4)
    return struct.pack("<II", len(content), kind) + content
