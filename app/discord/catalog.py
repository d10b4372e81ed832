"""The workflows people can use, as they lie in their folder now; and what the servers have to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import structlog
from anyio import to_thread

from app.discord.options import takes_one_image
from app.discord.text import shorten
from app.discord.view import FollowUp
from app.events import ServerName
from app.ports import Comfy, ConnectionLost, Refused
from app.workflows.load import Workflow, list_names, load
from app.workflows.slots import Slot, WorkflowError

logger = structlog.stdlib.get_logger(__name__)

LOOK = 2.0
"""Seconds between two looks at the folder: somebody who edits a manifest looks at Discord next."""

FRESH = 60.0
"""Seconds for which a server's list is taken for true: new models are rare, and each key that is typed asks."""

Signature = tuple[tuple[str, int, int], ...]


class Catalog:
    """Owns the table of workflows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signature: Signature = ()
        self.workflows: Mapping[str, Workflow] = {}

    async def look(self) -> bool:
        """Read the folder anew if anything in it changed; whether it did. What cannot be read is logged."""
        signature = await to_thread.run_sync(_signature, self._folder)
        if signature == self._signature:
            return False
        self.workflows, wrong = await to_thread.run_sync(_load, self._folder)
        self._signature = signature
        for sentence in wrong:
            logger.warning("a workflow cannot be used", reason=sentence)
        return True

    def follow_ups(self) -> tuple[FollowUp, ...]:
        """What can go on from a picture."""
        return tuple(
            FollowUp(workflow.name, shorten(workflow.title, 40))
            for workflow in self.workflows.values()
            if workflow.command and takes_one_image(workflow)
        )


class Lists:
    """Owns what the servers said there is to choose from, for a while."""

    def __init__(self, servers: Mapping[ServerName, Comfy]) -> None:
        self._servers = servers
        self._known: dict[tuple[str, str], tuple[float, Sequence[str]]] = {}

    async def of(self, workflow: Workflow, slot: Slot) -> Sequence[str]:
        """What may stand in a slot: its own choices, else what any server lists. Empty where none answers."""
        if slot.choices or not slot.targets:
            return slot.choices
        target = slot.targets[0]
        key = str(workflow.graph[target.node].get("class_type", "")), target.input
        known = self._known.get(key)
        if known is not None and anyio.current_time() - known[0] < FRESH:
            return known[1]
        found: dict[str, None] = {}
        for comfy in self._servers.values():
            try:
                found.update(dict.fromkeys(await comfy.choices(*key)))
            except (ConnectionLost, Refused):
                continue
        if found:
            self._known[key] = anyio.current_time(), tuple(found)
        return tuple(found) or (known[1] if known else ())


def _signature(folder: Path) -> Signature:
    files = sorted(path for path in folder.glob("*/*") if path.suffix in {".json", ".toml"})
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path in files for stat in [path.stat()])


def _load(folder: Path) -> tuple[dict[str, Workflow], list[str]]:
    found: dict[str, Workflow] = {}
    wrong: list[str] = []
    for name in list_names(folder):
        try:
            found[name] = load(folder, name)
        except WorkflowError as error:
            wrong.append(str(error))
    return found, wrong
