"""`workers list`: who works for the bot, who has a login but is not there, and what each offers."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.engine.connection import Engine
from app.engine.logins import read_logins
from app.engine.messages import OfferedServer, Registration
from app.engine.registrations import Registered, registered
from app.ports import ConnectionLost, Json
from app.reasons.servers import EngineRefuses
from app.system.standard_streams import complain
from app.texts.wording import brief, listed

COLOURS = {"here": "green", "not here": "yellow"}

MOST_SERVERS = 5
"""Servers of one worker of which the table says what they run."""


class _Row(Struct, frozen=True):
    """A worker: what it says, None if it is not there, and whether it has a login, None if that is unknown."""

    name: str
    worker: Registered | None
    login: bool | None

    @property
    def registration(self) -> Registration | None:
        """What it says, as far as that can be read."""
        return None if self.worker is None else self.worker.registration

    @property
    def servers(self) -> tuple[OfferedServer, ...]:
        """What it offers."""
        return () if self.registration is None else self.registration.servers


async def list_workers(engine: Engine, console: Console, *, json: bool) -> int:
    """Print a table of the workers; or one JSON object a line. Returns the exit code. Raises `ConnectionLost`."""
    workers = await registered(engine)
    try:
        logins = {name for name, is_workers in read_logins(await engine.logins()).items() if is_workers}
    except ConnectionLost as loss:
        if not isinstance(loss.reason, EngineRefuses):
            raise
        complain("the login of the bot may not read logins (ACL), so only the workers that are here are listed.")
        logins = None
    names = sorted({*workers, *(logins or ())})
    rows = [_Row(name, workers.get(name), None if logins is None else name in logins) for name in names]
    if json:
        for row in rows:
            console.out(msgspec.json.encode(_record(row)).decode(), highlight=False)
    elif rows:
        console.print(_table(rows))
    else:
        console.print("There are no workers, and none has a login.", highlight=False)
    return 0


def _record(row: _Row) -> dict[str, Json]:
    worker, registration = row.worker, row.registration
    return {
        "worker": row.name,
        "here": worker is not None,
        "login": row.login,
        "problem": worker.problem if worker is not None else "",
        "program": registration.program if registration is not None else None,
        "lease_seconds": round(worker.left, 3) if worker is not None else None,
        "last_sign_seconds": round(worker.age, 3) if worker is not None else None,
        "hours": _hours(registration) or None,
        "servers": [
            {
                "server": f"{row.name}/{server.label}" if server.label else row.name,
                "workflows": None if server.workflows is None else list(server.workflows),
                "weight": server.weight,
            }
            for server in row.servers
        ],
    }


def _table(rows: list[_Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("worker", "state", "servers", "workflows", "hours", "lease", "version"):
        table.add_column(name, no_wrap=name in {"worker", "hours", "lease"})
    for row in rows:
        worker, registration = row.worker, row.registration
        state = _state(row)
        table.add_row(
            Text(row.name),
            Text(state, COLOURS.get(state, "red")),
            Text(listed([server.label or row.name for server in row.servers])),
            Text("; ".join(dict.fromkeys(map(_workflows, row.servers[:MOST_SERVERS])))),
            Text(_hours(registration)),
            Text(f"{worker.left:.1f} s left" if worker is not None else "", "dim"),
            Text(brief(registration.program) if registration is not None else "", "dim"),
        )
    return table


def _state(row: _Row) -> str:
    if row.worker is None:
        return "not here"
    if row.worker.problem:
        return f"cannot be used: {brief(row.worker.problem)}"
    return "here, with a login that is not its own" if row.login is False else "here"


def _workflows(server: OfferedServer) -> str:
    if server.workflows is None:
        return "all"
    return listed(server.workflows) or "none now"


def _hours(registration: Registration | None) -> str:
    """When a worker takes jobs, such as "22:00-8:00", "" for always."""
    if registration is None or registration.hours is None:
        return ""
    return "-".join(f"{minute // 60}:{minute % 60:02}" for minute in registration.hours)
