"""The settings of the web page."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from msgspec.structs import fields, replace

from app.config.addresses import LOOPBACK, normalised_url, without_password
from app.config.settings import Config, Http, Page
from app.config.toml_table import Table, short
from app.config.variables import Variables, application_of

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8899
"""Where the page is served if `[http]` says nothing."""

EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  nothing listens there
"""Hosts that stand for all addresses of this machine, so that nobody can open them."""

KEYS = tuple(field.name for field in fields(Page) if field.name != "problem")


def read_page(table: Table, variables: Variables, http: Http) -> tuple[Http, Page]:
    """The settings in `[page]`, and where it is served. Raises `ConfigError`.

    What keeps the page from being served is kept as a problem: the bot runs without it.
    """
    table.check_keys(KEYS)
    secret = variables.text("ATELIER_CLIENT_SECRET") or table.text("client_secret", "")
    if not re.fullmatch(r"[\x21-\x7e]*", secret):
        # It is a secret, so it is not repeated.
        raise table.error("client_secret", "“client_secret” is not a secret of Discord: copy it again, without spaces.")
    page = Page(
        enabled=table.flag("enabled", default=False),
        url=_url(table),
        client_secret=secret,
        trusted_proxies=_proxies(table),
    )
    if not page.enabled:
        return http, page
    if not http.host and not http.problem:
        http = Http(host=DEFAULT_HOST, port=DEFAULT_PORT)
    return http, replace(page, problem=_problem(page, http))


def _url(table: Table) -> str:
    text = table.text("url", "")
    wrong = "is not the address of a page: write https://example.org/atelier, without ? and #."
    if not text:
        return ""
    try:
        url = normalised_url(text)
    except ValueError:
        raise table.error("url", f"“{short(without_password(text))}” {wrong}") from None
    path = urlsplit(url).path
    if "@" in urlsplit(url).netloc or re.search(r"//|/\.|%", path):
        raise table.error("url", f"“{short(without_password(text))}” {wrong}")
    return url


def _proxies(table: Table) -> tuple[str, ...]:
    networks: list[str] = []
    for number, value in enumerate(table.items("trusted_proxies", ())):
        try:
            networks.append(str(ipaddress.ip_network(str(value).strip(), strict=False)))
        except ValueError:
            example = 'such as ["127.0.0.1", "172.16.0.0/12"]'
            raise table.error("trusted_proxies", f"“trusted_proxies” must be addresses, {example}.", number) from None
    return tuple(dict.fromkeys(networks))


def _problem(page: Page, http: Http) -> str:
    """Why the page cannot be served, as a sentence; "" if it can."""
    if http.problem:
        return http.problem
    if not page.url and (http.host in EVERY_ADDRESS or http.port == 0):
        return "[page] needs “url”: write the address by which people open the page, such as https://example.org."
    return ""


def page_url(page: Page, http: Http) -> str:
    """The address of the page as people open it, without a slash at its end."""
    host = f"[{http.host}]" if ":" in http.host else http.host
    return page.url or f"http://{host}:{http.port}"


def page_advice(config: Config) -> list[str]:
    """What is not as it should be with a page that is served nevertheless: one sentence each."""
    page = config.page
    parts = urlsplit(page_url(page, config.http))
    advice: list[str] = []
    if page.client_secret and not application_of(config.discord_token):
        advice.append("“client_secret” is of no use without DISCORD_TOKEN, which names the application.")
    if not page.client_secret:
        advice.append("People log in only by the links of /page: set ATELIER_CLIENT_SECRET to let them use Discord.")
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        advice.append("The page is not encrypted: put it behind a proxy with https, and set “url” in [page].")
    if page.url and not page.trusted_proxies and parts.scheme == "https":
        advice.append("The bot does not know from where people come: name your proxy in “trusted_proxies” of [page].")
    return advice
