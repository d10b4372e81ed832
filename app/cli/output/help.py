"""The help of the command line, in plain columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


class HelpFormatter:
    """Prints the help without boxes and colours, so that it reads the same in a terminal and in a pipe."""

    def render_usage(self, console: Console, _: ConsoleOptions, usage: object) -> None:
        """Print the first line."""
        console.print("Usage:", usage, highlight=False)

    def render_description(self, console: Console, _: ConsoleOptions, description: object) -> None:
        """Print what the command does."""
        with console.capture() as capture:
            console.print(description)
        # The library ends it with empty lines.
        console.print(capture.get().rstrip(), highlight=False, markup=False)

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one section: commands, arguments or options."""
        # Imported only here: most commands need no help.
        from cyclopts.help import DescriptionRenderer
        from rich.table import Table

        if not panel.entries:
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for entry in panel.entries:
            labels = ", ".join(entry.display_labels_with_metavar).lstrip()
            table.add_row(f"  {labels}", DescriptionRenderer()(entry))
        console.print("", f"{panel.title}:", table, sep="\n", highlight=False)
