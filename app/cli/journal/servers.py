"""The servers for an operator: a list of them, which get no new jobs, and which are started or stopped."""

from __future__ import annotations

import difflib
import getpass
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.config.settings import Power
from app.core.jobs.job import Entry, State
from app.core.journal_port import DrainedServer
from app.core.servers.power import PowerView, may_be_started, view_of
from app.events import ServerName
from app.journal.store import Store
from app.ports import Json
from app.system.standard_streams import complain
from app.texts.wording import listed, quoted

COLOURS = {
    "ready": "green",
    "on": "green",
    "drained": "yellow",
    "off": "dim",
    "starting": "yellow",
    "stopping": "yellow",
}


class Answers(Struct, frozen=True):
    """Which servers do not answer just now, and the servers of workers: the worker, and the seconds since its sign."""

    away: Collection[ServerName]
    workers: Mapping[ServerName, tuple[str, float]] = {}


def list_servers(
    console: Console,
    configured: Sequence[ServerName],
    drained: Sequence[DrainedServer],
    answers: Answers,
    unfinished: Sequence[Entry],
    power: Mapping[ServerName, PowerView],
    *,
    json: bool,
) -> None:
    """Print a table of the servers; or one JSON object a line.

    `configured` includes the servers of workers. `unfinished` are the jobs of which the journal knows, and `power` is
    what it says about servers that the bot starts and stops.
    """
    away, workers = answers.away, answers.workers
    drains = {server.name: server for server in drained}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("server", "state", "running", "waiting there", "drained by"):
        table.add_column(name, justify="right" if name == "waiting there" else "left", no_wrap=name == "server")
    if power:
        table.add_column("on in 24 hours", justify="right")
    if workers:
        table.add_column("worker", no_wrap=True)
        table.add_column("last sign", justify="right", no_wrap=True)
    for server in dict.fromkeys((*configured, *drains)):
        view = power.get(server)
        state = _state(server, configured, drains, away, view)
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
                "power": view.state if view is not None else None,
                "seconds_on": round(view.used) if view is not None else None,
                "started_by": view.starter if view is not None else None,
                "worker": workers[server][0] if server in workers else None,
                "last_sign_seconds": round(workers[server][1], 3) if server in workers else None,
            }
            console.out(msgspec.json.encode(record).decode(), highlight=False)
            continue
        jobs = ", ".join(f"{entry.job.request.workflow} {entry.job.id[:8]}" for entry in running)
        who = f"{drain.person}, {_time(drain.since)}" if drain else ""
        table.add_row(
            Text(server),
            Text(state, COLOURS.get(state, "red")),
            Text(jobs),
            str(len(waiting) or ""),
            Text(who, "dim"),
            *([Text(_hours(view) if view is not None else "", "dim")] if power else []),
            *(_worker(workers.get(server)) if workers else []),
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


def request_power(
    console: Console, store: Store, configured: Mapping[ServerName, Power | None], name: str, *, on: bool
) -> int:
    """Leave a request for the bot to start or stop a server; return the exit code."""
    if (server := _known(name, list(configured))) is None:
        return 1
    power = configured[server]
    if power is None:
        complain(f"{server} has no start_command and stop_command in atelier.toml, so the bot cannot do that.")
        return 1
    view = view_of(server, store.on_periods())
    most = power.most_hours_per_day
    if on and view.state in {"on", "starting"}:
        console.print(f"{server} is {'on' if view.state == 'on' else 'being started'} already.", markup=False)
        return 0
    if on and not may_be_started(power, view):
        complain(f"{server} was on for {_hours(view)} of the last 24: raise most_hours_per_day ({most}), or wait.")
        return 1
    store.add_request("start" if on else "stop", server)
    if on:
        idle = f"{power.idle_minutes} minutes" if power.idle_minutes > 1 else "a minute"
        console.print(
            f"The bot will start {server}, as soon as it runs, and stop it after {idle} without jobs.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    else:
        console.print(
            f"The bot will stop {server}, as soon as it runs and {server} has no job."
            f" It starts it again when a job needs it: to prevent that, drain it.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return 0


def _hours(view: PowerView) -> str:
    """For how long a server was on, such as "3 h 05"."""
    minutes = round(view.used / 60)
    return f"{minutes // 60} h {minutes % 60:02}"


def _worker(worker: tuple[str, float] | None) -> list[Text]:
    """The cells about the worker of a server."""
    return [Text(), Text()] if worker is None else [Text(worker[0]), Text(f"{worker[1]:.1f} s ago", "dim")]


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
    power: PowerView | None,
) -> str:
    away_state = power.state if power is not None and power.state != "on" else "offline"
    is_stopping = power is not None and power.state == "stopping" and server not in away
    states = [
        *(["drained"] if server in drained else []),
        *([away_state] if server in away else []),
        *(["stopping"] if is_stopping else []),
        *(["not configured"] if server not in configured else []),
    ]
    return ", ".join(states) or ("ready" if power is None else "on")


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
