"""Makes job requests from what a person filled in, and from earlier jobs."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from msgspec.structs import replace

from app.core.job import Job, Wish
from app.discord.custom_id import Press
from app.discord.files.download import Intake
from app.discord.follow_ups import Onward, results, way, ways
from app.discord.requests.pending_forms import kind_of
from app.discord.requests.permissions import check_welcome
from app.discord.requests.session import Studio
from app.discord.ui.options import uploads
from app.discord.user_request import Attached, Caller
from app.events import Finished, JobId
from app.ports import Json
from app.workflows.bind import bind
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError


def given(wish: Wish, workflow: Workflow, *, seed: bool) -> dict[str, Json]:
    """What was given, as far as the workflow still has slots for it; with the seed it had, or without any."""
    kinds = {slot.name: slot.kind for slot in workflow.slots}
    values = {name: value for name, value in wish.values.items() if name in kinds and kinds[name] != "seed"}
    if seed and wish.seed is not None:
        values.update({name: wish.seed for name, kind in kinds.items() if kind == "seed"})
    return values


def onward_of(press: Press, job: Job, workflow: Workflow, workflows: Mapping[str, Workflow]) -> Onward:
    """How a job's results go into this workflow; old buttons may lead where the manifest no longer does.

    Raises `WorkflowError`.
    """
    named = [one for one in ways(workflows.get(job.wish.workflow), workflows) if one.workflow == workflow.name]
    found = next((one for one in named if one.number == press.number), named[0] if named else way(workflow))
    if found is None:
        raise WorkflowError(f"“{workflow.title}” takes no result any more.")
    return found


def results_of(job: Job, onward: Onward) -> Sequence[str]:
    """What a job has that can go this way: texts, or files that are still there. Raises `WorkflowError`."""
    found = results(job.last_word, onward) if isinstance(job.last_word, Finished) else ()
    found = [one for one in found if onward.slot.kind == "text" or Path(one).is_file()]
    if not found:
        raise WorkflowError("The result is no longer kept: make it again first.")
    return found


class Wishes:
    """Owns where files lie, and chance. Nothing new begins after the `last_round` was called.

    Whatever cannot be made raises `WorkflowError`.
    """

    def __init__(self, studio: Studio, intake: Intake, data: Path, last_round: anyio.Event) -> None:
        self._studio = studio
        self._intake = intake
        self._data = data
        self._last_round = last_round
        self._rng = random.SystemRandom()

    async def make(
        self,
        workflow: Workflow,
        values: Mapping[str, Json],
        caller: Caller,
        *,
        spoiler: bool,
        files: Sequence[Attached] = (),
    ) -> None:
        """Have a workflow made with these values, and with files that are still to be fetched."""
        self._check_open()
        job = _new_job()
        told = {name: value for name, value in values.items() if value not in (None, "")}
        for slot in uploads(workflow):
            if (path := told.get(slot.name)) is not None and not _is_kept(path):
                raise WorkflowError("The file this was made from is no longer kept: start anew with another.")
        attached = {file.slot for file in files}
        for slot in uploads(workflow):
            if slot.required and slot.name not in told and slot.name not in attached:
                raise WorkflowError(f"“{workflow.title}” needs {slot.title} as well: use its command, and attach it.")
        accepted = [(file, kind_of(workflow, file)) for file in files]
        for file, kind in accepted:
            path = self._data / "inputs" / f"{job}-{file.slot}"
            told[file.slot] = str(await self._intake.take(file, kind, path, caller.user))
        wish = bind(
            await self._with_lists(workflow, told),
            job,
            told,
            rng=self._rng,
            folder=str(self._data / "results"),
            owner=caller.user,
            definitions=self._studio.catalog.definitions(workflow.name),
        )
        wish = replace(wish, servers=self._studio.catalog.able(wish))
        self._studio.begin(wish, caller, spoiler=spoiler or workflow.spoiler)

    async def _with_lists(self, workflow: Workflow, told: Mapping[str, Json]) -> Workflow:
        """With the LoRAs that there are by now, which may be more than when the server came."""
        slots = [
            replace(slot, choices=tuple(await self._studio.lists.of(workflow, slot)))
            if slot.kind == "lora" and slot.name in told
            else slot
            for slot in workflow.slots
        ]
        return replace(workflow, slots=tuple(slots))

    def repeat(self, job: Job, caller: Caller, *, spoiler: bool) -> None:
        """Have the very same made once more, for somebody."""
        catalog = self._studio.catalog
        if (found := catalog.workflows.get(job.wish.workflow)) is not None:
            check_welcome(found, caller)
        self._check_open()
        wish = replace(job.wish, job=_new_job(), owner=caller.user, servers=catalog.able(job.wish))
        self._studio.begin(wish, caller, spoiler=spoiler)

    def _check_open(self) -> None:
        if self._last_round.is_set():
            raise WorkflowError("The bot is about to be started anew: ask again in a moment.")


def _is_kept(path: Json) -> bool:
    return Path(str(path)).is_file()


def _new_job() -> JobId:
    return JobId(str(uuid.uuid4()))
