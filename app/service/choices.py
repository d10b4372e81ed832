"""Lists the choices for an input, as the servers have them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from app.events import ServerName
from app.node_cache import NodeCache
from app.ports import ConnectionLost, Refused
from app.workflows.load import Workflow
from app.workflows.model import Slot


class Choices:
    """Lists the choices of slots; `nodes` are the node definitions of all servers, which may come and go."""

    def __init__(self, nodes: Mapping[ServerName, NodeCache]) -> None:
        self._nodes = nodes

    async def of(self, workflow: Workflow, slot: Slot) -> Sequence[str]:
        """The choices of a slot: its own, else those that any server lists. Empty if no server has answered yet.

        A server that does not answer now counts as it was last seen.
        """
        return tuple(await self.servers_with(workflow, slot))

    async def servers_with(self, workflow: Workflow, slot: Slot) -> Mapping[str, Collection[ServerName]]:
        """The choices of a slot, as above, each with the servers that list it; those of its own with none."""
        if slot.choices or not slot.targets:
            return dict.fromkeys(slot.choices, ())
        target = slot.targets[0]
        class_type, name = str(workflow.graph[target.node].get("class_type", "")), target.input
        if slot.kind == "lora":
            # The slot's target is any loader, perhaps that of the model before an empty row of LoRAs.
            class_type, name = "LoraLoader", "lora_name"
        choices: dict[str, list[ServerName]] = {}
        for server, nodes in tuple(self._nodes.items()):
            try:
                definition = await nodes.node(class_type)
            except (ConnectionLost, Refused):
                definition = nodes.known.get(class_type)
            known = definition.inputs.get(name) if definition is not None else None
            for choice in dict.fromkeys(map(str, known.choices or ())) if known is not None else ():
                choices.setdefault(choice, []).append(server)
        return choices
