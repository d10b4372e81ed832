"""Every request to Discord's REST API is counted with the status of its answer, and nothing else of it is kept."""

from __future__ import annotations

from typing import Any, cast

import hikari
import pytest
from hikari.impl import RESTClientImpl
from structlog.testing import capture_logs

from app.discord.gateway.rest.request_counter import count_requests
from app.discord.traffic import Traffic
from tests.discord.fake import FakeDiscord
from tests.discord.peers import make_bot


@pytest.fixture
def anyio_backend() -> str:
    """Hikari knows asyncio only."""
    return "asyncio"


async def test_each_answer_is_counted_by_its_status_and_a_missing_one_too(fake: FakeDiscord) -> None:
    traffic = Traffic()
    rest = cast("RESTClientImpl", make_bot(fake).rest)
    rest.start()
    count_requests(rest, traffic)
    try:
        await rest.create_message(int(fake.channel.id), "hello")
        fake.fail("POST", "/messages$", status=429, times=1)
        with pytest.raises(hikari.HTTPResponseError):
            await rest.create_message(int(fake.channel.id), "too many")
        fake.fail("POST", "/messages$", status=403, code=50001, message="Missing Access", times=1)
        with pytest.raises(hikari.ForbiddenError):
            await rest.create_message(int(fake.channel.id), "not allowed")
        fake.fail("POST", "/messages$", abort=True, times=1)
        # It would pause before it tries again.
        cast("Any", rest)._max_retries = 0
        with pytest.raises(hikari.HTTPError):
            await rest.create_message(int(fake.channel.id), "cut off")
        await rest.fetch_gateway_bot_info()
    finally:
        await rest.close()
    assert traffic.requests == {
        ("POST", "200"): 1,
        ("POST", "429"): 1,
        ("POST", "403"): 1,
        ("POST", "none"): 1,
        ("GET", "200"): 1,
    }


def test_a_client_of_an_unknown_kind_is_a_line_in_the_log() -> None:
    with capture_logs() as lines:
        count_requests(cast("hikari.api.RESTClient", object()), Traffic())
    assert [line["log_level"] for line in lines] == ["warning"]
