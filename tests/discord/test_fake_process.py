"""The fake as a process of its own, driven by HTTP."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.streams.text import TextReceiveStream

from tests.discord.fake import APPLICATION, TOKEN
from tests.discord.peers import PICTURE

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    command = [sys.executable, "-m", "tests.discord.fake", "--port", "0"]
    async with await anyio.open_process(command, cwd=ROOT, stderr=None) as process:
        assert process.stdout is not None
        line = await TextReceiveStream(process.stdout).receive()
        url = line.removeprefix("listening on ").strip()
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bot {TOKEN}"}) as client:
            yield client
        process.terminate()
        assert await process.wait() == 0


async def test_a_test_in_another_process_moves_and_sees_everything(http: httpx.AsyncClient) -> None:
    async def ask(method: str, path: str, said: object = None) -> Any:
        answer = await http.request(method, path, json=said)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    options = [{"name": "image", "description": "An image", "type": 11}]
    command = {"name": "txt2img", "description": "Make a picture", "options": options}
    await ask("PUT", f"/api/v10/applications/{APPLICATION}/commands", [command])
    image = {"filename": "a.png", "base64": base64.b64encode(PICTURE).decode()}
    used = await ask("POST", "/fake/slash", {"name": "txt2img", "user": "bob", "options": {"image": image}})
    [seen] = await ask("GET", "/fake/interactions")
    assert (seen["id"], seen["response"]) == (used["id"], None)
    await ask("POST", f"/api/v10/interactions/{used['id']}/{used['token']}/callback", {"type": 5})
    hook = f"/api/v10/webhooks/{APPLICATION}/{used['token']}/messages/@original"
    await ask("PATCH", hook, {"content": "done"})
    [message] = await ask("GET", "/fake/messages")
    assert [revision["state"]["content"] for revision in message["history"]] == ["", "done"]
    assert [request["status"] for request in await ask("GET", "/fake/requests")] == [200, 204, 200]

    await ask("POST", "/fake/faults", {"method": "PATCH", "path": "/webhooks/", "status": 500})
    assert (await http.patch(hook, json={"content": "x"})).status_code == 500
    await ask("POST", "/fake/clock", {"advance": 900})
    assert (await http.patch(hook, json={"content": "x"})).json()["code"] == 50027
    assert (await http.post("/fake/slash", json={"name": "nothing"})).status_code == 409


async def test_a_change_is_waited_for_without_sleeping(http: httpx.AsyncClient) -> None:
    async def version(after: int) -> int:
        answer: int = (await http.get("/fake/wait", params={"after": after})).json()["version"]
        return answer

    before = await version(-1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http.get, "/api/v10/users/@me")
        assert await version(before) > before
