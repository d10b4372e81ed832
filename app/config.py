"""The configuration: defaults, then atelier.toml, then .env, then the environment, then the command line."""

from __future__ import annotations

import difflib
import io
import ipaddress
import re
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit, urlunsplit

from dotenv.parser import parse_stream
from msgspec import Struct
from msgspec.structs import replace

from app.events import ServerName
from app.text_file import TextFileError, Way, at, line_of, parse_toml, read_bytes, read_text

DEFAULT_URL = "http://127.0.0.1:8188"
"""The address at which ComfyUI listens by default."""


BUTTONS = ("cancel", "delete", "retry", "again", "fetch", "send", "vary", "use", "settings", "keep")
"""The buttons that `guarded` may name."""

VARIABLES = frozenset({"ATELIER_CONFIG", "ATELIER_DATA", "ATELIER_WORKFLOWS", "ATELIER_CRASH"})
"""All variables of Atelier, so that a typing error in a .env file is noticed."""

LONGEST_TEXT = 128
"""Maximum number of characters of a name or a presence; Discord shows no longer ones."""

LARGEST_ID = 2**63 - 1
"""Discord's ids have 64 bits, and the highest bit stays 0 for the next decades."""

MOST_DAYS = 36_500
"""A hundred years, in days: beyond that, dates cannot be calculated."""

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A valid name of a header (RFC 9110, 5.6.2)."""

OWN_HEADERS = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"})
"""Headers that belong to a single message; names that begin with `sec-websocket-` are refused too."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine: on one port they are one server."""


CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that contains `app/`: a checkout of the repository, unless somebody installed the packages elsewhere."""

FAILOVER = 5, 86_400
"""Seconds after which jobs move to another server, at least and at most. A restart of ComfyUI takes up to a minute."""


class ConfigError(Exception):
    """A setting is wrong; the text is a sentence that says which one and what to do."""


class Server(Struct, frozen=True, kw_only=True):
    """One ComfyUI server.

    `url` is http or https, with a base path if it has one; the websocket's address is derived from it. `headers` are
    sent with every HTTP call and the websocket handshake. `ca_file` is a PEM file to trust. `failover_after` is None if
    the setting for all servers applies.
    """

    url: str
    name: str = ""
    headers: dict[str, str] = {}
    ca_file: str = ""
    verify: bool = True
    failover_after: int | None = None

    @property
    def label(self) -> ServerName:
        """Its display name: its name, else host and port, without the password that an address may contain."""
        return ServerName(self.name or urlsplit(self.url).netloc.rpartition("@")[2])


class Discord(Struct, frozen=True, kw_only=True):
    """The settings of the Discord frontend.

    `guilds` are the ids of Discord servers in which the commands appear at once; without any, the commands are global.
    `rest_url` is Discord's address, "" for the real one. `guarded` are the buttons that only owners and moderators may
    press. `keep_metadata` leaves the workflow in posted images. `mark_results` marks them as made by a machine, for
    programs to read; `label_guilds` are the ids of Discord servers in which the messages say it as well. `keep_days` is
    how many days results stay on disk, 0 for ever.
    """

    guilds: tuple[int, ...] = ()
    rest_url: str = ""
    presence: str = "Making pictures"
    guarded: tuple[str, ...] = ("cancel", "delete")
    keep_metadata: bool = False
    mark_results: bool = True
    label_guilds: tuple[int, ...] = ()
    keep_days: int = 0


class AlertTargets(Struct, frozen=True, kw_only=True):
    """Where the operator reads alerts, besides the log.

    `owner` sends them to the owner of the Discord application, `channel` is the id of a channel in Discord, 0 for none.
    `webhook` is an address to which they are posted, "" for none; whoever has it can post there.
    """

    owner: bool = False
    channel: int = 0
    webhook: str = ""

    def __repr__(self) -> str:
        """Omits the webhook, which is a secret."""
        return f"AlertTargets(owner={self.owner}, channel={self.channel})"


class Config(Struct, frozen=True, kw_only=True):
    """All settings, validated. `source` is the file that was read, "" if there was none.

    `failover_after` is how many seconds a server may be away before its jobs move to another one. `largest_result` is
    in MB: a larger file is not downloaded. `former_data` is the data folder that version 0.2 would use with the same
    settings in the same current folder.
    """

    servers: tuple[Server, ...]
    data: Path
    workflows: Path
    former_data: Path | None = None
    depth: int = 2
    failover_after: int = 60
    largest_result: int = 1024
    discord_token: str = ""
    discord: Discord = Discord()
    alerts: AlertTargets = AlertTargets()
    source: str = ""

    def failover_of(self, server: Server) -> int:
        """Seconds that this server may be away before its jobs move to another one."""
        return self.failover_after if server.failover_after is None else server.failover_after

    def __repr__(self) -> str:
        """Omits the token and the headers, which may contain one."""
        return f"Config(servers={[server.label for server in self.servers]}, source={self.source!r})"


def load_config(environ: Mapping[str, str], folder: Path, *, servers: Sequence[str] = ()) -> Config:
    """Load all settings. `servers` are those of the command line. Raises `ConfigError`.

    `folder` is the current folder: it contains the .env, and relative paths in the environment and in the .env start
    there. Relative paths in atelier.toml start at the folder of that file.
    """
    variables = _Variables(environ, folder / ".env")
    named = variables.text("ATELIER_CONFIG")
    path = _path(named, folder) if named else folder / "atelier.toml"
    file_name = _short(named) if named else path.name
    file = _read(path, file_name)
    if named and file is None:
        raise ConfigError(f"ATELIER_CONFIG names {file_name}, which is not there: create it, or unset the variable.")
    root = file or _Table(_File(file_name, ""), (), {})
    root.check_keys(("servers", "data", "workflows", "depth", "failover_after", "largest_result", "discord", "alerts"))
    known = [_Source(_server(table, path.parent), table) for table in root.tables("servers")]
    chosen = _chosen(servers, variables, known)
    discord = _discord(root.table("discord"))
    if rest_url := variables.text("DISCORD_REST_URL"):
        discord = replace(discord, rest_url=_rest_url(rest_url, variables.error("DISCORD_REST_URL")))

    def folder_of(variable: str, key: str) -> Path | None:
        """The folder that the environment or the file names; None if neither does."""
        if named := variables.text(variable):
            return _path(named, folder)
        return _path(root.name(key, key), path.parent) if key in root.values() else None

    return Config(
        servers=tuple(chosen),
        data=folder_of("ATELIER_DATA", "data") or default_data(),
        workflows=folder_of("ATELIER_WORKFLOWS", "workflows") or folder / "workflows",
        former_data=_path(variables.text("ATELIER_DATA") or root.name("data", "data"), folder),
        depth=root.whole("depth", 2, 1, 16),
        failover_after=root.whole("failover_after", 60, *FAILOVER),
        largest_result=root.whole("largest_result", 1024, 1, 1_000_000),
        discord_token=_token(variables),
        discord=discord,
        alerts=_alerts(root.table("alerts")),
        source=str(path) if file is not None else "",
    )


def default_data(checkout: Path = CHECKOUT) -> Path:
    """The data folder without any setting: `data` in the checkout, elsewhere the system's folder for data of programs.

    It does not depend on the current folder: a bot that is started from another one must find its journal.
    """
    try:
        is_checkout = 'name = "atelier"' in (checkout / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        is_checkout = False
    if is_checkout:
        return checkout / "data"
    # Imported only here: in a checkout nobody needs it.
    from platformdirs import user_data_path

    return user_data_path("atelier", appauthor=False)


class _File(Struct, frozen=True):
    """A file that was read. `name` is its name in messages."""

    name: str
    text: str


class _Table:
    """A table of a file: returns its values, or raises an error that names the line of a wrong one."""

    def __init__(self, file: _File, way: Way, content: Mapping[str, object]) -> None:
        self._file = file
        self._way = way
        self._content = content

    def error(self, key: str, sentence: str, *more: str | int) -> ConfigError:
        """An error about the value of a key; its text is the sentence with the file and line."""
        return ConfigError(at(self._file.name, self.line(key, *more), sentence))

    def line(self, key: str = "", *more: str | int) -> int:
        """The line of a key, or of the table itself."""
        return line_of(self._file.text, (*self._way, *([key] if key else []), *more))

    def check_keys(self, known: Collection[str]) -> None:
        """Reject unknown keys. Raises `ConfigError`."""
        for key in self._content:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean “{close[0]}”?" if close else f"remove it, or write one of {', '.join(known)}."
                raise self.error(key, f"there is no key “{_short(key)}”: {hint}")

    def text(self, key: str, default: str) -> str:
        """A text of one line, stripped of surrounding spaces."""
        value = self._content.get(key, default)
        if not isinstance(value, str):
            raise self.error(key, f"“{key}” must be a text in double quotes.")
        if problem := _unprintable(value.strip()):
            raise self.error(key, f"“{key}” {problem}.")
        return value.strip()

    def name(self, key: str, default: str) -> str:
        """A text of one line that is not empty."""
        if not (value := self.text(key, default)):
            raise self.error(key, f"“{key}” must not be empty: remove the line, or name a folder.")
        return value

    def shown_text(self, key: str, default: str) -> str:
        """A text that is displayed, of at most `LONGEST_TEXT` characters."""
        if len(value := self.text(key, default)) > LONGEST_TEXT:
            raise self.error(key, f"“{key}” must have at most {LONGEST_TEXT} characters.")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._content.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, f"“{key}” must be a whole number between {low} and {high}.")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean."""
        value = self._content.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"“{key}” must be true or false, without quotes.")
        return value

    def items(self, key: str, default: Sequence[object]) -> Sequence[object]:
        """A list of any values."""
        value = self._content.get(key, default)
        if not isinstance(value, (list, tuple)):
            raise self.error(key, f"“{key}” must be a list in square brackets.")
        return cast("Sequence[object]", value)

    def table(self, key: str) -> _Table:
        """A table under a key, empty if it is not there."""
        value = self._content.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"“{key}” must be a table: write [{key}] above its keys.")
        return _Table(self._file, (*self._way, key), cast("dict[str, object]", value))

    def tables(self, key: str) -> list[_Table]:
        """All tables under a key; `[key]` instead of `[[key]]` counts as one."""
        value = self._content.get(key, [])
        if isinstance(value, dict):
            return [self.table(key)]
        tables: list[_Table] = []
        for number, table in enumerate(cast("list[object]", value) if isinstance(value, list) else [None]):
            if not isinstance(table, dict):
                raise self.error(key, f"“{key}” must be tables: write [[{key}]] above the keys of each.")
            tables.append(_Table(self._file, (*self._way, key, number), cast("dict[str, object]", table)))
        return tables

    def values(self) -> Mapping[str, object]:
        """All values of the table, unchecked."""
        return self._content


class _Source(Struct, frozen=True):
    """A server and the table that defines it."""

    server: Server
    table: _Table


class _Variables:
    """The variables of the environment and, for those that it does not set, of a .env file."""

    def __init__(self, environ: Mapping[str, str], path: Path) -> None:
        self._environ = environ
        self._dotenv = _dotenv(path)
        self._file_name = path.name

    def text(self, name: str) -> str:
        """A variable stripped of surrounding spaces, "" if it is not set. Raises `ConfigError`."""
        value = (self._environ[name] if name in self._environ else self._dotenv.get(name, ("", 0))[0]).strip()
        if problem := _unprintable(value):
            raise self.error(name)(f"{name} {problem}.")
        return value

    def error(self, name: str) -> Callable[[str], ConfigError]:
        """Return a function that makes an error out of a sentence beginning with the variable's name."""

        def make(sentence: str) -> ConfigError:
            is_ours = name in self._environ or name not in self._dotenv
            return ConfigError(sentence if is_ours else at(self._file_name, self._dotenv[name][1], sentence))

        return make


def _read(path: Path, file_name: str) -> _Table | None:
    try:
        text = read_text(path)
        return None if text is None else _Table(_File(file_name, text), (), parse_toml(text))
    except TextFileError as error:
        raise ConfigError(error.with_file(file_name)) from error


def _dotenv(path: Path) -> dict[str, tuple[str, int]]:
    """The variables of a .env file, each with its line. Raises `ConfigError`."""
    try:
        text = read_text(path)
    except TextFileError as error:
        raise ConfigError(error.with_file(path.name)) from error
    values: dict[str, tuple[str, int]] = {}
    # The library's own reader only logs the lines that it could not parse.
    for binding in parse_stream(io.StringIO(text or "", newline="")):
        written = binding.original.string
        line = binding.original.line + len(re.findall(r"\r\n|\n|\r", written[: len(written) - len(written.lstrip())]))
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(at(path.name, line, "write NAME=value, and close every quote."))
        if binding.key is None or binding.value is None:
            continue
        if binding.key.startswith("ATELIER_") and binding.key not in VARIABLES:
            close = difflib.get_close_matches(binding.key, VARIABLES, 1)
            hint = f"did you mean {close[0]}?" if close else "remove it."
            raise ConfigError(at(path.name, line, f"there is no variable {_short(binding.key)}: {hint}"))
        values[binding.key] = (binding.value, line)
    return values


def _chosen(server_options: Sequence[str], variables: _Variables, known: Sequence[_Source]) -> list[Server]:
    """The servers of the command line, else of the environment, else of the file. Raises `ConfigError`."""
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
                server = Server(url=_url(url))
            except ValueError as wrong:
                raise error(f"{origin}: “{_short(_without_password(url))}” {wrong}") from None
        if any(_same(server, other) for other in chosen):
            raise error(f"{origin} names {server.label} twice: remove one.")
        chosen.append(server)
    if not chosen:
        _check_apart(known)
        chosen = [source.server for source in known] or [Server(url=DEFAULT_URL)]
    labels = [server.label for server in chosen]
    for label in labels:
        if labels.count(label) > 1:
            raise error(f"Two servers are called {label}: give each its own “name” in atelier.toml.")
    return chosen


def _check_apart(known: Sequence[_Source]) -> None:
    for number, source in enumerate(known):
        for before in known[:number]:
            line = before.table.line("url")
            if _same(source.server, before.server):
                raise source.table.error("url", f"this is the same server as in line {line}: remove one of them.")
            if source.server.label == before.server.label:
                sentence = f"two servers are called {source.server.label}: give each its own “name”."
                raise source.table.error("name", sentence)


def _named(name_or_url: str, known: Sequence[_Source]) -> Server | None:
    """The server of the file with this name or address, which has the file's headers; None if there is none."""
    for source in known:
        if name_or_url == source.server.name:
            return source.server
    try:
        server = Server(url=_url(name_or_url))
    except ValueError:
        return None
    return next((source.server for source in known if _same(source.server, server)), None)


def _same(server: Server, other: Server) -> bool:
    """Whether two addresses lead to the same server: this machine has several names, and each scheme a default port."""
    return _place(server.url) == _place(other.url)


def _place(url: str) -> tuple[str, int, str]:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return "localhost" if host in LOOPBACK else host, port, parts.path


def _server(table: _Table, base: Path) -> Server:
    table.check_keys(Server.__struct_fields__)
    written_url = table.text("url", "")
    if not written_url:
        raise table.error("url", 'this server needs an address: write url = "http://host:8188".')
    try:
        url = _url(written_url)
    except ValueError as wrong:
        raise table.error("url", f"“{_short(_without_password(written_url))}” {wrong}") from None
    return Server(
        url=url,
        name=table.shown_text("name", ""),
        headers=_headers(table.table("headers")),
        ca_file=_ca_file(table, base),
        verify=table.flag("verify", default=True),
        failover_after=table.whole("failover_after", 60, *FAILOVER) if "failover_after" in table.values() else None,
    )


def _url(text: str) -> str:
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


def _without_password(url: str) -> str:
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1@", url)


def _headers(table: _Table) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in table.values().items():
        if not HEADER.fullmatch(name):
            raise table.error(name, f"“{_short(name)}” is not a header's name: use letters, digits and -.")
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


def _ca_file(table: _Table, base: Path) -> str:
    if not (written_path := table.text("ca_file", "")):
        return ""
    path = _path(written_path, base)
    try:
        content = read_bytes(path)
    except TextFileError as error:
        raise table.error("ca_file", f"{_short(written_path)}: {error.sentence}") from error
    if content is None:
        raise table.error("ca_file", f"the CA file {_short(written_path)} is not there.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        raise table.error("ca_file", f"{_short(written_path)} holds no certificate in PEM form.") from error
    return str(path)


def _discord(table: _Table) -> Discord:
    table.check_keys(Discord.__struct_fields__)
    guarded: list[str] = []
    for button in table.items("guarded", Discord().guarded):
        if button not in BUTTONS:
            hint = difflib.get_close_matches(str(button), BUTTONS, 1)
            meant = f"did you mean “{hint[0]}”?" if hint else f"write some of {', '.join(BUTTONS)}."
            raise table.error("guarded", f"“guarded” cannot have “{_short(str(button))}”: {meant}")
        guarded.append(str(button))
    rest_url = table.text("rest_url", "")
    return Discord(
        guilds=_guilds(table, "guilds"),
        rest_url=_rest_url(rest_url, lambda sentence: table.error("rest_url", sentence)) if rest_url else "",
        presence=table.shown_text("presence", Discord().presence),
        guarded=tuple(dict.fromkeys(guarded)),
        keep_metadata=table.flag("keep_metadata", default=False),
        mark_results=table.flag("mark_results", default=Discord().mark_results),
        label_guilds=_guilds(table, "label_guilds"),
        keep_days=table.whole("keep_days", 0, 0, MOST_DAYS),
    )


def _guilds(table: _Table, key: str) -> tuple[int, ...]:
    guilds: list[int] = []
    for number, guild in enumerate(table.items(key, ())):
        if not (guild_id := _discord_id(guild)):
            raise table.error(key, f"“{key}” must be ids of servers, such as [123456789012345678].", number)
        guilds.append(guild_id)
    return tuple(dict.fromkeys(guilds))


def _discord_id(value: object) -> int:
    """One of Discord's ids, as a number or a text; 0 if the value is none."""
    digits = value if isinstance(value, str) else str(value) if type(value) is int else ""
    valid = re.fullmatch(r"\s*[0-9]{1,20}\s*", digits) and int(digits) <= LARGEST_ID
    return int(digits) if valid else 0


def _alerts(table: _Table) -> AlertTargets:
    table.check_keys(AlertTargets.__struct_fields__)
    channel = table.values().get("channel", 0)
    if not (channel_id := _discord_id(channel)) and (channel != 0 or isinstance(channel, bool)):
        raise table.error("channel", "“channel” must be the id of a channel, such as 123456789012345678, or 0.")
    webhook = table.text("webhook", "")
    if webhook and not _is_webhook(webhook):
        # The address is a secret, so it is not repeated.
        raise table.error("webhook", "“webhook” is not an address: write https://, a host and a path, or leave it out.")
    return AlertTargets(owner=table.flag("owner", default=False), channel=channel_id, webhook=webhook)


def _is_webhook(url: str) -> bool:
    """Whether an address can be posted to. In contrast to a server's, it may have a query."""
    try:
        _url(url.partition("?")[0])
    except ValueError:
        return False
    return re.fullmatch(r"[\x21-\x7e]+", url) is not None and "#" not in url


def _rest_url(url: str, error: Callable[[str], ConfigError]) -> str:
    try:
        return _url(url)
    except ValueError:
        raise error(f"“{_short(url)}” is not the address of Discord: leave it out.") from None


def _token(variables: _Variables) -> str:
    token = variables.text("DISCORD_TOKEN")
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise variables.error("DISCORD_TOKEN")("DISCORD_TOKEN is not a bot's token: copy it again, without spaces.")
    return token


def _path(path: str, base: Path) -> Path:
    """A path that starts at `base` if it is relative, with ~ expanded to the home folder, if there is one."""
    try:
        return base / Path(path).expanduser()
    except RuntimeError:
        return base / path


def _unprintable(value: str) -> str:
    """Why a text cannot be shown on one line; "" if it can."""
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        return "must be on one line, without control characters"
    return ""


def _short(text: str) -> str:
    """Shorten a text to 60 characters for a sentence, and replace unprintable characters with a marker."""
    printable = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return f"{printable[:59]}…" if len(printable) > 60 else printable
