"""The page on a real port, beside health and metrics."""

from __future__ import annotations

import httpx
import pytest

from app.config.settings import Http
from app.http.server import open_server
from tests.http.page.site import BASE, ORIGIN, Site


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.mark.parametrize("url", [ORIGIN, ORIGIN + BASE])
async def test_health_and_metrics_are_not_for_who_opens_the_page(url: str) -> None:
    site = Site(url)
    async with (
        open_server(Http(host="127.0.0.1"), site.sources, started=0.0, page=site.page) as server,
        httpx.AsyncClient() as client,
    ):
        await server.listening.wait()
        for path in ("/healthz", "/readyz", "/metrics", "/metrics/"):
            hidden = await client.get(server.address + path, headers={"Host": "example.org"})
            assert hidden.status_code == 404
        assert (await client.get(f"{server.address}/healthz")).status_code == 200
        assert (await client.get(f"{server.address}/metrics")).status_code == 200
