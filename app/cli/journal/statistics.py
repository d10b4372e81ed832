"""What the journal's measured runs say, for an operator."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.core.jobs.cost import Run
from app.service.statistics import accuracy, speeds
from app.texts.statistics import NO_RUNS, accuracy_text


def show_statistics(console: Console, runs: Sequence[Run], *, json: bool) -> None:
    """Print how right expected starts were, and a table of speeds; or all of it as one JSON object."""
    starts, table_rows = accuracy(runs), speeds(runs)
    if json:
        facts = {"expected_starts": starts, "speeds": table_rows}
        console.out(msgspec.json.encode(facts).decode(), highlight=False)
        return
    if not table_rows:
        console.print(NO_RUNS)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("workflow", "server", "runs", "median", "loaded models"):
        table.add_column(name, justify="left" if name in {"workflow", "server"} else "right")
    for row in table_rows:
        cells = (Text(row.workflow), Text(row.server), str(row.runs), f"{row.seconds:.1f} s", str(row.loads))
        table.add_row(*cells)
    console.print(table)
    console.print(accuracy_text(starts.jobs, starts.right, starts.overtaken), markup=False, highlight=False)
