"""A page on its own, without a bot and without sockets, and browsers that visit it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.config.settings import Http
from app.config.settings import Page as PageSettings
from app.http.application import Application
from app.http.page.context import PageContext
from app.http.page.forms import form_of
from app.http.page.guard import for_viewers
from app.http.page.login.discord import DiscordLogin
from app.http.page.login.links import LoginLinks
from app.http.page.login.login import Login
from app.http.page.page import Page
from app.http.page.parts import PageParts
from app.http.page.protection.addresses import address_of
from app.http.page.protection.rate_limits import RateLimits
from app.http.page.protection.sessions import Session, Sessions
from app.http.page.protection.signing import Signer
from app.http.page.queue.event_stream import EventStream, Write, event
from app.http.page.rendering import render
from app.http.page.static_files import FOLDER, StaticFiles
from app.http.sources import Sources
from app.service.people.viewer import Viewer
from app.service.reasons import JobRemoved
from app.service.results.gallery import Gallery
from app.workflows.model import WorkflowError

ORIGIN = "https://example.org"
BASE = "/atelier"

ADA = "1400000000000000001"
GRACE = "1400000000000000002"

TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Clock:
    """Seconds since 1970 that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Sample:
    """A part of the page with one route of each kind."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        """Who changed something, and how."""
        self.next_event = anyio.Event()
        """Set to send one more event to all who follow."""

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/", for_viewers(self._show)),
            Route("/change", for_viewers(self._change), methods=["POST"]),
            Route("/gone", for_viewers(self._refuse)),
            Route("/bug/{secret}", for_viewers(self._fail)),
            Route("/events", for_viewers(self._follow)),
            Route("/flood", for_viewers(self._flood)),
        ]

    async def _show(self, request: Request, viewer: Viewer) -> Response:
        return render(request, "problem.html", sentence=f"shown to {viewer.person}", search=request.url.query)

    async def _change(self, request: Request, viewer: Viewer) -> Response:
        self.changes.append(f"{viewer.person} {(await form_of(request)).get('what', '')}")
        return Response(None, 204)

    async def _refuse(self, _: Request, __: Viewer) -> Response:
        raise WorkflowError(JobRemoved())

    async def _follow(self, _: Request, __: Viewer) -> Response:
        async def events(write: Write) -> None:
            await write(event("sample", b"first"))
            await self.next_event.wait()
            await write(event("sample", b"next"))
            await anyio.sleep_forever()

        return EventStream(events)

    async def _flood(self, _: Request, __: Viewer) -> Response:
        async def events(write: Write) -> None:
            while True:
                await write(event("sample", b"x" * 65_536))

        return EventStream(events)

    async def _fail(self, _: Request, __: Viewer) -> Response:
        raise RuntimeError("a bug")


class Site:
    """The page, as a proxy reaches it at `url`."""

    def __init__(
        self,
        url: str = ORIGIN + BASE,
        *,
        proxies: Sequence[str] = (),
        ready: bool = True,
        everything: bool = False,
        discord: DiscordLogin | None = None,
    ) -> None:
        self.clock = Clock()
        self.sources = Sources(page=PageParts(gallery=cast("Gallery", None)) if ready else None)
        self.address = address_of(PageSettings(enabled=True, url=url), Http(host="127.0.0.1", port=8899))
        self.signer = Signer(b"k" * 32, self.clock)
        self.sessions = Sessions(self.signer, self.address, self.clock)
        self.sample = Sample()
        self.context = PageContext(
            address=self.address,
            signer=self.signer,
            sessions=self.sessions,
            static=StaticFiles(self.address.base, FOLDER),
            sources=self.sources,
            everything=everything,
        )
        self.links = LoginLinks(self.signer, self.address.url)
        login = Login(self.context, self.links, discord)
        self.page = Page(self.context, [login, self.sample], RateLimits(proxies, self.clock))
        self.app = Application(self.page.routes(), self.page.middleware)

    def browser(self, person: str = "", address: str = "203.0.113.5") -> Browser:
        """A browser in which somebody is logged in, "" for nobody."""
        return Browser(self, person, address)


class Browser(httpx.AsyncClient):
    """Somebody's browser. It follows no redirects."""

    def __init__(self, site: Site, person: str, address: str) -> None:
        origin = site.address.url.removesuffix(site.address.base)
        transport = httpx.ASGITransport(site.app, client=(address, 40_000), raise_app_exceptions=False)
        super().__init__(transport=transport, base_url=site.address.url, headers={"Accept": "text/html"})
        self.site = site
        self.origin = origin
        self.session: Session | None = None
        if person:
            self.session = site.sessions.begin(person)
            self.headers["Cookie"] = site.sessions.header(self.session).partition(";")[0]

    @property
    def csrf(self) -> str:
        """The token that the forms of this session have."""
        assert self.session is not None
        return self.site.sessions.csrf_token(self.session)

    async def send_form(self, path: str, *, origin: str | None = "", **fields: str) -> httpx.Response:
        """Send a form as a page of `origin` does: by default the page itself, and None sends no Origin."""
        headers = {} if origin is None else {"Origin": origin or self.origin}
        return await self.post(path, data=fields, headers=headers)


def cookie_of(response: httpx.Response) -> str:
    """The cookie that a response sets, as a browser sends it back."""
    return response.headers["set-cookie"].partition(";")[0]
