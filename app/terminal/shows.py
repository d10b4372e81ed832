"""Three ways to show what becomes of jobs: a live table, plain lines, one JSON object a line."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import anyio
import msgspec
from rich.console import Console
from rich.live import Live

from app.events import AnyUpdate, Previewed
from app.ports import Json
from app.terminal.rows import Row, Tally, sentence
from app.terminal.table import Board


class Show(Protocol):
    """Where updates are shown. `pause` is that of `app.ports.Reply`."""

    pause: float
    torn: anyio.Event
    """Set once nobody reads stdout any more (`| head`); what is shown after that is dropped in silence."""

    def open(self) -> AbstractContextManager[object]:
        """Show for the length of the block."""
        ...

    def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Show what has just happened to a row, which knows it already."""
        ...

    def summary(self, count: Tally) -> None:
        """Say how it all ended."""
        ...


class JsonLines:
    """One object a line, and nothing else, on stdout."""

    pause = 0.0

    def __init__(self) -> None:
        self._began = anyio.current_time()
        self.torn = anyio.Event()

    def open(self) -> AbstractContextManager[object]:
        """Nothing to open."""
        return nullcontext()

    def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Say everything; a preview by its size."""
        told: dict[str, Json] = msgspec.to_builtins(update, builtin_types=(bytes,))
        told.pop("type")
        if isinstance(update, Previewed):
            told["bytes"] = len(update.image)
            del told["image"]
        event = type(update).__name__.lower()
        head: dict[str, Json] = {"t": round(anyio.current_time() - self._began, 4), "job": row.job}
        self._say({**head, "event": event, **told})

    def summary(self, count: Tally) -> None:
        """The last line."""
        self._say({"event": "summary", **msgspec.to_builtins(count)})

    def _say(self, told: dict[str, Json]) -> None:
        if not self.torn.is_set():
            try:
                sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                self.torn.set()


class Lines:
    """Milestones as plain lines, where stdout is no terminal."""

    pause = 0.2

    def __init__(self) -> None:
        self.torn = anyio.Event()

    def open(self) -> AbstractContextManager[object]:
        """Nothing to open."""
        return nullcontext()

    def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """Say what is worth a line."""
        if milestone:
            self._print(f"{row.owner}  {row.workflow}  {sentence(row)}")

    def summary(self, count: Tally) -> None:
        """The last line."""
        self._print(str(count))

    def _print(self, line: str) -> None:
        if not self.torn.is_set():
            try:
                print(line, flush=True)
            except BrokenPipeError:
                self.torn.set()


class LiveTable:
    """A table that lives, and below it, at the end, what there is to say."""

    pause = 0.1

    def __init__(self, console: Console, rows: Sequence[Row]) -> None:
        self._console = console
        self._rows = rows
        self.torn = anyio.Event()

    @contextmanager
    def open(self) -> Generator[None]:
        """Draw ten times a second, from rich's own thread, which only reads."""
        with Live(Board(self._console, self._rows), console=self._console, refresh_per_second=10):
            yield

    def update(self, row: Row, update: AnyUpdate, *, milestone: bool) -> None:
        """The table looks at the rows by itself."""

    def summary(self, count: Tally) -> None:
        """Every job's last word, then the count."""
        for row in self._rows:
            line = f"{row.owner}  {sentence(row)}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._console.print(str(count), style="bold")


def choose(console: Console, rows: Sequence[Row], *, json: bool) -> Show:
    """The way that fits where stdout goes."""
    if json:
        return JsonLines()
    return LiveTable(console, rows) if console.is_terminal else Lines()
