"""A front that may not be the active one any more changes no message of a job."""

from __future__ import annotations

import inspect
from unittest.mock import AsyncMock

import pytest

from app.discord.messages.active_sender import ActiveSender
from app.discord.messages.ports import Away, MessageSender

METHODS = [name for name, method in vars(MessageSender).items() if inspect.iscoroutinefunction(method)]


@pytest.mark.parametrize("name", METHODS)
async def test_what_is_sent_passes_only_while_the_front_is_active(name: str) -> None:
    seconds, inner = 1.0, AsyncMock()
    sender = ActiveSender(inner, lambda: seconds)
    arguments = [object() for _ in list(inspect.signature(getattr(MessageSender, name)).parameters)[1:]]
    await getattr(sender, name)(*arguments)
    getattr(inner, name).assert_awaited_once_with(*arguments)
    seconds = 0.0
    with pytest.raises(Away):
        await getattr(sender, name)(*arguments)
    assert getattr(inner, name).await_count == 1
