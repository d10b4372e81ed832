"""Caches the choices that the servers list for an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from app.events import ServerName
from app.ports import Comfy, ConnectionLost, Refused
from app.workflows.load import Workflow
from app.workflows.model import Slot

FRESH = 60.0
"""Seconds for which a server's list stays valid: new models are rare, and every keystroke asks."""


class ChoicesCache:
    """Caches the choices of each input that the servers list."""

    def __init__(self, servers: Mapping[ServerName, Comfy]) -> None:
        self._servers = servers
        self._known: dict[tuple[str, str], tuple[float, Sequence[str]]] = {}

    async def of(self, workflow: Workflow, slot: Slot) -> Sequence[str]:
        """The choices of a slot: its own, else those that any server lists. Empty if no server answers.

        After a failure the last known list is used.
        """
        if slot.choices or not slot.targets:
            return slot.choices
        target = slot.targets[0]
        key = str(workflow.graph[target.node].get("class_type", "")), target.input
        if slot.kind == "lora":
            # The slot's target is any loader, perhaps that of the model before an empty row of LoRAs.
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
