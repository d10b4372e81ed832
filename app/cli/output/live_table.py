"""The live table, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.output.rows import Row, tally, text_of
from app.events import Finished

ENDS = {"Finished": ("✔ finished", "green"), "Failed": ("✘ failed", "red")}
OTHER_ENDS = {"Cancelled": ("– cancelled", "yellow"), "Lost": ("✘ lost", "red")}

SPARE = 8
"""Lines of the terminal that are not rows: heading, borders, summary and the prompt."""


class LiveTable:
    """Renders the current state of the rows whenever rich asks for it."""

    def __init__(self, console: Console, rows: Sequence[Row]) -> None:
        self._console = console
        self._rows = rows

    def __rich__(self) -> RenderableType:
        """The table; with more jobs than lines, only the most relevant ones."""
        room = max(4, self._console.size.height - SPARE)
        rows = self._rows
        if len(rows) > room:
            rows = sorted(rows, key=_urgency)[:room]
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        wide = self._console.size.width >= 100
        for name in ("who", "workflow", "state", "", "step", *(["node"] if wide else []), "ahead", "time"):
            table.add_column(name, no_wrap=True, justify="right" if name in {"ahead", "time"} else "left")
        for row in rows:
            table.add_row(*_cells(row, wide=wide))
        notes = list(dict.fromkeys(text_of(row.note) for row in self._rows if row.note and not row.terminal_update))
        count = tally([row for row in self._rows if row.terminal_update])
        total = f"{count.jobs} of {len(self._rows)} done"
        note_lines: list[RenderableType] = [Text(note, "yellow") for note in notes[:2]]
        return Group(table, *note_lines, Text(total, "dim"))


def _urgency(row: Row) -> tuple[int, int]:
    if row.terminal_update is not None:
        return 2, 0
    return (0, 0) if row.started else (1, row.position or 0)


def _cells(row: Row, *, wide: bool) -> list[RenderableType]:
    progress = row.progress
    state, style = "waiting", "dim"
    if row.terminal_update is not None:
        state, style = {**ENDS, **OTHER_ENDS}[type(row.terminal_update).__name__]
    elif row.started:
        state, style = "drawing", "cyan"
    done = 1.0 if isinstance(row.terminal_update, Finished) else progress.fraction if progress else 0.0
    width = 24 if wide else 14
    bar = ProgressBar(1.0, done, width, style="grey23", complete_style=style, finished_style=style)
    working = progress is not None and row.terminal_update is None
    step = f"{progress.step}/{progress.steps}" if progress and progress.steps and working else ""
    node = progress.node[:18] if progress and working else ""
    waiting = not row.started and row.terminal_update is None and row.position is not None
    cells: list[RenderableType] = [Text(row.owner, "bold"), row.workflow, Text(state, style), bar, step]
    cells += [Text(node, "dim")] if wide else []
    return [*cells, str(row.position) if waiting else "", Text(_time(row), "dim")]


def _time(row: Row) -> str:
    progress = row.progress
    if progress is None:
        return ""
    if progress.remaining is None or row.terminal_update is not None:
        return f"{progress.elapsed:.0f} s"
    return f"{progress.elapsed:.0f} s, {progress.remaining:.0f} left"
