"""What tests say to a simulator, and wait to hear."""

from __future__ import annotations

import json
from typing import Any

import httpx

from app.ports import WebSocket
from tests.simulator import graphs


async def post(http: httpx.AsyncClient, graph: graphs.Body, prompt: str, **more: Any) -> httpx.Response:
    body = {"prompt": graph, "client_id": "me", "prompt_id": prompt, **more}
    return await http.post("/prompt", json=body)


async def hear(socket: WebSocket, kind: str, **data: Any) -> list[str]:
    """Wait for a frame; the types of all before it, and its own."""
    heard: list[str] = []
    while True:
        frame = await socket.receive()
        if isinstance(frame, bytes):
            continue
        message = json.loads(frame)
        heard.append(message["type"])
        if message["type"] == kind and data.items() <= message["data"].items():
            return heard


async def end(socket: WebSocket, prompt: str) -> list[str]:
    return await hear(socket, "executing", node=None, prompt_id=prompt)
