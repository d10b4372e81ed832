"""Lists the choices for an input, as the servers have them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from app.events import ServerName
from app.node_cache import NodeCache
from app.ports import ConnectionLost, Refused
from app.workflows.load import Workflow
from app.workflows.model import Slot
from app.workflows.nodes.definitions import Definition


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
        class_type, name = _input(workflow, slot)
        choices: dict[str, list[ServerName]] = {}
        for server, nodes in tuple(self._nodes.items()):
            try:
                definition = await nodes.node(class_type)
            except (ConnectionLost, Refused):
                definition = nodes.known.get(class_type)
            for choice in _listed(definition, name):
                choices.setdefault(choice, []).append(server)
        return choices

    def known(self, workflow: Workflow) -> dict[str, Sequence[str]]:
        """The choices of each slot of a model or a LoRA as the servers were last seen, without asking them."""
        offered: dict[str, Sequence[str]] = {}
        for slot in workflow.slots:
            if slot.kind in {"model", "lora"} and slot.targets:
                class_type, name = _input(workflow, slot)
                choices: dict[str, None] = {}
                for nodes in tuple(self._nodes.values()):
                    choices.update(_listed(nodes.known.get(class_type), name))
                offered[slot.name] = slot.choices or tuple(choices)
        return offered


def _input(workflow: Workflow, slot: Slot) -> tuple[str, str]:
    """The class of node, and its input, that lists what a slot may be."""
    if slot.kind == "lora":
        # The slot's target is any loader, perhaps that of the model before an empty row of LoRAs.
        return "LoraLoader", "lora_name"
    target = slot.targets[0]
    return str(workflow.graph[target.node].get("class_type", "")), target.input


def _listed(definition: Definition | None, name: str) -> dict[str, None]:
    """The choices of an input, in order."""
    known = definition.inputs.get(name) if definition is not None else None
    return dict.fromkeys(map(str, (known.choices if known is not None else None) or ()))
