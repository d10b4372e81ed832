"""The live table, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.output.rows import Row, place_text, start_text, tally, text_of
from app.events import Finished

ENDS = {"Finished": ("✔ finished", "green"), "Failed": ("✘ failed", "red")}
OTHER_ENDS = {"Cancelled": ("– cancelled", "yellow"), "Lost": ("✘ lost", "red")}

NODE = 14
"""Characters that are shown of a node's title."""

WIDTHS = {"state": 11, "": 8, "step": 5, "node": NODE, "time": 16, "progress": 26}
"""The least widths of columns, for their longest usual texts: the columns stay where they are while texts change."""

LONGEST_BAR = 24

LONGEST_NAME = 8
"""Characters of the longest name for which a column keeps its width, whichever rows are shown."""

WIDE, NARROW = 100, 80
"""Columns of a terminal from which the node is shown too, and below which progress is only a text."""

SPARE = 8
"""Lines of the terminal that are not rows: heading, borders, summary and the prompt."""


class LiveTable:
    """Renders the current state of the rows whenever rich asks for it.

    `spare` lines of the terminal are kept for what is written above the table.
    """

    def __init__(self, console: Console, rows: Sequence[Row], *, spare: int = 0) -> None:
        self._console = console
        self._rows = rows
        self._spare = SPARE + spare
        self._widths = {
            **WIDTHS,
            "who": min(LONGEST_NAME, max((cell_len(row.owner) for row in rows), default=0)),
            "workflow": min(LONGEST_NAME, max((cell_len(row.workflow) for row in rows), default=0)),
        }

    def __rich__(self) -> RenderableType:
        """The table; with more jobs than lines, only the most relevant ones."""
        width, height = self._console.size
        room = max(4, height - self._spare)
        rows = self._rows
        if len(rows) > room:
            rows = sorted(rows, key=_urgency)[:room]
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for name in ("who", "workflow", "state", *_progress_columns(width)):
            table.add_column(
                name,
                min_width=self._widths.get(name),
                max_width=LONGEST_BAR if not name else None,
                # If room is short, rich first shortens the columns that may be wrapped. Their texts are cut instead.
                no_wrap=name not in {"who", "workflow", ""},
                justify="right" if name in {"ahead", "time"} else "left",
            )
        for row in rows:
            table.add_row(*_cells(row, width))
        notes = list(dict.fromkeys(text_of(row.note) for row in self._rows if row.note and not row.terminal_update))
        count = tally([row for row in self._rows if row.terminal_update])
        total = f"{count.jobs} of {len(self._rows)} done"
        note_lines: list[RenderableType] = [Text(note, "yellow") for note in notes[:2]]
        return Group(table, *note_lines, Text(total, "dim"))


def _urgency(row: Row) -> tuple[int, int]:
    if row.terminal_update is not None:
        return 2, 0
    return (0, 0) if row.started else (1, row.position or 0)


def _progress_columns(width: int) -> Sequence[str]:
    if width < NARROW:
        return ("progress",)
    return ("", "step", *(["node"] if width >= WIDE else []), "ahead", "time")


def _cells(row: Row, width: int) -> list[RenderableType]:
    progress = row.progress
    state, style = "waiting", "dim"
    if row.terminal_update is not None:
        state, style = {**ENDS, **OTHER_ENDS}[type(row.terminal_update).__name__]
    elif row.started:
        state, style = "drawing", "cyan"
    cells: list[RenderableType] = [_cut(row.owner, "bold"), _cut(row.workflow), Text(state, style)]
    working = progress is not None and row.terminal_update is None
    if width < NARROW:
        done = [f"{progress.fraction * 100:.0f} %"] if progress and working else []
        text = place_text(row) if _waits(row) else ", ".join(filter(None, [*done, _time(row)]))
        return [*cells, Text(text, "dim")]
    fraction = 1.0 if isinstance(row.terminal_update, Finished) else progress.fraction if progress else 0.0
    bar = ProgressBar(1.0, fraction, style="grey23", complete_style=style, finished_style=style)
    step = f"{progress.step}/{progress.steps}" if progress and progress.steps and working else ""
    node = progress.node[:NODE] if progress and working else ""
    cells += [bar, step, *([Text(node, "dim")] if width >= WIDE else [])]
    return [*cells, str(row.position) if _waits(row) else "", Text(_time(row), "dim")]


def _cut(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _waits(row: Row) -> bool:
    return not row.started and row.terminal_update is None and row.position is not None


def _time(row: Row) -> str:
    progress = row.progress
    if progress is None:
        return start_text(row) if _waits(row) else ""
    if progress.remaining is None or row.terminal_update is not None:
        return f"{progress.elapsed:.0f} s"
    return f"{progress.elapsed:.0f} s, {progress.remaining:.0f} left"
