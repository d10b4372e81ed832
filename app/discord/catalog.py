"""The workflows people can use, as they lie in their folder now; and what the servers have to choose from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import anyio
import structlog
from anyio import to_thread

from app.events import ServerName
from app.ports import Comfy, ConnectionLost, Json, Refused
from app.workflows.definitions import Definitions
from app.workflows.load import Workflow
from app.workflows.offer import Offer, contradictions, offers
from app.workflows.slots import Slot

logger = structlog.stdlib.get_logger(__name__)

LOOK = 1.0
"""Seconds between two looks at the folder: somebody who edits a manifest looks at Discord next."""

FRESH = 60.0
"""Seconds for which a server's list is taken for true: new models are rare, and each key that is typed asks."""

Signature = tuple[tuple[str, int, int], ...]


class Catalog:
    """Owns the table of workflows that are offered, and which servers can run each.

    What cannot be read keeps its last good version; what no server can run is not offered. As long as a server has
    not said what it has, it is believed to have everything.
    """

    def __init__(self, folder: Path, servers: Collection[ServerName]) -> None:
        self._folder = folder
        self._servers = servers
        self._known: dict[ServerName, Definitions] = {}
        self._signature: Signature | None = None
        self._wrong: frozenset[str] = frozenset()
        self.workflows: Mapping[str, Workflow] = {}
        self.servers: Mapping[str, tuple[ServerName, ...]] = {}
        """Where a workflow can be sent to, if that is not everywhere."""

    def learn(self, server: ServerName, nodes: dict[str, Json]) -> None:
        """Take in what nodes a server has; the next look goes through all workflows again."""
        self._known[server] = Definitions(nodes)
        self._signature = None

    async def look(self) -> bool:
        """Read the folder anew if anything in it, or about the servers, changed; whether it did.

        What is wrong is logged once.
        """
        signature = await to_thread.run_sync(_signature, self._folder)
        if signature == self._signature:
            return False
        known = dict(self._known)
        self._signature = signature
        found = await to_thread.run_sync(offers, self._folder, known)
        workflows: dict[str, Workflow] = {}
        servers: dict[str, tuple[ServerName, ...]] = {}
        wrong: list[str] = []
        wanting: list[str] = []
        for one in found:
            workflow, told = one.workflow or self.workflows.get(one.name), one.problem
            able = [server for server in self._servers if server not in known or server in one.servers]
            if not able and not told:
                wanting.append(one.name)
                logger.info("a workflow is not offered", name=one.name, reason=_reasons(one))
            elif workflow is not None:
                told = f"{told} Its last good version is kept." if told else ""
                workflows[one.name] = workflow
                if 0 < len(able) < len(self._servers):
                    servers[one.name] = tuple(able)
            wrong += [told] if told else []
        if wanting:
            wrong.append(f"No server can run {', '.join(wanting)}, so they are not offered: see check.")
        wrong += contradictions([one for name in found if (one := name.workflow or workflows.get(name.name))])
        for sentence in wrong:
            if sentence not in self._wrong:
                logger.warning("a workflow cannot be used as it is", reason=sentence)
        self.workflows, self.servers, self._wrong = workflows, servers, frozenset(wrong)
        return True


def _reasons(one: Offer) -> str:
    return " ".join(
        f"{server}: {next((finding.sentence for finding in findings if finding.severity == 'error'), '')}"
        for server, findings in one.findings.items()
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
        if slot.kind == "lora":
            # Its target is a loader as such, and may be the one of the model before a row that is still empty.
            key = "LoraLoader", "lora_name"
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
    files = sorted(path for glob in ("*", "*/*") for path in folder.glob(glob) if path.suffix in {".json", ".toml"})
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path in files for stat in [path.stat()])
