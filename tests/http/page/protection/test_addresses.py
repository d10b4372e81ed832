"""Which addresses belong to the page: what a form comes from, and where a login leads."""

from __future__ import annotations

import pytest

from app.config.settings import Http, Page
from app.http.page.protection.addresses import address_of

LOCAL = Http(host="127.0.0.1", port=8899)


@pytest.mark.parametrize(
    ("url", "http", "origin", "host", "own"),
    [
        ("https://example.org/atelier", LOCAL, "https://example.org", "127.0.0.1:8899", True),
        ("https://example.org:443", LOCAL, "https://example.org", "example.org", True),
        ("https://example.org:8443", LOCAL, "https://example.org:8443", "example.org:8443", True),
        ("https://example.org:8443", LOCAL, "https://example.org", "example.org:8443", False),
        ("https://example.org", LOCAL, "http://example.org", "example.org", False),
        ("https://example.org", LOCAL, "https://example.org.evil.example", "example.org", False),
        ("https://example.org", LOCAL, "null", "example.org", False),
        ("", LOCAL, "http://127.0.0.1:8899", "127.0.0.1:8899", True),
        ("", LOCAL, "http://localhost:8899", "localhost:8899", True),
        ("", LOCAL, "http://localhost:8000", "localhost:8899", False),
        ("", LOCAL, "http://evil.example", "evil.example", False),
        ("", LOCAL, "http://[::1", "[::1", False),
        ("", LOCAL, "null", "127.0.0.1:8899", False),
        ("", Http(host="::1", port=80), "http://[::1]", "[::1]", True),
        ("", Http(host="10.0.0.5", port=80), "http://10.0.0.5", "10.0.0.5", True),
        ("", Http(host="10.0.0.5", port=80), "http://localhost", "localhost", False),
    ],
)
def test_only_the_page_itself_is_its_origin(url: str, http: Http, origin: str, host: str, own: bool) -> None:
    assert address_of(Page(enabled=True, url=url), http).is_own_origin(origin, host) is own


@pytest.mark.parametrize("base", ["", "/atelier"])
def test_a_login_leads_to_a_path_of_the_page(base: str) -> None:
    address = address_of(Page(enabled=True, url=f"https://example.org{base}"), LOCAL)
    for path in ("/", "/jobs/1", "/?text=a%20b&before=3", "/queue"):
        assert address.own_path(base + path) == base + path


@pytest.mark.parametrize(
    "path",
    [
        *("", "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)"),
        *("/ /evil.example", "/\t/evil.example", "/a\r\nSet-Cookie: x=1", "/../admin", "/./../admin", "/..", "evil"),
        *("/" + "a" * 2000, "/\x00"),
    ],
)
def test_a_login_leads_nowhere_else(path: str) -> None:
    for base in ("", "/atelier"):
        address = address_of(Page(enabled=True, url=f"https://example.org{base}"), LOCAL)
        assert address.own_path(path) == f"{base}/"
        assert address.own_path(base + path) == f"{base}/"
