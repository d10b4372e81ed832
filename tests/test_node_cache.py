"""What is known of a server's node classes while several questions are under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from msgspec import Raw

from app.node_cache import NodeCache
from app.ports import Comfy

pytestmark = pytest.mark.anyio

CLASSES = {name: Raw(b'{"input": {}}') for name in ("KSampler", "SaveImage")}


class Server:
    """Answers questions about one class only once it may."""

    def __init__(self) -> None:
        self.asked, self.may_answer = anyio.Event(), anyio.Event()

    async def node(self, class_type: str) -> Raw | None:
        self.asked.set()
        await self.may_answer.wait()
        return CLASSES.get(class_type)

    async def nodes(self) -> Mapping[str, Raw]:
        await anyio.lowlevel.checkpoint()
        return CLASSES

    async def replacements(self) -> Mapping[str, Raw]:
        await anyio.lowlevel.checkpoint()
        return {}


async def test_an_answer_about_one_class_keeps_what_was_read_of_all_others_meanwhile() -> None:
    server = Server()
    cache = NodeCache(cast("Comfy", server))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.node, "KSampler")
        await server.asked.wait()
        await cache.read_all()
        server.may_answer.set()
    assert cache.definitions is not None
    assert set(cache.definitions) == set(CLASSES)
