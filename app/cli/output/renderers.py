"""Three ways to show the progress of jobs: a live table, plain lines, or one JSON object a line."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from select import PIPE_BUF, select
from typing import Protocol

import anyio
import msgspec
from anyio import to_thread
from rich.console import Console
from rich.live import Live

from app.cli.output.live_table import LiveTable
from app.cli.output.rows import Row, Tally, json_fields, sentence
from app.events import AnyUpdate, Previewed
from app.ports import Json
from app.system.standard_streams import TORN, lose


class Renderer(Protocol):
    """Where updates are shown. `pause` is that of `app.ports.Reply`."""

    pause: float
    torn: anyio.Event
    """Set once stdout cannot be written any more (`| head`, a full disk); later output is dropped."""

    @property
    def code_when_torn(self) -> int:
        """The exit code once `torn` is set."""
        ...

    def open(self) -> AbstractContextManager[object]:
        """Show output for the length of the block."""
        ...

    async def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Show an update that was already applied to its row."""
        ...

    def summary(self, count: Tally) -> None:
        """Show how many jobs ended how."""
        ...


LAST_CALL = 0.5
"""Seconds for a slow reader to make room for the last line."""


class _Stdout:
    """Writes lines to stdout, in order, without ever blocking the event loop for a slow reader."""

    def __init__(self) -> None:
        self.torn = anyio.Event()
        self.code = TORN
        self._lane = anyio.CapacityLimiter(1)

    async def say(self, line: str) -> None:
        """Write at once if the reader has room, otherwise in a thread, which is abandoned if the caller is cancelled.

        A thread delays each line by a millisecond.
        """
        if not self.torn.is_set():
            data = _encoded(line)
            try:
                # What is ready takes that many bytes without blocking. A line that waits in a thread comes first.
                if not self._lane.borrowed_tokens and len(data) <= PIPE_BUF and _is_ready(0):
                    _write(data)
                else:
                    await to_thread.run_sync(_write, data, limiter=self._lane, abandon_on_cancel=True)
            except OSError as error:
                self._lose(error)

    def say_last(self, line: str) -> None:
        """Write without a thread, once nothing else is left to do; skips the line if the reader does not read."""
        if not self.torn.is_set():
            try:
                if _is_ready(LAST_CALL):
                    _write(_encoded(line))
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        if not self.torn.is_set():
            self.torn.set()
            self.code = lose(error)


def _encoded(line: str) -> bytes:
    return f"{line}\n".encode(sys.stdout.encoding, "backslashreplace")


def _is_ready(seconds: float) -> bool:
    """Whether stdout can be written within so many seconds."""
    return bool(select([], [sys.stdout], [], seconds)[1])


def _write(data: bytes) -> None:
    """Write past Python's buffer: an abandoned thread would hold the buffer's lock until the reader reads."""
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


class JsonRenderer:
    """Writes one JSON object a line, and nothing else, to stdout: of the progress of a job, at most ten a second."""

    pause = 0.1

    def __init__(self) -> None:
        self._began = anyio.current_time()
        self._stdout = _Stdout()
        self.torn = self._stdout.torn

    @property
    def code_when_torn(self) -> int:
        """See `Renderer`."""
        return self._stdout.code

    def open(self) -> AbstractContextManager[object]:
        """Do nothing: there is nothing to open."""
        return nullcontext()

    async def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Write the whole update; of a preview only the size in bytes."""
        fields = json_fields(update)
        fields.pop("type")
        if isinstance(update, Previewed):
            fields["bytes"] = len(update.image)
            del fields["image"]
        event = type(update).__name__.lower()
        head: dict[str, Json] = {"t": round(anyio.current_time() - self._began, 4), "job": row.job}
        await self._stdout.say(msgspec.json.encode({**head, "event": event, **fields}).decode())

    def summary(self, count: Tally) -> None:
        """Write the last line."""
        self._stdout.say_last(msgspec.json.encode({"event": "summary", **msgspec.to_builtins(count)}).decode())


class LineRenderer:
    """Writes milestones as plain lines in columns, for when stdout is not a terminal."""

    pause = 0.2

    def __init__(self, rows: Sequence[Row]) -> None:
        self._owner = max((len(row.owner) for row in rows), default=0)
        self._workflow = max((len(row.workflow) for row in rows), default=0)
        self._stdout = _Stdout()
        self.torn = self._stdout.torn

    @property
    def code_when_torn(self) -> int:
        """See `Renderer`."""
        return self._stdout.code

    def open(self) -> AbstractContextManager[object]:
        """Do nothing: there is nothing to open."""
        return nullcontext()

    async def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Write a line if the update is a milestone."""
        if milestone:
            who = f"{row.owner:<{self._owner}}  {row.workflow:<{self._workflow}}"
            await self._stdout.say(f"{who}  {sentence(row)}")

    async def announce(self, line: str) -> None:
        """Write a line that is about no job."""
        await self._stdout.say(line)

    def summary(self, count: Tally) -> None:
        """Write the last line."""
        self._stdout.say_last(str(count))


class TableRenderer:
    """Shows a live table, and at the end a line for each job below it.

    `spare` lines of the terminal are kept for what is written above the table.
    """

    pause = 0.1

    def __init__(self, console: Console, rows: Sequence[Row], *, spare: int = 0) -> None:
        self._console = console
        self._rows = rows
        self._table = LiveTable(console, rows, spare=spare)
        self.torn = anyio.Event()

    @property
    def code_when_torn(self) -> int:
        """See `Renderer`; `torn` is never set for a terminal, because closing it sends a hangup instead."""
        return TORN

    @contextmanager
    def open(self) -> Generator[None]:
        """Draw ten times a second, from rich's own thread, which only reads."""
        with Live(self._table, console=self._console, refresh_per_second=10):
            yield

    async def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Do nothing: the table reads the rows by itself."""

    async def announce(self, line: str) -> None:
        """Write a line above the table."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def summary(self, count: Tally) -> None:
        """Print every job's final update, then the count."""
        for row in self._rows:
            line = f"{row.owner}  {sentence(row)}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._console.print(str(count), style="bold")


def choose(console: Console, rows: Sequence[Row], *, json: bool) -> Renderer:
    """The renderer that fits where stdout goes."""
    return JsonRenderer() if json else for_people(console, rows)


def for_people(console: Console, rows: Sequence[Row], *, spare: int = 0) -> TableRenderer | LineRenderer:
    """The renderer for people that fits where stdout goes. `spare` is that of `TableRenderer`."""
    return TableRenderer(console, rows, spare=spare) if console.is_terminal else LineRenderer(rows)
