"""What can be done to the pictures of a job by the graph that made them, or by the workflow that extends pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.core.jobs.cost import SECONDS_PER_COST
from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import JobHistory, JournalUnavailable, RecordDamaged
from app.events import Finished
from app.ports import Json
from app.service.jobs.follow_ups import files_of, is_kept
from app.service.offers.catalog import Catalog
from app.service.reasons import FewerResults, ResultNotKept
from app.service.tasks.planner import SEVERAL, SOON
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError
from app.workflows.variations.derive import STRENGTHS, Change, can_be
from app.workflows.variations.extension import Extension
from app.workflows.variations.picture_source import only_enlarges

OUTPAINT = "outpaint"
"""The workflow that extends pictures which their own graph cannot extend."""

SIDES: Mapping[Extension, Mapping[str, int]] = {
    "zoom": {"left": 256, "right": 256, "top": 256, "bottom": 256},
    "left": {"left": 512, "right": 0, "top": 0, "bottom": 0},
    "right": {"left": 0, "right": 512, "top": 0, "bottom": 0},
    "up": {"left": 0, "right": 0, "top": 512, "bottom": 0},
    "down": {"left": 0, "right": 0, "top": 0, "bottom": 512},
}
"""What `OUTPAINT` adds, in pixels."""

A_MINUTE = SEVERAL * SOON
"""Seconds that the pictures of a variation take together, where that is enough for `SEVERAL` or fewer."""

MOST_STEPS = 5
"""How often in a row a picture may have been enlarged."""


def by_cost(workflow: Workflow) -> float:
    """Seconds for one picture, as the manifest says."""
    return workflow.cost * SECONDS_PER_COST


class Variations:
    """Finds the graph that made a job's pictures, and what can be done with it.

    `seconds` returns how long one picture of a workflow takes.
    """

    def __init__(
        self, catalog: Catalog, job_history: JobHistory, seconds: Callable[[Workflow], float] = by_cost
    ) -> None:
        self._catalog = catalog
        self._job_history = job_history
        self._seconds = seconds

    async def possible(self, request: JobRequest) -> frozenset[Change]:
        """What can be done to the pictures of a request; nothing if the journal cannot say now where they come from."""
        try:
            maker = await self.maker(request)
        except (JournalUnavailable, RecordDamaged):
            return frozenset()
        possible: set[Change] = set(STRENGTHS) if self.is_varied(maker, "subtle") else set()
        if self.is_varied(maker, "zoom") or self.extender(maker) is not None:
            possible.update(SIDES)
        return frozenset(possible)

    async def maker(self, request: JobRequest) -> JobRequest:
        """The request that made a picture, before it was only enlarged; its own if that is not known."""
        for _ in range(MOST_STEPS):
            if not request.parent or not only_enlarges(request.graph):
                break
            parent = await self._job_history.find(request.parent)
            files = parent.terminal_update.files if parent and isinstance(parent.terminal_update, Finished) else ()
            if parent is None or not any(upload.path in files for upload in request.uploads):
                break
            request = parent.request
        return request

    def pictures(self, workflow: Workflow) -> int:
        """How many pictures a variation makes: as many as take a minute, four at most; one if a run costs money."""
        if workflow.price is not None:
            return 1
        return max(1, min(SEVERAL, int(A_MINUTE / max(1.0, self._seconds(workflow)))))

    def is_varied(self, maker: JobRequest, change: Change) -> bool:
        """Whether this can be done by the graph that made the picture: if its workflow is still offered."""
        name = maker.workflow
        return name in self._catalog.workflows and can_be(maker.graph, change, self._catalog.definitions(name))

    def extender(self, maker: JobRequest) -> Workflow | None:
        """The workflow that extends pictures, if it is offered and the picture has a prompt; else None."""
        workflow = self._catalog.workflows.get(OUTPAINT)
        slots = {slot.name for slot in workflow.slots} if workflow is not None else set[str]()
        needed = {"image", "prompt", *SIDES["zoom"]}
        return workflow if needed <= slots and maker.values.get("prompt") and maker.workflow != OUTPAINT else None


def picture_of(job: Job, number: int) -> str:
    """The path of a job's picture with this number, counted from 1. Raises `WorkflowError` if there is none."""
    pictures = pictures_of(job.terminal_update) if isinstance(job.terminal_update, Finished) else []
    if number > len(pictures) > 0:
        raise WorkflowError(FewerResults(len(pictures)))
    if not pictures or not is_kept(pictures[number - 1]):
        raise WorkflowError(ResultNotKept())
    return pictures[number - 1]


def pictures_of(finished: Finished) -> list[str]:
    """The results that are pictures."""
    return files_of(finished, "image")


def extending_values(maker: JobRequest, extension: Extension, picture: str) -> dict[str, Json]:
    """The values with which `OUTPAINT` extends a picture."""
    return {"image": picture, "prompt": maker.values.get("prompt"), **SIDES[extension]}
