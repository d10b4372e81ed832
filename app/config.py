"""One frozen tree of settings: defaults, then atelier.toml, then the environment, then the command line."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from app.events import ServerName

DEFAULT_URL = "http://127.0.0.1:8188"
"""Where a ComfyUI listens unless it is told otherwise."""


class ConfigError(Exception):
    """A setting is wrong; the text is a sentence that says which, and what to do."""


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
        """What people call it: its name, else host and port; never the password that an address may carry."""
        return ServerName(self.name or urlsplit(self.url).netloc.rpartition("@")[2])


class Discord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The front door.

    `guilds` are the ids of servers whose commands appear at once; without any they are global. `rest_url` is
    where Discord is, "" for the real one. `guarded` is what only owners and moderators may press.
    `keep_metadata` leaves the workflow in posted pictures. `keep_days` is for how long results stay on disk,
    0 for ever.
    """

    guilds: tuple[Annotated[str, Meta(pattern=r"^\d{1,20}$")] | int, ...] = ()
    rest_url: str = ""
    presence: str = "Making pictures"
    guarded: tuple[Literal["cancel", "delete", "retry", "again", "vary", "use", "settings"], ...] = ("cancel", "delete")
    keep_metadata: bool = False
    keep_days: Annotated[int, Meta(ge=0)] = 0


class _File(Struct, forbid_unknown_fields=True):
    """What may stand in atelier.toml."""

    servers: tuple[Server, ...] = ()
    data: str = "data"
    workflows: str = "workflows"
    depth: Annotated[int, Meta(ge=1, le=16)] = 2
    discord: Discord = Discord()


class Config(Struct, frozen=True, kw_only=True):
    """Every setting, checked. `source` is the file that was read, "" if there was none."""

    servers: tuple[Server, ...]
    data: Path
    workflows: Path
    depth: int = 2
    discord_token: str = ""
    discord: Discord = Discord()
    source: str = ""

    def __repr__(self) -> str:
        """Without the token and the headers, which may carry one."""
        return f"Config(servers={[server.label for server in self.servers]}, source={self.source!r})"


def load_config(environ: Mapping[str, str], folder: Path, *, servers: Sequence[str] = ()) -> Config:
    """Put the settings together. `servers` are those of the command line. Raises `ConfigError`."""
    environ = {**_dotenv(folder / ".env"), **environ}
    named = environ.get("ATELIER_CONFIG", "")
    path = Path(named) if named else folder / "atelier.toml"
    if named and not path.is_file():
        raise ConfigError(f"ATELIER_CONFIG names {named}, which is not there.")
    file = _read(path) if path.is_file() else _File()
    urls, origin = list(servers), "--server"
    if not urls and environ.get("COMFYUI_URL"):
        urls, origin = environ["COMFYUI_URL"].split(","), "COMFYUI_URL"
    chosen = [_server(url.strip(), origin, file.servers) for url in urls if url.strip()]
    if not chosen:
        chosen = [_checked(server, path.name) for server in file.servers] or [Server(url=DEFAULT_URL)]
    labels = [server.label for server in chosen]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"Two servers are called {label}: give each a name of its own.")
    return Config(
        servers=tuple(chosen),
        data=Path(environ.get("ATELIER_DATA") or file.data),
        workflows=Path(environ.get("ATELIER_WORKFLOWS") or file.workflows),
        depth=file.depth,
        discord_token=environ.get("DISCORD_TOKEN", ""),
        discord=replace(file.discord, rest_url=(environ.get("DISCORD_REST_URL") or file.discord.rest_url).rstrip("/")),
        source=str(path) if path.is_file() else "",
    )


def _server(told: str, origin: str, known: Sequence[Server]) -> Server:
    """A server told by its name or address; one that the file knows keeps the file's headers."""
    for server in known:
        if told.rstrip("/") in {server.name, server.url.rstrip("/")}:
            return _checked(server, origin)
    return _checked(Server(url=told), origin)


def _checked(server: Server, origin: str) -> Server:
    parts = urlsplit(server.url)
    try:
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigError(f"{origin}: “{server.url}” is no address of a server; write http://host:8188.")
    if server.ca_file and not Path(server.ca_file).is_file():
        raise ConfigError(f"{origin}: the CA file {server.ca_file} of {server.label} is not there.")
    return replace(server, url=server.url.rstrip("/"))


def _read(path: Path) -> _File:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.") from error
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.") from error
    tables = ((server, Server) for server in _tables(content))
    doors = ((door, Discord) for door in _tables(content, "discord"))
    for table, shape in ((content, _File), *tables, *doors):
        for key in table:
            if key not in shape.__struct_fields__:
                close = difflib.get_close_matches(key, shape.__struct_fields__, 1)
                hint = f"did you mean “{close[0]}”?" if close else "see atelier.example.toml."
                raise ConfigError(f"{path.name} has an unknown key “{key}”: {hint}")
    try:
        return msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path.name}: {error}.") from error


def _tables(content: Mapping[str, object], name: str = "servers") -> list[dict[str, object]]:
    found = content.get(name)
    if isinstance(found, dict):
        return [msgspec.convert(found, dict[str, object])]
    return msgspec.convert(found, list[dict[str, object]], strict=False) if isinstance(found, list) else []


def _dotenv(path: Path) -> dict[str, str]:
    """KEY=VALUE lines; quotes around a value, comments and `export` are allowed."""
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or key.startswith("#"):
            continue
        value = value.strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[key.strip()] = value[1:-1] if quoted else value.partition(" #")[0].strip()
    return found
