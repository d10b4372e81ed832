"""The servers' node definitions, requested when a file or a check needs them."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from app.events import ServerName
from app.ports import Comfy, ConnectionLost, Refused
from app.texts.reasons.text import reason_text
from app.workflows.files import Folders, find
from app.workflows.load import NeedsServer, Workflow, load
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.nodes.replacements import read_replacements
from app.workflows.reasons.files import NodesUnknown

PATIENCE = 15.0
"""Seconds for /object_info: a server reads all its model folders for it, which may be on a slow disk."""


class Known(dict[ServerName, Definitions]):
    """The definitions of the servers that answered, and in `silent` why the others did not."""

    def __init__(self) -> None:
        super().__init__()
        self.silent: dict[ServerName, str] = {}


async def ask(servers: Mapping[ServerName, Comfy]) -> Known:
    """Ask all servers at once for their nodes; the result is in the order of the servers."""
    answers: dict[ServerName, Definitions] = {}
    known = Known()

    async def ask_one(name: ServerName, comfy: Comfy) -> None:
        try:
            with anyio.fail_after(PATIENCE):
                replacements = read_replacements(await comfy.replacements())
                answers[name] = Definitions(await comfy.nodes(), replacements)
        except (ConnectionLost, Refused) as error:
            known.silent[name] = reason_text(error.reason, operator=True)
        except TimeoutError:
            known.silent[name] = f"It did not list its nodes within {PATIENCE:g} s."

    async with anyio.create_task_group() as tasks:
        for name, comfy in servers.items():
            tasks.start_soon(ask_one, name, comfy, name=f"ask {name}")
    known.update({name: answers[name] for name in servers if name in answers})
    return known


async def open_workflow(
    folders: Folders, name_or_path: str, servers: Mapping[ServerName, Comfy]
) -> tuple[Workflow, Definitions | None]:
    """Load a workflow; asks the first server only if the file needs it. Raises `WorkflowError`."""
    try:
        return load(folders, name_or_path), None
    except NeedsServer:
        place = find(folders, name_or_path)
    server = next(iter(servers))
    known = await ask({server: servers[server]})
    if server not in known:
        raise WorkflowError(NodesUnknown(place.display_name, server, known.silent[server]))
    return load(folders, name_or_path, known[server]), known[server]
