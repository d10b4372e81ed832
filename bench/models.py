"""/imagine with many checkpoints: the time of an autocomplete and of a plan, which both run in hikari's loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.config.settings import FORMATS
from app.ports import Json
from app.service.requests import Person
from app.service.tasks.models import TaskModels
from app.service.tasks.planner import TaskPlanner, TaskRequest
from app.service.tasks.presets import INCLUDED
from app.workflows.load import Workflow, load
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from bench.lookups import percentile

WORKFLOWS = Path(__file__).parents[1] / "workflows"
NAMES = ("txt2img", "z-image", "flux", "img2img", "kontext")
CHECKPOINTS = 2_000
ASKED = 300
SHOWN = 25
PERSON = Person(user="1")


class _Everything:
    """What is offered: the workflows of `NAMES`, on one server with many checkpoints."""

    def __init__(self) -> None:
        self.workflows: Mapping[str, Workflow] = {name: load(WORKFLOWS, name) for name in NAMES}
        files: list[Json] = [f"style{number % 40}/dream_scape-{number}-xl.safetensors" for number in range(CHECKPOINTS)]
        loader: dict[str, Json] = {"input": {"required": {"ckpt_name": [files]}}, "output": ["MODEL"]}
        self._definitions = Definitions({"CheckpointLoaderSimple": loader})

    def able_definitions(self, name: str) -> Sequence[Definitions]:
        """See `app.service.tasks.models.Offered`."""
        return [self._definitions]


def models(rounds: int) -> dict[str, object]:
    """Return milliseconds of one core: the first list, what people see while they type, and what a command becomes."""
    firsts: list[float] = []
    for _ in range(rounds):
        task_models = TaskModels(_Everything())
        firsts.append(_timed(lambda each=task_models: each.of("imagine")))
    task_models = TaskModels(_Everything())
    planner = TaskPlanner(task_models, INCLUDED)
    typed = ["", "dream", "scape 17", "no such model", f"{CHECKPOINTS - 1}"] * (ASKED // 5)
    suggested = [_timed(lambda text=text: task_models.suggest("imagine", text, PERSON, SHOWN)) for text in typed]
    labels = task_models.suggest("imagine", "", PERSON, SHOWN)
    requests = [
        TaskRequest(task="imagine", model=labels[number % len(labels)], format=FORMATS[number % 5])
        for number in range(ASKED)
    ]
    planned = [_timed(lambda request=request: planner.plan(request, PERSON)) for request in requests]
    unknown = [_timed(lambda: _refused(planner)) for _ in range(20)]
    return {
        "checkpoints": CHECKPOINTS,
        "first_list_ms": round(min(firsts), 2),
        "autocomplete_p50_ms": percentile(suggested, 50),
        "autocomplete_p99_ms": percentile(suggested, 99),
        "plan_p50_ms": percentile(planned, 50),
        "plan_p99_ms": percentile(planned, 99),
        "unknown_model_p99_ms": percentile(unknown, 99),
    }


def _timed(action: Callable[[], object]) -> float:
    began = time.thread_time()
    action()
    return (time.thread_time() - began) * 1000


def _refused(planner: TaskPlanner) -> None:
    with suppress(WorkflowError):
        planner.plan(TaskRequest(task="imagine", model="dreem scap 17"), PERSON)
