"""Turns a workflow and a person's values into a job request. Pure, except for checking whether files exist."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from app.core.jobs.job import FirstChoice, JobRequest, Upload
from app.core.jobs.progress import title
from app.core.limits.spending import Payment, money
from app.events import JobId, NodeId
from app.ports import Graph, Json
from app.reasons import Reason
from app.workflows.api_graph import copied, find_target, inputs, known_input, paid_nodes, seeds
from app.workflows.binding.placeholders import resolve
from app.workflows.binding.rounding import round_sizes, stepped
from app.workflows.files import expanded, is_file
from app.workflows.load import Workflow
from app.workflows.lora import CORE, called, fill_loras, find_chain, read_loras
from app.workflows.model import (
    LARGEST_SEED,
    UPLOADED,
    Kind,
    Slot,
    Target,
    WorkflowError,
    check_text,
    chosen_like,
    typed_like,
)
from app.workflows.nodes.definitions import Definitions
from app.workflows.reasons.binding import MissingUpload, MissingValue, NotAnAddress, UnknownPreset, UnknownSlot
from app.workflows.reasons.discovery import SeveralCandidates

FILES = frozenset({"image", "video", "audio", "file"})
"""The names that ComfyUI's loaders give to the input that holds the name of an uploaded file."""

EMPTY: frozenset[Kind] = frozenset({"text", "choice", "model", "lora"})
"""Kinds for which an empty value has a meaning: no text, an empty choice, the server's first model, no LoRA.

For all other kinds, an empty value counts as not given.
"""


class _Filling(Struct):
    """The state of one `bind` call: the graph that is being filled, and what was collected for the job request."""

    graph: Graph
    rng: random.Random
    definitions: Definitions | None
    seed: int | None = None
    touched: set[Target] = field(default_factory=set[Target])
    """The inputs that have a value already and need no random seed."""
    verbatim: dict[Target, Json] = field(default_factory=dict[Target, Json])
    """Values that the person gave, in which placeholders are not resolved."""
    uploads: list[Upload] = field(default_factory=list[Upload])
    choices: list[FirstChoice] = field(default_factory=list[FirstChoice])

    def put(self, targets: Sequence[Target], value: Json) -> None:
        for number, target in enumerate(targets):
            # A size has its targets in pairs: width, height.
            inputs(self.graph, target.node)[target.input] = value[number % 2] if isinstance(value, list) else value

    def choose(self, targets: Sequence[Target], choice: Json) -> None:
        for target in targets:
            node_inputs = inputs(self.graph, target.node)
            node_inputs[target.input] = chosen_like(choice, node_inputs.get(target.input))


def bind(
    workflow: Workflow,
    job: JobId,
    values: Mapping[str, Json],
    sets: Sequence[tuple[str, str]] = (),
    *,
    rng: random.Random,
    folder: str,
    owner: str = "",
    preset: str = "",
    definitions: Definitions | None = None,
    now: datetime | None = None,
) -> JobRequest:
    """Fill in a copy of the workflow's graph and return it as a job request; the workflow itself does not change.

    `values` maps slot names to values and overrides the values of the `preset`. `sets` are pairs of ("NODE.INPUT",
    value), where NODE is a node's id, title or class. Every seed that is not given is drawn from `rng`. With
    `definitions`, sizes are rounded to the nodes' steps, and LoRAs may be given by short names. `now` is the date in
    file prefixes (default: the local time). Raises `WorkflowError`.
    """
    merged = {**_preset(workflow, preset), **values}
    known = {slot.name: slot for slot in workflow.slots}
    for name in merged:
        if name not in known:
            raise WorkflowError(_no_slot(workflow, name))
    filling = _Filling(copied(workflow.graph), rng, definitions)
    # Filling a chain of LoRAs may remove nodes that other slots fill, so it comes last.
    for slot in sorted(workflow.slots, key=lambda slot: slot.kind == "lora"):
        _fill(workflow, filling, slot, merged)
    if definitions is not None:
        sized = [target for slot in workflow.slots if slot.kind in {"integer", "size"} for target in slot.targets]
        filling.graph = round_sizes(filling.graph, definitions, sized)
    for where, text in sets:
        _set(filling, where, text)
    for target in list(seeds(filling.graph)):
        if target not in filling.touched:
            drawn = rng.randint(0, _largest_seed(filling, target))
            inputs(filling.graph, target.node)[target.input] = drawn
            filling.seed = drawn if filling.seed is None else filling.seed
    graph = resolve(filling.graph, now or datetime.now().astimezone())
    for target, value in filling.verbatim.items():
        if target.node in graph:
            inputs(graph, target.node)[target.input] = value
    return JobRequest(
        job=job,
        workflow=workflow.name,
        graph=graph,
        folder=folder,
        owner=owner,
        seed=filling.seed,
        values=merged,
        silence=workflow.silence,
        uploads=tuple(upload for upload in filling.uploads if upload.node in graph),
        choices=tuple(choice for choice in filling.choices if choice.node in graph),
        cost=workflow.cost,
        payment=payment_of(workflow.price, graph, definitions),
    )


def payment_of(price: float | None, graph: Graph, definitions: Definitions | None) -> Payment | None:
    """What a run of this graph costs, and which nodes cost it, as far as the definitions say; None for nothing."""
    if price is None:
        return None
    nodes = paid_nodes(graph, definitions) if definitions is not None else ()
    return Payment(money(price), tuple(map(NodeId, nodes)))


def _preset(workflow: Workflow, preset: str) -> Mapping[str, Json]:
    if preset and preset not in workflow.presets:
        raise WorkflowError(UnknownPreset(workflow.name, preset, tuple(workflow.presets)))
    return workflow.presets.get(preset, {})


def _no_slot(workflow: Workflow, name: str) -> Reason:
    for note in workflow.notes:
        if isinstance(note, SeveralCandidates) and note.slot == name:
            return note
    return UnknownSlot(workflow.name, name, tuple(slot.name for slot in workflow.slots))


def _fill(workflow: Workflow, filling: _Filling, slot: Slot, values: Mapping[str, Json]) -> None:
    value = values.get(slot.name, slot.default)
    if value == "" and slot.kind not in EMPTY:
        value = None
    if slot.kind == "seed":
        value = slot.read(_draw(filling.rng, slot) if value is None else value)
        filling.seed = value if isinstance(value, int) else filling.seed
    elif value is None or value == "":
        if slot.required:
            raise WorkflowError(MissingValue(workflow.name, slot.name, slot.kind))
        if slot.kind == "model":
            filling.choices += [FirstChoice(target.node, target.input) for target in slot.targets]
        if value is None:
            return
    read = slot.read(value)
    filling.touched.update(slot.targets)
    if slot.kind in UPLOADED:
        path = _file(slot.name, str(read))
        filling.uploads += [Upload(target.node, target.input, path) for target in slot.targets]
    elif slot.kind == "lora":
        filling.graph = _loras(filling, slot, str(read))
    elif slot.kind == "choice":
        filling.choose(slot.targets, read)
    else:
        filling.put(slot.targets, stepped(read, slot))
        if slot.name in values and slot.kind == "text":
            filling.verbatim.update(dict.fromkeys(slot.targets, read))


def _loras(filling: _Filling, slot: Slot, text: str) -> Graph:
    """Return the graph with these LoRAs in the slot's chain."""
    listed = slot.choices
    for kind in ("LoraLoader", "LoraLoaderModelOnly"):
        definition = filling.definitions.get(kind) if filling.definitions is not None else None
        known = definition.inputs.get("lora_name") if definition is not None else None
        listed = listed or tuple(map(str, (known.choices if known is not None else None) or ()))
    loras = called(read_loras(text), listed)
    chain = find_chain(filling.graph, slot.targets[0].node, filling.definitions or Definitions(CORE))
    return fill_loras(filling.graph, chain, loras)


def _set(filling: _Filling, where: str, text: str) -> None:
    target = _address(filling.graph, where)
    filling.touched.add(target)
    present = inputs(filling.graph, target.node)[target.input]
    if target.input in FILES and is_file(path := expanded(text)):
        filling.uploads.append(Upload(target.node, target.input, str(path)))
        return
    check_text(where, text)
    value = typed_like(where, text, present)
    filling.put([target], value)
    filling.verbatim[target] = value
    if target in seeds(filling.graph):
        filling.seed = int(str(value))


def _address(graph: Graph, where: str) -> Target:
    """Parse `NODE.INPUT`. Ids and titles may contain dots, so the last dot separates the node from its input."""
    node, dot, name = where.rpartition(".")
    if not dot:
        raise WorkflowError(NotAnAddress(where, title(graph, next(iter(graph)))))
    return find_target(graph, node, name)


def _draw(rng: random.Random, slot: Slot) -> int:
    """Draw a seed within the slot's limits."""
    low = math.ceil(slot.minimum or 0)
    high = math.floor(min(LARGEST_SEED, slot.maximum if slot.maximum is not None else LARGEST_SEED))
    return rng.randint(min(max(low, 0), high), high)


def _largest_seed(filling: _Filling, target: Target) -> int:
    """Return the largest seed that a node takes, as far as its definition is known."""
    known = known_input(filling.graph, filling.definitions, target) if filling.definitions is not None else None
    limit = known.limit("max") if known is not None else None
    return max(0, math.floor(min(LARGEST_SEED, limit))) if limit is not None else LARGEST_SEED


def _file(name: str, value: str) -> str:
    path = expanded(value)
    if not is_file(path):
        raise WorkflowError(MissingUpload(name, value))
    return str(path)
