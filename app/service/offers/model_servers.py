"""Which servers have the models that a request names. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from app.ports import Json
from app.workflows.api_graph import known_input
from app.workflows.load import Workflow
from app.workflows.nodes.definitions import Definitions


def lists_models(workflow: Workflow, definitions: Definitions, values: Mapping[str, Json]) -> bool:
    """Whether a server lists all models among these values, by slot; one without such a list may have everything."""
    for slot in workflow.slots:
        if slot.kind != "model" or not slot.targets or not (file := values.get(slot.name)):
            continue
        known = known_input(workflow.graph, definitions, slot.targets[0])
        if known is not None and known.choices is not None and str(file) not in map(str, known.choices):
            return False
    return True
