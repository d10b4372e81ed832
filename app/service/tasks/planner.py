"""Decides what the request for a task means: which workflow, and which values. Pure: everything is in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from app.config.settings import FORMATS, Preset
from app.core.jobs.cost import SECONDS_PER_COST
from app.ports import Json
from app.service.reasons import (
    CannotStartFromPicture,
    FormatUnknown,
    NoSizeForFormat,
    OptionNotOffered,
    PresetNotOffered,
)
from app.service.requests import AttachedFile, CreateJob, Person
from app.service.tasks.formats import has_format, sized
from app.service.tasks.models import TaskModel, TaskModels, workflow_model
from app.service.tasks.presets import joined
from app.workflows.binding.batch import COUNT
from app.workflows.load import Workflow
from app.workflows.model import Slot, WorkflowError
from app.workflows.task import Task

OPTIONS: dict[Task, tuple[str, ...]] = {
    "imagine": ("prompt", "model", "format", "count", "negative", "seed", "preset", "image"),
    "edit": ("image", "prompt", "model", "image2", "image3", "mask", "count", "negative", "seed", "preset"),
    "animate": ("image", "prompt", "model", "format", "negative", "seed", "preset"),
    "upscale": ("image", "model", "factor"),
    "describe": ("image", "prompt", "model"),
    "film": ("prompt", "model", "format", "negative", "seed", "preset"),
    "sound": ("prompt", "model", "negative", "seed"),
    "sculpt": ("image", "model", "seed"),
}
"""What people may give for each task. All but `model`, `format` and `preset` are slots, if the model has them."""

NOT_SLOTS = frozenset({"model", "format", "preset"})

SEVERAL = 4
"""Pictures that are made of one description if nobody says how many, and one is expected to be made soon."""

SOON = 15.0
"""Seconds. Four such pictures take a minute."""


class TaskRequest(Struct, frozen=True, kw_only=True):
    """What a person gave for a task. `values` are those of slots; a file names its slot. "" is not given."""

    task: Task
    model: str = ""
    format: str = ""
    preset: str = ""
    values: dict[str, Json] = {}
    files: tuple[AttachedFile, ...] = ()
    spoiler: bool = False


def _by_cost(workflow: Workflow) -> float:
    return workflow.cost * SECONDS_PER_COST


class TaskPlanner:
    """Makes requests for a workflow from requests for a task.

    `presets` are those that fit any model; a model's own presets may be named as well. `seconds` returns how long one
    picture of a workflow is expected to take.
    """

    def __init__(
        self, models: TaskModels, presets: Mapping[str, Preset], seconds: Callable[[Workflow], float] = _by_cost
    ) -> None:
        self.models = models
        self.presets = presets
        """May be replaced at any time."""
        self._seconds = seconds

    def plan(self, request: TaskRequest, person: Person) -> CreateJob:
        """The request for a workflow. Raises `WorkflowError` if the person may use none, or for what it cannot do.

        What the person gave is in `values`; what is only usual for the task is in `defaults`.
        """
        model = self._model(request, person)
        workflow, slots = model.workflow, _by_option(model.workflow)
        if request.values.get(COUNT) == 1 and COUNT not in slots:
            # What the model does anyway.
            request = replace(request, values={name: value for name, value in request.values.items() if name != COUNT})
        for option in (*request.values, *(file.slot for file in request.files)):
            if option not in slots:
                raise WorkflowError(OptionNotOffered(model.label, option, offered_options(workflow, request.task)))
        common, own = self._preset(request.preset, workflow)
        given = {slots[option].name: value for option, value in request.values.items()}
        values = {slots[name].name: value for name, value in common.values.items() if name in slots}
        values |= {**_sizes(request, model, common), **given, **_texts(given, common, slots)}
        defaults = self._defaults(workflow, slots)
        if model.file:
            chosen = values if request.model else defaults
            chosen[model.slot] = model.file
        return CreateJob(
            workflow=workflow.name,
            values=values,
            files=tuple(replace(file, slot=slots[file.slot].name) for file in request.files),
            preset=own,
            spoiler=request.spoiler,
            defaults=defaults,
        )

    def presets_of(self, task: Task, person: Person) -> list[str]:
        """The names of the presets that can be chosen for a task."""
        own = [name for model in self.models.of(task, person) for name in model.workflow.presets]
        return list(dict.fromkeys([*self.presets, *own]))

    def _model(self, request: TaskRequest, person: Person) -> TaskModel:
        task, models = request.task, self.models
        model = models.find(task, request.model, person) if request.model else models.default(task, person)
        if task != "imagine" or not _has_picture(request) or _takes_picture(model.workflow):
            return model
        # A picture to start from: the same file in a workflow that takes one.
        if request.model:
            if (twin := next(models.twins(model, "edit", person), None)) is not None:
                return twin
            able = [each for each in models.of(task, person) if next(models.twins(each, "edit", person), None)]
            raise WorkflowError(CannotStartFromPicture(model.label, tuple(each.label for each in able)))
        for each in (model, *models.of(task, person)):
            if (twin := next(models.twins(each, "edit", person), None)) is not None:
                # The server's first file, as without a picture.
                return workflow_model(twin.workflow)
        return models.default("edit", person)

    def _preset(self, name: str, workflow: Workflow) -> tuple[Preset, str]:
        """The preset of this name that fits any model, and the name of the workflow's own; one of them is empty."""
        if not name:
            return Preset(), ""
        if name in workflow.presets:
            return Preset(), name
        if (preset := self.presets.get(name)) is None:
            known = (*workflow.presets, *self.presets)
            raise WorkflowError(PresetNotOffered(name, tuple(dict.fromkeys(known))))
        return preset, ""

    def _defaults(self, workflow: Workflow, slots: Mapping[str, Slot]) -> dict[str, Json]:
        """Several pictures, if the model makes one soon and costs no money."""
        count = slots.get(COUNT)
        if count is None or workflow.task != "imagine" or workflow.price is not None or self._seconds(workflow) > SOON:
            return {}
        return {count.name: SEVERAL if count.maximum is None else min(SEVERAL, int(count.maximum))}


def _sizes(request: TaskRequest, model: TaskModel, preset: Preset) -> dict[str, Json]:
    """The values of the size slots for the format, or for that of the preset, if the model has any."""
    workflow = model.workflow
    wanted = request.format or (preset.format if has_format(workflow) else "")
    if not wanted:
        return {}
    if wanted not in FORMATS:
        raise WorkflowError(FormatUnknown(wanted, FORMATS))
    if not has_format(workflow):
        raise WorkflowError(OptionNotOffered(model.label, "format", offered_options(workflow, request.task)))
    if (sizes := sized(workflow, wanted, model.file)) is None:
        raise WorkflowError(NoSizeForFormat(model.label, wanted))
    return sizes


def _texts(given: Mapping[str, Json], preset: Preset, slots: Mapping[str, Slot]) -> dict[str, Json]:
    """The prompt and the negative prompt, with what the preset adds."""
    texts: dict[str, Json] = {}
    for option, addition in (("prompt", preset.suffix), ("negative", preset.negative)):
        if addition and option in slots:
            name = slots[option].name
            texts[name] = joined(str(given.get(name) or ""), addition)
    return texts


def offered_options(workflow: Workflow, task: Task) -> tuple[str, ...]:
    """The options of a task that do something for this workflow."""
    slots = _by_option(workflow)
    return tuple(
        option
        for option in OPTIONS[task]
        if (has_format(workflow) if option == "format" else option in NOT_SLOTS or option in slots)
    )


def _by_option(workflow: Workflow) -> dict[str, Slot]:
    """The slots by the names of the options that fill them: a seed and a picture may have other names as slots."""
    slots = {slot.name: slot for slot in workflow.slots}
    for kind in ("seed", "image"):
        if kind not in slots and (first := next((slot for slot in workflow.slots if slot.kind == kind), None)):
            slots[kind] = first
    return slots


def _has_picture(request: TaskRequest) -> bool:
    """Whether there is a picture to start from: an attached file, or the path of one."""
    return any(file.slot == "image" for file in request.files) or bool(request.values.get("image"))


def _takes_picture(workflow: Workflow) -> bool:
    return any(slot.kind == "image" for slot in workflow.slots)
