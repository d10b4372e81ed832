"""The addresses of servers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit, urlunsplit

from app.config.settings import Server
from app.config.toml_table import ConfigError, short

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine: on one port they are one server."""


def normalised_url(text: str) -> str:
    """The normalised address of a server. Raises `ValueError`, whose text continues a sentence after the address."""
    wrong = "is not the address of a server: write http://host:8188."
    if re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise ValueError(wrong)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in {"http", "https"} or not host or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(wrong)
    if parts.query or parts.fragment:
        raise ValueError("must not have a ? or #: write http://host:8188.")
    user, has_user, _ = parts.netloc.rpartition("@")
    netloc = f"{user}{has_user}{_host(host, wrong)}{f':{port}' if port is not None else ''}"
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._")
    return urlunsplit((parts.scheme, netloc, path, "", ""))


def _host(host: str, wrong: str) -> str:
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host).compressed}]"
        except ValueError:
            raise ValueError(wrong) from None
    try:
        # Names with other letters have an ASCII form, which is what is looked up and sent.
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(wrong) from None
    if not re.fullmatch(r"[a-z0-9_.-]+", name):
        raise ValueError(wrong)
    return name


def same_server(server: Server, other: Server) -> bool:
    """Whether two addresses lead to the same server: this machine has several names, and each scheme a default port."""
    return _place(server.url) == _place(other.url)


def _place(url: str) -> tuple[str, int, str]:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return "localhost" if host in LOOPBACK else host, port, parts.path


def without_password(url: str) -> str:
    """An address without the password that it may contain."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1@", url)


def rest_url_of(url: str, error: Callable[[str], ConfigError]) -> str:
    """The normalised address of Discord. Raises what `error` makes of a sentence."""
    try:
        return normalised_url(url)
    except ValueError:
        raise error(f"“{short(url)}” is not the address of Discord: leave it out.") from None


def is_webhook(url: str) -> bool:
    """Whether an address can be posted to. In contrast to a server's, it may have a query."""
    try:
        normalised_url(url.partition("?")[0])
    except ValueError:
        return False
    return re.fullmatch(r"[\x21-\x7e]+", url) is not None and "#" not in url
