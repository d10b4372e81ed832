"""Where the page is: its own addresses, and which of the addresses that a request names are its own."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from msgspec import Struct

from app.config.addresses import LOOPBACK
from app.config.settings import Http, Page
from app.config.tables.page import EVERY_ADDRESS, page_url


class PageAddress(Struct, frozen=True):
    """The public address of the page. `base` is its path without a slash at the end, "" if it has none.

    `fixed` says that this address was configured. Otherwise the page is reached at `host` by any port.
    """

    url: str
    base: str
    host: str
    fixed: bool

    @property
    def is_encrypted(self) -> bool:
        """Whether people open it by https."""
        return self.url.startswith("https:")

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Whether the Origin of a request is this page. `host` is what the request names as its Host."""
        if self.fixed:
            return origin == _origin(self.url)
        return self.is_own_host(host) and origin == f"http://{host}"

    def is_own_host(self, host: str) -> bool:
        """Whether the Host of a request is one at which the page may be opened.

        Without this, a foreign site could pretend that its name is this machine, and read what is shown here.
        """
        if self.fixed or self.host in EVERY_ADDRESS:
            return True
        try:
            name = (urlsplit(f"http://{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name == self.host or (name in LOOPBACK and self.host in LOOPBACK)

    def own_path(self, text: str) -> str:
        """A path of this page that a request names, or that of its first page if it names anything else."""
        first = f"{self.base}/"
        if not text.startswith(first) or len(text) > 1024 or re.search(r"[\x00-\x20\x7f\\]", text):
            return first
        if text[len(self.base) :].startswith("//") or re.search(r"/\.{1,2}(/|$)", text.partition("?")[0]):
            return first
        return text


def address_of(page: Page, http: Http) -> PageAddress:
    """Where the page is, as it is configured."""
    url = page_url(page, http)
    return PageAddress(url, urlsplit(url).path.rstrip("/"), urlsplit(url).hostname or "", bool(page.url))


def _origin(url: str) -> str:
    """The origin of an address as browsers write it, without the port that its scheme has anyway."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc if parts.port != usual else parts.netloc.rpartition(":")[0]
    return f"{parts.scheme}://{host}"
