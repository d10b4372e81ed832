"""`workers add` and `workers revoke`: the login of a worker at the engine."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Iterator, Mapping

from rich.console import Console

from app.cli.arguments.program import PROGRAM
from app.config.engine import PORT as USUAL_PORT
from app.config.engine import EngineSettings
from app.engine.connection import Engine
from app.engine.keys import lease_key
from app.engine.logins import read_logins, rules_of
from app.system.standard_streams import complain
from app.texts.wording import listed, quoted

PASSWORD_BYTES = 32
"""Random bytes of a password."""

HERE = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are another machine for each machine."""


async def add(engine: Engine, console: Console, name: str) -> int:
    """Create the login of a worker and print what to run there; return the exit code. Raises `ConnectionLost`."""
    logins = read_logins(await engine.logins())
    if name in logins:
        sentence = (
            f"{name} has a login already: for a new password, run “{PROGRAM} workers revoke {name}” first."
            if logins[name]
            else f"{name} is a login of the engine that is not a worker's: choose another name."
        )
        complain(sentence)
        return 1
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    rules = rules_of(name, password)
    await engine.set_login(name, rules)
    is_saved = await engine.save_logins()
    for line in _instructions(engine.settings, name, password):
        _print(console, line)
    _print(console, "")
    if is_saved:
        _print(console, "The engine has saved the login in its aclfile.")
    else:
        _print(console, "The engine has no aclfile and forgets the login when it restarts: set “aclfile”, or add this")
        _print(console, "line to its configuration:")
        _print(console, "")
        _print(console, f"  user {name} {' '.join(rules)}")
    return 0


async def revoke(engine: Engine, console: Console, name: str) -> int:
    """Delete the login of a worker and end its lease; return the exit code. Raises `ConnectionLost`."""
    logins = read_logins(await engine.logins())
    if not logins.get(name):
        complain(_no_login(name, logins))
        return 1
    await engine.delete_login(name)
    # It cannot renew it any more; so the bot sees at once that it is away.
    await engine.delete(lease_key(name))
    is_saved = await engine.save_logins()
    _print(console, f"{name} can no longer use the engine; its jobs go elsewhere within 15 seconds.")
    if not is_saved:
        _print(console, "The engine has no aclfile: delete the login in its configuration as well, if it is there.")
    return 0


def _instructions(settings: EngineSettings, name: str, password: str) -> Iterator[str]:
    """What to do on the worker's machine."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'valkeys' if settings.tls else 'valkey'}://{host}"
    url += f":{settings.port}" if settings.port != USUAL_PORT else ""
    url += f"/{settings.database}" if settings.database else ""
    yield f"{name} may use the engine now. On the machine of its ComfyUI, run:"
    yield ""
    yield '  pip install "atelier-bot[engine]"'
    yield f"  ATELIER_ENGINE_PASSWORD={password} atelier work --engine {url} --name {name}"
    if settings.host in HERE:
        yield ""
        yield f"There, write the address of this machine instead of {settings.host}."
    if settings.ca_file:
        yield ""
        yield f"Copy {settings.ca_file} there as engine-ca.pem, and write into atelier.toml in that folder:"
        yield ""
        yield "  [engine]"
        yield '  ca_file = "engine-ca.pem"'
    elif not settings.tls:
        yield ""
        yield "Without TLS, use this only in a network of your own: others read prompts and pictures on their way."


def _no_login(name: str, logins: Mapping[str, bool]) -> str:
    if name in logins:
        return f"{name} is a login of the engine that is not a worker's: nothing was changed."
    workers = [login for login, is_workers in logins.items() if is_workers]
    if close := difflib.get_close_matches(name, workers, 3):
        return f"there is no login {quoted(name)}; did you mean {' or '.join(map(quoted, close))}?"
    if workers:
        return f"there is no login {quoted(name)}; choose from {listed(sorted(workers))}."
    return f"there is no login {quoted(name)}: no worker has one."


def _print(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
