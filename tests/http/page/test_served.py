"""The page on a real port, beside health and metrics."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import httpx
import pytest
from structlog.testing import capture_logs

from app.application import open_http
from app.config.settings import Config, Http, Page
from app.http.page.protection.key import FILE
from app.http.server import open_server
from app.http.sources import Sources
from tests.discord.fake import APPLICATION, TOKEN
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


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def get(url: str) -> httpx.Response:
    """What is answered once somebody listens."""
    async with httpx.AsyncClient() as client:
        with anyio.fail_after(20):
            while True:
                try:
                    return await client.get(url)
                except httpx.ConnectError:
                    await anyio.sleep(0.02)


async def test_a_page_as_it_is_configured_is_served_and_people_get_to_it(tmp_path: Path) -> None:
    http, page = Http(host="127.0.0.1", port=free_port()), Page(enabled=True, client_secret="secret")
    config = Config(servers=(), data=tmp_path, workflows=tmp_path, discord_token=TOKEN, http=http, page=page)
    async with open_http(config, Sources()) as access:
        assert access is not None
        assert (access.address, access.has_login) == (f"http://127.0.0.1:{http.port}", True)
        assert "is starting" in (await get(f"{access.address}/")).text
        sent = await get(f"{access.address}/login/discord")
        assert sent.headers["location"].startswith("https://discord.com/oauth2/authorize?")
        assert f"client_id={APPLICATION}&" in sent.headers["location"]
        assert "This link logs you in, once." in (await get(access.link("1400000000000000000"))).text
        assert (await get(f"{access.address}/healthz")).status_code == 200


@pytest.mark.parametrize("page", [Page(), Page(enabled=True, problem="It needs an address.")])
async def test_without_a_page_there_are_only_health_and_metrics(page: Page, tmp_path: Path) -> None:
    http = Http(host="127.0.0.1", port=free_port())
    with capture_logs() as lines:
        async with open_http(
            Config(servers=(), data=tmp_path, workflows=tmp_path, http=http, page=page), Sources()
        ) as access:
            assert access is None
            assert (await get(f"http://127.0.0.1:{http.port}/healthz")).status_code == 200
            assert (await get(f"http://127.0.0.1:{http.port}/login")).status_code == 404
    assert [line["reason"] for line in lines if line["log_level"] == "error"] == list(filter(None, [page.problem]))
    assert not (tmp_path / FILE).exists()
