"""The servers for an operator: a list of them, and which get no new jobs."""

from __future__ import annotations

import difflib
import getpass
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.core.job import Entry, State
from app.core.journal_port import DrainedServer
from app.events import ServerName
from app.journal.store import Store
from app.ports import Json
from app.standard_streams import complain
from app.texts.wording import listed, quoted

COLOURS = {"ready": "green", "drained": "yellow"}


def list_servers(
    console: Console,
    configured: Sequence[ServerName],
    drained: Sequence[DrainedServer],
    away: Collection[ServerName],
    unfinished: Sequence[Entry],
    *,
    json: bool,
) -> None:
    """Print a table of the servers; or one JSON object a line.

    `away` are the configured servers that do not answer, `unfinished` the jobs of which the journal knows.
    """
    drains = {server.name: server for server in drained}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("server", "state", "running", "waiting there", "drained by"):
        table.add_column(name, justify="right" if name == "waiting there" else "left", no_wrap=name == "server")
    for server in dict.fromkeys((*configured, *drains)):
        state = _state(server, configured, drains, away)
        running, waiting = _jobs_at(server, unfinished)
        drain = drains.get(server)
        if json:
            record: dict[str, Json] = {
                "server": server,
                "state": state,
                "drained": drain is not None,
                "drained_since": drain.since if drain else None,
                "drained_by": drain.person if drain else None,
                "answers": server not in away if server in configured else None,
                "running": [job.job.id for job in running],
                "waiting": [job.job.id for job in waiting],
            }
            console.out(msgspec.json.encode(record).decode(), highlight=False)
            continue
        jobs = ", ".join(f"{entry.job.request.workflow} {entry.job.id[:8]}" for entry in running)
        who = f"{drain.person}, {_time(drain.since)}" if drain else ""
        table.add_row(
            Text(server), Text(state, COLOURS.get(state, "red")), Text(jobs), str(len(waiting) or ""), Text(who, "dim")
        )
    if not json:
        console.print(table)


def drain(console: Console, store: Store, configured: Sequence[ServerName], name: str) -> int:
    """Record that a configured server gets no new jobs; return the exit code."""
    if (server := _known(name, configured)) is None:
        return 1
    if any(server == drained.name for drained in store.drained()):
        console.print(f"{server} is drained already.", highlight=False, markup=False)
        return 0
    store.drain(server, _person(), drained=True)
    sentence = f"{server} gets no new jobs from now on; what it has runs to its end."
    console.print(sentence, highlight=False, markup=False)
    return 0


def resume(console: Console, store: Store, configured: Sequence[ServerName], name: str) -> int:
    """Record that a server, which need not be configured any more, gets jobs again; return the exit code."""
    drained = [server.name for server in store.drained()]
    if (server := _known(name, [*configured, *drained])) is None:
        return 1
    if server not in drained:
        console.print(f"{server} is not drained.", highlight=False, markup=False)
        return 0
    store.drain(server, _person(), drained=False)
    console.print(f"{server} gets jobs again.", highlight=False, markup=False)
    return 0


def _known(name: str, servers: Sequence[ServerName]) -> ServerName | None:
    """The server with this name; None, after saying so, if there is none."""
    if name in servers:
        return ServerName(name)
    close = difflib.get_close_matches(name, servers, 3)
    hint = f"did you mean {' or '.join(map(quoted, close))}?" if close else f"choose from {listed(servers)}."
    complain(f"there is no server {quoted(name)}; {hint}")
    return None


def _state(
    server: ServerName,
    configured: Collection[ServerName],
    drained: Collection[ServerName],
    away: Collection[ServerName],
) -> str:
    states = [
        *(["drained"] if server in drained else []),
        *(["offline"] if server in away else []),
        *(["not configured"] if server not in configured else []),
    ]
    return ", ".join(states) or "ready"


def _jobs_at(server: ServerName, unfinished: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The jobs that a server runs, and those that wait there, as far as the journal knows."""
    there = [
        entry
        for entry in unfinished
        if entry.job.attempt is not None and entry.job.attempt.server == server and entry.job.in_flight
    ]
    running = [entry for entry in there if entry.job.state is State.RUNNING]
    return running, [entry for entry in there if entry.job.state is not State.RUNNING]


def _person() -> str:
    """Who uses this terminal, as the system knows them; "" if it does not."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%d %b %H:%M")
