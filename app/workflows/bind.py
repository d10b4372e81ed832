"""Filling in: a workflow and what a person wants become a wish. Pure, but for looking whether files exist."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.events import JobId
from app.jobs import FirstChoice, Upload, Wish
from app.ports import Graph, Json
from app.progress import title
from app.workflows.graph import find_target, inputs, seeds
from app.workflows.load import Workflow
from app.workflows.slots import LARGEST_SEED, Slot, Target, WorkflowError, suggest, typed_like


def bind(
    workflow: Workflow,
    job: JobId,
    values: Mapping[str, Json],
    sets: Sequence[tuple[str, str]] = (),
    *,
    rng: random.Random,
    folder: str,
    owner: str = "",
) -> Wish:
    """Fill a copy of the graph; the workflow stays as it is.

    `values` go to slots by name, `sets` are ("NODE.INPUT", value) with a node's id or title. Every seed that
    is not given is drawn. Raises `WorkflowError`.
    """
    graph = copy.deepcopy(workflow.graph)
    known = {slot.name: slot for slot in workflow.slots}
    for name in values:
        if name not in known:
            hint = suggest(name, known) if known else ": it has no slots; use --set NODE.INPUT=VALUE."
            raise WorkflowError(f"“{workflow.name}” has no slot called “{name}”{hint}")
    given: set[Target] = set()
    uploads: list[Upload] = []
    choices: list[FirstChoice] = []
    seed: int | None = None
    for slot in workflow.slots:
        value = values.get(slot.name, slot.default)
        if slot.kind == "seed":
            seed = int(str(slot.read(_draw(rng) if value is None else value)))
            value = seed
        if value is None or value == "":
            if slot.required:
                raise WorkflowError(f"“{workflow.name}” needs {slot.name}: add {slot.name}={_example(slot)}.")
            if slot.kind == "model":
                choices += [FirstChoice(target.node, target.input) for target in slot.targets]
            if value is None:
                continue
        given.update(slot.targets)
        read = slot.read(value)
        if slot.kind == "image":
            path = _picture(slot.name, str(read))
            uploads += [Upload(target.node, target.input, path) for target in slot.targets]
        else:
            _put(graph, slot.targets, read)
    for where, told in sets:
        target = _address(graph, where)
        given.add(target)
        present = inputs(graph, target.node)[target.input]
        is_picture = target.input == "image" and Path(told).expanduser().is_file()
        if is_picture:
            uploads.append(Upload(target.node, target.input, str(Path(told).expanduser())))
            continue
        value = typed_like(where, told, present)
        inputs(graph, target.node)[target.input] = value
        if target in seeds(graph):
            seed = int(str(value))
    for target in seeds(graph):
        if target not in given:
            drawn = _draw(rng)
            inputs(graph, target.node)[target.input] = drawn
            seed = drawn if seed is None else seed
    return Wish(
        job=job,
        workflow=workflow.name,
        graph=graph,
        folder=folder,
        owner=owner,
        seed=seed,
        uploads=tuple(uploads),
        choices=tuple(choices),
    )


def _put(graph: Graph, targets: Sequence[Target], value: Json) -> None:
    for target in targets:
        inputs(graph, target.node)[target.input] = value


def _address(graph: Graph, where: str) -> Target:
    """Ids and titles may hold dots: the last one parts the node from its input."""
    node, dot, name = where.rpartition(".")
    if not dot:
        some = next(iter(graph))
        raise WorkflowError(f"--set {where}: write NODE.INPUT=VALUE, such as “{title(graph, some)}.seed=7”.")
    return find_target(graph, node, name)


def _draw(rng: random.Random) -> int:
    return rng.randint(0, LARGEST_SEED)


def _picture(name: str, told: str) -> str:
    path = Path(told).expanduser()
    if not path.is_file():
        raise WorkflowError(f"{name}: there is no file {told}.")
    return str(path)


def _example(slot: Slot) -> str:
    return "photo.png" if slot.kind == "image" else '"a lighthouse at dusk"'
