"""One frozen tree of settings: defaults, then atelier.toml, then the environment, then the command line."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from app.events import ServerName


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ComfyUI.

    `url` is http or https, with a base path if it has one; the websocket's address follows from it.
    `headers` go with every HTTP call and the websocket handshake; `ca_file` is a PEM file to trust.
    """

    url: str
    name: str = ""
    headers: dict[str, str] = {}
    ca_file: str = ""
    verify: bool = True

    @property
    def label(self) -> ServerName:
        """What people call it: its name, else host and port."""
        return ServerName(self.name or urlsplit(self.url).netloc)
