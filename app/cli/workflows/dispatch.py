"""`python -m app workflows`: calls the function for each verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from app.cli.workflows.commands import check_workflows, fill_in, list_workflows, show_workflow
from app.cli.workflows.new import new_workflow
from app.events import ServerName
from app.ports import Comfy, Json
from app.standard_streams import complain
from app.workflows.manifest.schema import schema


async def workflows(
    console: Console,
    verb: str,
    told: str,
    folder: Path,
    servers: Mapping[ServerName, Comfy],
    values: Mapping[str, Json],
    sets: Sequence[tuple[str, str]],
    preset: str,
) -> int:
    """Carry out the verb; return the exit code. Raises `WorkflowError`."""
    match verb:
        case "show":
            return await show_workflow(console, folder, told, servers)
        case "new":
            await new_workflow(console, folder, Path(told), servers)
            return 0
        case "check":
            return await check_workflows(console, folder, told, servers)
        case "fill":
            graph, notes = await fill_in(folder, told, values, sets, preset, servers)
            print(graph)
            for note in notes:
                complain(note)
            return 0
        case "schema":
            print(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
            return 0
        case _:
            return list_workflows(console, folder)
