"""The `setup` command: asks for the token and the servers, checks both, and writes atelier.toml and .env."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import anyio
from msgspec import Struct
from rich.console import Console

from app.application import open_clients
from app.cli.arguments.commands import Setup
from app.cli.arguments.program import PROGRAM
from app.config.addresses import normalised_url, rest_url_of, without_password
from app.config.settings import DEFAULT_URL, Config, Server
from app.config.toml_table import ConfigError, short
from app.config.variables import Variables, token_of
from app.ports import ConnectionLost, Refused, Stats
from app.system.standard_streams import complain
from app.texts.wording import ended, listed

USUAL = (DEFAULT_URL, "http://127.0.0.1:8000")
"""Where ComfyUI listens on a machine: started by hand, and as the desktop program."""

PATIENCE = 3.0
"""Seconds for a server to answer: those on this machine answer at once."""

QUESTION = "The bot's token, from the developer portal (it is not shown): "

TOKEN_LINE = re.compile(r"^\s*(export\s+)?DISCORD_TOKEN\s*=.*$", re.MULTILINE)


class Terminal(Struct, frozen=True):
    """How a person is asked. Each function shows a question and returns the answer."""

    ask: Callable[[str], str]
    ask_secret: Callable[[str], str]

    def confirm(self, question: str) -> bool:
        """Ask a question to which anything but yes is no."""
        return self.ask(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def this_terminal() -> Terminal | None:
    """The terminal of this process; None if nobody can answer there."""

    def answer(read: Callable[[str], str], question: str) -> str:
        try:
            return read(question)
        except EOFError:
            raise ConfigError("setup was ended.") from None

    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return None
    return Terminal(partial(answer, input), partial(answer, getpass.getpass))


def set_up(
    command: Setup,
    console: Console,
    environ: Mapping[str, str],
    folder: Path,
    backend: str,
    terminal: Terminal | None,
) -> int:
    """Set up the bot in a folder; return the exit code. Without a terminal, nothing is asked. Raises `ConfigError`."""
    # Imported only here: hikari takes half a second.
    from app.discord.gateway.account import read_account
    from app.discord.gateway.outage import SetupError

    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    variables = Variables(environ, folder / ".env")
    if terminal is None:
        _refuse_to_replace(command, folder)
    token = _token(command, variables, terminal)
    rest_url = variables.text("DISCORD_REST_URL")
    if rest_url:
        rest_url = rest_url_of(rest_url, variables.error("DISCORD_REST_URL"))
    while True:
        try:
            account = anyio.run(read_account, token, rest_url, backend=backend)
            break
        except SetupError as error:
            complain(ended(str(error)))
            token = terminal.ask_secret(QUESTION).strip() if terminal is not None else ""
            if not token:
                return 1
    say(f"The token belongs to {account.name}. Open this link to invite the bot to your Discord server:")
    say(f"  {account.invite_link}")
    if account.guilds:
        say(f"It was invited to {listed([guild.name for guild in account.guilds])}.")
    urls = _servers(command, variables, terminal, say, backend)
    files = {
        folder / "atelier.toml": _toml(urls),
        folder / ".env": _dotenv(folder / ".env", token),
    }
    if command.dry_run:
        for path, content in files.items():
            say(f"\nIt would write {path}:\n\n{content.replace(token, '(the token)')}", end="")
        return 0
    for path, content in files.items():
        if path.exists() and path.read_text(encoding="utf-8") == content:
            say(f"{path} stays as it is.")
        elif path.exists() and not command.overwrite and (terminal is None or not terminal.confirm(f"Change {path}?")):
            say(f"{path} was not changed.")
        else:
            _write(path, content)
            say(f"Written: {path}")
    say(f"Next, check everything with “{PROGRAM} check”, and start the bot with “{PROGRAM} run”.")
    return 0


def _refuse_to_replace(command: Setup, folder: Path) -> None:
    """Raise `ConfigError` if there is a file that was not asked to be replaced, before anything is done."""
    existing = [name for name in ("atelier.toml", ".env") if (folder / name).exists()]
    if existing and not command.overwrite and not command.dry_run:
        raise ConfigError(f"{' and '.join(existing)} would be changed: add --overwrite, or --dry-run to see how.")


def _token(command: Setup, variables: Variables, terminal: Terminal | None) -> str:
    token = (command.token or token_of(variables)).strip()
    if not token and terminal is not None:
        token = terminal.ask_secret(QUESTION).strip()
    if not token:
        raise ConfigError("there is no token: set DISCORD_TOKEN, or give --token.")
    return token


def _servers(
    command: Setup, variables: Variables, terminal: Terminal | None, say: Callable[[str], None], backend: str
) -> list[str]:
    """The addresses of the servers that a person chose, or that were found."""
    given = list(command.server) or [url for url in variables.text("COMFYUI_URL").split(",") if url.strip()]
    urls = _normalised(given)
    if not urls:
        looked_at = anyio.run(_ask_servers, USUAL, backend=backend)
        urls = [url for url, stats in looked_at.items() if stats is not None]
        _say_servers(say, {url: looked_at[url] for url in urls})
        if not urls:
            say("No ComfyUI answers on this machine.")
    if terminal is None or given:
        if given:
            _say_servers(say, anyio.run(_ask_servers, urls, backend=backend))
        return urls or [DEFAULT_URL]
    while True:
        default = ", ".join(urls) or DEFAULT_URL
        answer = terminal.ask(f"Addresses of your ComfyUI servers, with commas between them [{default}]: ").strip()
        try:
            chosen = _normalised((answer or default).split(","))
        except ConfigError as error:
            say(str(error))
            continue
        if new := [url for url in chosen if url not in urls]:
            _say_servers(say, anyio.run(_ask_servers, new, backend=backend))
        return chosen


def _normalised(urls: Sequence[str]) -> list[str]:
    """Raises `ConfigError`."""
    normalised: list[str] = []
    for url in (url.strip() for url in urls):
        try:
            normalised.append(normalised_url(url))
        except ValueError as error:
            raise ConfigError(f"“{short(without_password(url))}” {error}") from None
    return list(dict.fromkeys(normalised))


def _say_servers(say: Callable[[str], None], servers: Mapping[str, Stats | None]) -> None:
    for url, stats in servers.items():
        answer = f"ComfyUI {stats.version} answers" if stats else "no ComfyUI answers yet"
        say(f"{without_password(url)}: {answer}")


async def _ask_servers(urls: Sequence[str]) -> dict[str, Stats | None]:
    """What each address answers; None if there is no ComfyUI."""
    answers: dict[str, Stats | None] = dict.fromkeys(urls)

    async def ask(url: str) -> None:
        config = Config(servers=(Server(url=url),), data=Path(), workflows=Path())
        async with open_clients(config) as clients:
            for server in clients.values():
                try:
                    with anyio.move_on_after(PATIENCE):
                        answers[url] = await server.comfy.stats()
                except (ConnectionLost, Refused):
                    continue

    async with anyio.create_task_group() as tasks:
        for url in urls:
            tasks.start_soon(ask, url)
    return answers


def _toml(urls: Sequence[str]) -> str:
    """The content of atelier.toml. A text of JSON is also one of TOML."""
    servers = "".join(f"\n[[servers]]\nurl = {json.dumps(url, ensure_ascii=False)}\n" for url in urls)
    return f"# docs/CONFIGURATION.md describes every setting.\n{servers}"


def _dotenv(path: Path, token: str) -> str:
    """The content of .env: the other lines stay."""
    before = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    line = f"DISCORD_TOKEN={token}"
    if TOKEN_LINE.search(before):
        return TOKEN_LINE.sub(lambda _: line, before)
    end = "" if not before or before.endswith("\n") else "\n"
    return f"{before}{end}{line}\n"


def _write(path: Path, content: str) -> None:
    """Write a file that only this user can read, or leave the old one as it is."""
    # A temporary file has the mode 0600.
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
