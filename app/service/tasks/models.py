"""The models that people choose from for a task: the workflows for it, and the files that their servers have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol

from msgspec import Struct

from app.config.settings import DefaultModels
from app.core.jobs.cost import MODEL_INPUTS
from app.service.people.permissions import can_use
from app.service.reasons import ModelUnknown, TaskNotOffered
from app.service.requests import Person
from app.texts.model_names import model_name
from app.texts.wording import shortened
from app.workflows.api_graph import known_input
from app.workflows.load import Workflow
from app.workflows.model import Slot, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.task import TASKS, Task

LONGEST_LABEL = 100
"""Characters of a choice in Discord."""

FIRST = (
    *("txt2img", "z-image", "flux", "qwen-image", "flux-2", "hidream", "hidream-o1", "flux-4k"),
    *("kontext", "qwen-edit-2511", "qwen-edit", "img2img", "inpaint", "outpaint", "qwen-edit-2", "qwen-edit-3"),
    *("animate", "txt2vid", "ltx", "upscale", "upscale-refine", "describe", "music", "hunyuan-3d"),
)
"""The included workflows, in the order in which they are offered: without a choice, the first that a server can run is
used. Others follow in the order of their folders."""


MOST_SEARCHED = 200
"""Models among which a similar name is searched for one that is not there: with thousands that would take too long."""


class TaskModel(Struct, frozen=True, kw_only=True):
    """One model: a workflow, and the file for its slot for a model; "" for the workflow's own."""

    label: str
    """What people read and choose; no other model of the task has it."""
    workflow: Workflow
    slot: str = ""
    file: str = ""

    def names(self) -> tuple[str, ...]:
        """What people may write instead of the label."""
        if not self.file:
            return (self.workflow.name, self.workflow.title, self.workflow.command)
        return (self.file, model_name(self.file))


class Offered(Protocol):
    """What is offered, and what the servers have: `app.service.offers.catalog.Catalog`."""

    workflows: Mapping[str, Workflow]

    def able_definitions(self, name: str) -> Sequence[Definitions]:
        """The node definitions of all servers that can run a workflow, as far as they are known."""
        ...


class _Table(Struct, frozen=True):
    """The models of one task, and what they were made from."""

    workflows: Mapping[str, Workflow]
    definitions: Sequence[Definitions]
    models: Sequence[TaskModel]
    search: Sequence[str]
    """For each model, what a typed word may occur in."""

    def is_of(self, workflows: Mapping[str, Workflow], definitions: Sequence[Definitions]) -> bool:
        """Whether nothing has changed since; definitions are never changed, but replaced."""
        same = len(definitions) == len(self.definitions) and all(map(_same, definitions, self.definitions))
        return same and workflows is self.workflows


class TaskModels:
    """Lists the models of each task, from memory. `defaults` names the model of a task that nobody chose one for."""

    def __init__(self, offered: Offered, defaults: DefaultModels | None = None) -> None:
        self.defaults = defaults or DefaultModels()
        """May be replaced at any time."""
        self._offered = offered
        self._tables: dict[Task, _Table] = {}
        self._asked = True

    def were_asked(self) -> bool:
        """Whether people chose a model since the last call, so that it is worth to bring the lists up to date."""
        asked, self._asked = self._asked, False
        return asked

    def of(self, task: Task, person: Person | None = None) -> list[TaskModel]:
        """The models of a task that a person may use, in a stable order; all of them for nobody."""
        return [model for model in self._table(task).models if person is None or can_use(model.workflow, person)]

    def prepare(self) -> None:
        """Make the lists anew where something has changed, so that nobody who types has to wait for that."""
        for task in TASKS:
            self._table(task)

    def suggest(self, task: Task, typed: str, person: Person, most: int) -> list[str]:
        """The labels of the models in which all typed words occur; with nothing typed, first one of each workflow."""
        self._asked = True
        table, words, allowed = self._table(task), typed.casefold().split(), dict[str, bool]()
        matching: list[TaskModel] = []
        for model, text in zip(table.models, table.search, strict=True):
            name = model.workflow.name
            if name not in allowed:
                allowed[name] = can_use(model.workflow, person)
            if allowed[name] and all(word in text for word in words):
                matching.append(model)
                if words and len(matching) == most:
                    break
        firsts = {model.workflow.name: model for model in reversed(matching)}
        ordered = (
            sorted(matching, key=lambda model: firsts[model.workflow.name] is not model) if not words else matching
        )
        return [model.label for model in ordered[:most]]

    def default(self, task: Task, person: Person) -> TaskModel:
        """The model that is used if none is chosen. Raises `WorkflowError` if the person may use none.

        Unless the operator names one, it has no file: its server's first one is used, or the one that the person saved.
        """
        models = self.of(task, person)
        if not models:
            raise WorkflowError(TaskNotOffered(task))
        named = _find(models, self.defaults.of(task))
        return named if named is not None else workflow_model(models[0].workflow)

    def unknown_defaults(self) -> Iterator[ModelUnknown]:
        """Yield a reason for each of `defaults` that is no model now; without it, the first model is used."""
        for task in TASKS:
            name, models = self.defaults.of(task), self.of(task)
            if name and _find(models, name) is None:
                yield ModelUnknown(name, tuple(model.label for model in models[:MOST_SEARCHED]))

    def find(self, task: Task, name: str, person: Person) -> TaskModel:
        """The model of this name. Raises `WorkflowError` if there is none that the person may use."""
        self._asked = True
        models = self.of(task, person)
        if not models:
            raise WorkflowError(TaskNotOffered(task))
        if (model := _find(models, name)) is None:
            raise WorkflowError(ModelUnknown(name, tuple(model.label for model in models[:MOST_SEARCHED])))
        return model

    def twins(self, model: TaskModel, task: Task, person: Person) -> Iterator[TaskModel]:
        """The models of another task that use the same file in the same way."""
        if model.file:
            for other in self.of(task, person):
                if other.file == model.file and _loader(other) == _loader(model):
                    yield other

    def _table(self, task: Task) -> _Table:
        workflows = self._offered.workflows
        of_task = [workflow for workflow in workflows.values() if workflow.task == task]
        of_task.sort(key=lambda workflow: FIRST.index(workflow.name) if workflow.name in FIRST else len(FIRST))
        known = [self._offered.able_definitions(workflow.name) for workflow in of_task]
        together = list(chain.from_iterable(known))
        table = self._tables.get(task)
        if table is None or not table.is_of(workflows, together):
            models = _models(dict(zip([workflow.name for workflow in of_task], known, strict=True)), workflows)
            search = ["\n".join((model.label, *model.names())).casefold() for model in models]
            table = self._tables[task] = _Table(workflows, together, models, search)
        return table


def workflow_model(workflow: Workflow) -> TaskModel:
    """A workflow as a model without a file."""
    return TaskModel(label=workflow.title, workflow=workflow)


def model_slot(workflow: Workflow) -> Slot | None:
    """The slot for the file that people call the model; None if the workflow has none."""
    slots = [slot for slot in workflow.slots if slot.kind == "model" and slot.targets]
    return next((slot for slot in slots if slot.targets[0].input in MODEL_INPUTS), next(iter(slots), None))


def _same(first: object, second: object) -> bool:
    return first is second


def _models(known: Mapping[str, Sequence[Definitions]], workflows: Mapping[str, Workflow]) -> list[TaskModel]:
    """The models of these workflows, each with a label of its own."""
    files = {name: _files(workflows[name], definitions) for name, definitions in known.items()}
    several = sum(1 for listed in files.values() if listed) > 1
    models: list[TaskModel] = []
    for name, listed in files.items():
        workflow, slot = workflows[name], model_slot(workflows[name])
        if slot is None or slot.default or not listed:
            models.append(workflow_model(workflow))
        for file in listed:
            label = (
                f"{workflow.title}: {model_name(file)}" if several or slot is None or slot.default else model_name(file)
            )
            models.append(TaskModel(label=label, workflow=workflow, slot=slot.name if slot else "", file=file))
    return _told_apart(models)


def _files(workflow: Workflow, known: Sequence[Definitions]) -> list[str]:
    """The files that people may choose as the model: what servers list, or those of the manifest's choices they have.

    None where the manifest has a default and no choices, because other files may not fit to it.
    """
    slot = model_slot(workflow)
    if slot is None or (slot.default and not slot.choices):
        return []
    listed: dict[str, None] = {}
    for definitions in known:
        loader_input = known_input(workflow.graph, definitions, slot.targets[0])
        choices = loader_input.choices if loader_input is not None else None
        listed.update(dict.fromkeys(map(str, choices or ())))
    if not slot.choices:
        return list(listed)
    return [choice for choice in slot.choices if choice in listed or not known]


def _told_apart(models: Sequence[TaskModel]) -> list[TaskModel]:
    """The models with labels of at most `LONGEST_LABEL` characters, no two of which are equal."""
    taken: set[str] = set()
    apart: list[TaskModel] = []
    for model in models:
        label = shortened(model.label, LONGEST_LABEL)
        if label.casefold() in taken:
            label = shortened(f"{model.label} ({model.file or model.workflow.name})", LONGEST_LABEL)
        number = 2
        while label.casefold() in taken:
            end = f" ({number})"
            label, number = f"{shortened(model.label, LONGEST_LABEL - len(end))}{end}", number + 1
        taken.add(label.casefold())
        apart.append(TaskModel(label=label, workflow=model.workflow, slot=model.slot, file=model.file))
    return apart


def _find(models: Sequence[TaskModel], name: str) -> TaskModel | None:
    """The model with this label; else the first that has this name, or begins with it if it is the only one."""
    wanted = " ".join(name.casefold().split())
    if not wanted:
        return None
    for model in models:
        if model.label.casefold() == wanted:
            return model
    for model in models:
        if any(wanted == other.casefold() for other in model.names() if other):
            return model
    starting = [model for model in models if model.label.casefold().startswith(wanted)]
    return starting[0] if len(starting) == 1 else None


def _loader(model: TaskModel) -> tuple[str, str]:
    """The class of the node that loads the model's file, and its input."""
    slot = next(slot for slot in model.workflow.slots if slot.name == model.slot)
    target = slot.targets[0]
    return str(model.workflow.graph[target.node].get("class_type", "")), target.input
