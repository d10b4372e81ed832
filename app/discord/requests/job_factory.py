"""Makes job requests from what a person filled in, and from earlier jobs."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from msgspec.structs import replace

from app.core.job import Job, JobRequest
from app.discord.custom_id import Press
from app.discord.files.download import InputMedia
from app.discord.follow_ups import FollowUpAction, find_follow_up, list_follow_ups, results
from app.discord.requests.pending_forms import kind_of
from app.discord.requests.permissions import check_can_use
from app.discord.requests.session import DiscordSession
from app.discord.ui.options import uploads
from app.discord.user_request import Attached, Caller
from app.events import Finished, JobId
from app.ports import Json
from app.workflows.bind import bind
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError


def given(request: JobRequest, workflow: Workflow, *, seed: bool) -> dict[str, Json]:
    """The values of a request for which the workflow still has slots; with its seed, or without any."""
    kinds = {slot.name: slot.kind for slot in workflow.slots}
    values = {name: value for name, value in request.values.items() if name in kinds and kinds[name] != "seed"}
    if seed and request.seed is not None:
        values.update({name: request.seed for name, kind in kinds.items() if kind == "seed"})
    return values


def follow_up_of(press: Press, job: Job, workflow: Workflow, workflows: Mapping[str, Workflow]) -> FollowUpAction:
    """The follow-up that puts a job's results into this workflow; an old button may name one no longer in the manifest.

    Raises `WorkflowError`.
    """
    named = [
        one for one in list_follow_ups(workflows.get(job.request.workflow), workflows) if one.workflow == workflow.name
    ]
    found = next((one for one in named if one.number == press.number), named[0] if named else find_follow_up(workflow))
    if found is None:
        raise WorkflowError(f"“{workflow.title}” takes no result any more.")
    return found


def results_of(job: Job, follow_up: FollowUpAction) -> Sequence[str]:
    """The results of a job that this follow-up can use: texts, or files that still exist. Raises `WorkflowError`."""
    found = results(job.terminal_update, follow_up) if isinstance(job.terminal_update, Finished) else ()
    found = [one for one in found if follow_up.slot.kind == "text" or Path(one).is_file()]
    if not found:
        raise WorkflowError("The result is no longer kept: make it again first.")
    return found


class JobFactory:
    """Creates jobs; owns the folders of their files and the random numbers. Creates none once `draining` is set.

    Raises `WorkflowError` for a job that cannot be created.
    """

    def __init__(self, session: DiscordSession, input_media: InputMedia, data: Path, draining: anyio.Event) -> None:
        self._session = session
        self._input_media = input_media
        self._data = data
        self._draining = draining
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
        """Create a job of a workflow with these values, and with files that are still to be downloaded."""
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
            told[file.slot] = str(await self._input_media.take(file, kind, path, caller.user))
        request = bind(
            await self._with_lists(workflow, told),
            job,
            told,
            rng=self._rng,
            folder=str(self._data / "results"),
            owner=caller.user,
            definitions=self._session.catalog.definitions(workflow.name),
        )
        request = replace(request, servers=self._session.catalog.able(request))
        self._session.begin(request, caller, spoiler=spoiler or workflow.spoiler)

    async def _with_lists(self, workflow: Workflow, told: Mapping[str, Json]) -> Workflow:
        """The workflow with the current list of LoRAs, which may have grown since the server was polled."""
        slots = [
            replace(slot, choices=tuple(await self._session.lists.of(workflow, slot)))
            if slot.kind == "lora" and slot.name in told
            else slot
            for slot in workflow.slots
        ]
        return replace(workflow, slots=tuple(slots))

    def repeat(self, job: Job, caller: Caller, *, spoiler: bool) -> None:
        """Create an identical job again, for this caller."""
        catalog = self._session.catalog
        if (found := catalog.workflows.get(job.request.workflow)) is not None:
            check_can_use(found, caller)
        self._check_open()
        request = replace(job.request, job=_new_job(), owner=caller.user, servers=catalog.able(job.request))
        self._session.begin(request, caller, spoiler=spoiler)

    def _check_open(self) -> None:
        if self._draining.is_set():
            raise WorkflowError("The bot is about to be started anew: ask again in a moment.")


def _is_kept(path: Json) -> bool:
    return Path(str(path)).is_file()


def _new_job() -> JobId:
    return JobId(str(uuid.uuid4()))
