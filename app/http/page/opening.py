"""Makes the page from its settings."""

from __future__ import annotations

from pathlib import Path

from app.config.settings import Http
from app.config.settings import Page as PageSettings
from app.http.page.addresses import address_of
from app.http.page.context import PageContext
from app.http.page.key import read_key
from app.http.page.login import Login
from app.http.page.page import Page
from app.http.page.rate_limits import RateLimits
from app.http.page.sessions import Sessions
from app.http.page.signing import Signer
from app.http.page.static_files import StaticFiles
from app.http.sources import Sources


def open_page(page: PageSettings, http: Http, data: Path, sources: Sources) -> Page:
    """The page, with the key in the data folder. Reads files. Raises `OSError`."""
    address, signer = address_of(page, http), Signer(read_key(data))
    context = PageContext(
        address=address,
        signer=signer,
        sessions=Sessions(signer, address),
        static=StaticFiles(address.base),
        sources=sources,
    )
    return Page(context, [Login(context)], RateLimits(page.trusted_proxies))
