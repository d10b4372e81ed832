"""The servers that the command line, the environment or atelier.toml names."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from app.config.addresses import normalised_url, same_server, without_password
from app.config.settings import DEFAULT_URL, PREVIEWS, Server
from app.config.tables.power import KEYS as POWER_KEYS
from app.config.tables.power import read_power
from app.config.toml_table import ConfigError, Table, path_from, short
from app.config.variables import Variables
from app.text_file import TextFileError, read_bytes

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A valid name of a header (RFC 9110, 5.6.2)."""

OWN_HEADERS = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"})
"""Headers that belong to a single message; names that begin with `sec-websocket-` are refused too."""

FAILOVER = 5, 86_400
"""Seconds after which jobs move to another server, at least and at most. A restart of ComfyUI takes up to a minute."""


class Source(Struct, frozen=True):
    """A server and the table that defines it."""

    server: Server
    table: Table


def chosen_servers(
    server_options: Sequence[str], variables: Variables, known: Sequence[Source], *, default: bool = True
) -> list[Server]:
    """The servers of the command line, else of the environment, else of the file. Raises `ConfigError`.

    Without any, it is ComfyUI on this machine, unless there need not be a `default`.
    """
    error: Callable[[str], ConfigError] = ConfigError
    urls, origin = list(server_options), "--server"
    if not urls:
        urls, origin = variables.text("COMFYUI_URL").split(","), "COMFYUI_URL"
        error = variables.error(origin)
    chosen: list[Server] = []
    for url in (url.strip() for url in urls if url.strip()):
        server = _named(url, known)
        if server is None:
            try:
                server = Server(url=normalised_url(url))
            except ValueError as wrong:
                raise error(f"{origin}: “{short(without_password(url))}” {wrong}") from None
        if any(same_server(server, other) for other in chosen):
            raise error(f"{origin} names {server.label} twice: remove one.")
        chosen.append(server)
    if not chosen:
        _check_apart(known)
        chosen = [source.server for source in known] or ([Server(url=DEFAULT_URL)] if default else [])
    labels = [server.label for server in chosen]
    for label in labels:
        if labels.count(label) > 1:
            raise error(f"Two servers are called {label}: give each its own “name” in atelier.toml.")
    return chosen


def _check_apart(known: Sequence[Source]) -> None:
    for number, source in enumerate(known):
        for before in known[:number]:
            line = before.table.line("url")
            if same_server(source.server, before.server):
                raise source.table.error("url", f"this is the same server as in line {line}: remove one of them.")
            if source.server.label == before.server.label:
                sentence = f"two servers are called {source.server.label}: give each its own “name”."
                raise source.table.error("name", sentence)


def _named(name_or_url: str, known: Sequence[Source]) -> Server | None:
    """The server of the file with this name or address, which has the file's headers; None if there is none."""
    for source in known:
        if name_or_url == source.server.name:
            return source.server
    try:
        server = Server(url=normalised_url(name_or_url))
    except ValueError:
        return None
    return next((source.server for source in known if same_server(source.server, server)), None)


def read_server(table: Table, base: Path) -> Server:
    """A server of the file, whose relative paths start at `base`. Raises `ConfigError`."""
    table.check_keys([*(key for key in Server.__struct_fields__ if key != "power"), *POWER_KEYS])
    written_url = table.text("url", "")
    if not written_url:
        raise table.error("url", 'this server needs an address: write url = "http://host:8188".')
    try:
        url = normalised_url(written_url)
    except ValueError as wrong:
        raise table.error("url", f"“{short(without_password(written_url))}” {wrong}") from None
    return Server(
        url=url,
        name=table.shown_text("name", ""),
        headers=_headers(table.table("headers")),
        ca_file=ca_file_of(table, base),
        verify=table.flag("verify", default=True),
        failover_after=table.whole("failover_after", 60, *FAILOVER) if "failover_after" in table.values() else None,
        weight=table.positive("weight", 1.0),
        workflows=_workflows(table),
        previews=_previews(table),
        power=read_power(table, base),
        paid_nodes=table.flag("paid_nodes", default=False),
    )


def _previews(table: Table) -> str:
    previews = table.text("previews", PREVIEWS[0])
    if previews not in PREVIEWS:
        sentence = f"“previews” cannot be “{short(previews)}”: write one of {', '.join(PREVIEWS)}."
        raise table.error("previews", sentence)
    return previews


def _workflows(table: Table) -> tuple[str, ...] | None:
    if "workflows" not in table.values():
        return None
    workflows: list[str] = []
    for number, name in enumerate(table.items("workflows", ())):
        if not isinstance(name, str) or not name.strip():
            raise table.error("workflows", '“workflows” must be names of workflows, such as ["txt2img"].', number)
        workflows.append(name.strip())
    return tuple(dict.fromkeys(workflows))


def _headers(table: Table) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in table.values().items():
        if not HEADER.fullmatch(name):
            raise table.error(name, f"“{short(name)}” is not a header's name: use letters, digits and -.")
        if name.lower() in OWN_HEADERS or name.lower().startswith("sec-websocket-"):
            raise table.error(name, f"“{name}” is set with each request: remove it.")
        if not isinstance(value, str):
            raise table.error(name, f"the header “{name}” must be a text in double quotes.")
        value = value.strip(" \t\r\n")
        if not re.fullmatch(r"[\t\x20-\x7e]*", value):
            raise table.error(name, f"the header “{name}” may have only ASCII characters, on one line.")
        if name.lower() in map(str.lower, headers):
            raise table.error(name, f"the header “{name}” is here twice: remove one.")
        headers[name] = value
    return headers


def ca_file_of(table: Table, base: Path) -> str:
    """The PEM file to trust that a table names, "" if it names none. Raises `ConfigError`."""
    if not (written_path := table.text("ca_file", "")):
        return ""
    path = path_from(written_path, base)
    try:
        content = read_bytes(path)
    except TextFileError as error:
        raise table.error("ca_file", f"{short(written_path)}: {error.sentence}") from error
    if content is None:
        raise table.error("ca_file", f"the CA file {short(written_path)} is not there.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        raise table.error("ca_file", f"{short(written_path)} holds no certificate in PEM form.") from error
    return str(path)
