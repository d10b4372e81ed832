"""The journal for an operator: a list of jobs, and the full history of one."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.output.rows import json_fields, text_of
from app.core.jobs.job import Entry, Job, Transition, TransitionRow
from app.events import Finished, ServerName
from app.ports import Json
from app.reasons.jobs import kind_of
from app.service.jobs.stuck import waits_of
from app.texts.reasons.waits import wait_text

WHOLE = {"job": 8, "accepted": 15, "state": 9}
"""Characters that a column keeps on a narrow terminal: `jobs show` accepts an id's first eight."""

COLOURS = {"delivered": "green", "finished": "green", "failed": "red", "lost": "red", "cancelled": "yellow"}


def list_jobs(console: Console, entries: Sequence[Entry], *, json: bool) -> None:
    """Print a table, newest first; or one JSON object a line."""
    if json:
        for entry in entries:
            _print_json(console, _facts(entry))
        return
    if not entries:
        console.print("There are no such jobs.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("job", "accepted", "who", "workflow", "state", "server", "says"):
        # On a narrow terminal, keep whole what people may want to type again.
        table.add_column(name, no_wrap=name != "says", min_width=WHOLE.get(name))
    for entry in entries:
        job = entry.job
        state = Text(job.state.name.lower(), COLOURS.get(job.state.name.lower(), "cyan"))
        if job.state.settled and not job.notified:
            state.append(" (not told)", "yellow")
        server = job.attempt.server if job.attempt else ""
        cells = (job.id[:8], _time(entry.accepted), job.request.owner, job.request.workflow)
        table.add_row(*cells, state, server, Text(_reason(job), "dim"))
    console.print(table)


def list_stuck_jobs(
    console: Console,
    entries: Sequence[Entry],
    servers: Sequence[ServerName],
    away: Collection[ServerName],
    drained: Collection[ServerName] = (),
    *,
    json: bool,
) -> None:
    """Print the unfinished jobs that wait for something unusual, oldest first, each with a command that ends that."""
    now = time.time()
    stuck = [(entry, waits) for entry in entries if (waits := waits_of(entry, servers, away, now, drained))]
    if json:
        for entry, waits in stuck:
            reasons: list[Json] = [{"kind": kind_of(reason), "text": wait_text(reason)} for reason in waits]
            _print_json(console, {**_facts(entry), "waits": reasons, "command": _command(entry.job)})
        return
    if not stuck:
        console.print("No job is stuck.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("job", "since", "who", "what to do"):
        table.add_column(name, no_wrap=name != "what to do", min_width=8 if name == "job" else None)
    for entry, waits in stuck:
        job, command = entry.job, _command(entry.job)
        advice = [*map(wait_text, waits), *([f"Or: {command}"] if command else [])]
        table.add_row(job.id[:8], _time(entry.changed), Text(job.request.owner), Text("\n".join(advice)))
    console.print(table)


def _command(job: Job) -> str:
    """What cancels a job, or runs one again whose end is not shown; "" if it waits only for a server to drop it."""
    verb = "" if job.notified else "cancel" if job.terminal_update is None else "retry"
    return verb and f"jobs {verb} {job.id[:8]}"


def show_job(console: Console, entry: Entry, transitions: Sequence[TransitionRow], *, json: bool) -> None:
    """Print everything about one job: its request, and what happened, transition by transition."""
    if json:
        steps: list[Json] = [
            {"at": line.at, **msgspec.to_builtins(line.transition), "cause": _cause(entry.job, line.transition)}
            for line in transitions
        ]
        request = entry.job.request
        record: dict[str, Json] = {
            **_facts(entry),
            "values": request.values,
            "graph": dict(request.graph),
            "story": steps,
        }
        _print_json(console, record)
        return
    job = entry.job
    console.print(f"{job.id}  {job.request.workflow}  for {job.request.owner or 'nobody'}", style="bold", markup=False)
    for name, value in job.request.values.items():
        console.print(f"  {name} = {value}", markup=False, highlight=False)
    if job.request.seed is not None and "seed" not in job.request.values:
        console.print(f"  seed = {job.request.seed}", markup=False, highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    before = entry.accepted
    for line in transitions:
        step = line.transition
        where = f"{step.server} {step.prompt[:8]}" if step.server else ""
        cells = (_time(line.at), f"+{line.at - before:.3f} s", step.state, where, _cause(job, step))
        table.add_row(*(Text(cell) for cell in cells))
        before = line.at
    console.print(table)
    for file in job.terminal_update.files if isinstance(job.terminal_update, Finished) else ():
        console.print(file, markup=False, highlight=False, soft_wrap=True)


def _facts(entry: Entry) -> dict[str, Json]:
    job = entry.job
    terminal_update: Json = json_fields(job.terminal_update) if job.terminal_update else None
    return {
        "job": job.id,
        "state": job.state.name.lower(),
        "told": job.notified,
        "owner": job.request.owner,
        "workflow": job.request.workflow,
        "seed": job.request.seed,
        "server": job.attempt.server if job.attempt else None,
        "prompt": job.attempt.prompt if job.attempt else None,
        "tries": job.tries,
        "accepted": entry.accepted,
        "changed": entry.changed,
        "last_word": terminal_update,
    }


def _reason(job: Job) -> str:
    match job.terminal_update:
        case None:
            return ""
        case Finished(files=files, texts=texts):
            return f"{len(files)} files" if len(files) != 1 else "1 file" if files or not texts else "text"
        case terminal_update:
            return text_of(terminal_update.reason)


def _cause(job: Job, step: Transition) -> str:
    """The cause of a transition: a sentence if the journal has only the kind of the reason there."""
    match job.terminal_update:
        case None | Finished():
            return step.cause
        case terminal_update:
            reason = terminal_update.reason
            return text_of(reason) if not isinstance(reason, str) and step.cause == kind_of(reason) else step.cause


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%d %b %H:%M:%S")


def _print_json(console: Console, record: dict[str, Json]) -> None:
    console.out(msgspec.json.encode(record).decode(), highlight=False)
