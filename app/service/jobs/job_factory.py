"""Makes job requests: from what a person gave, and from earlier jobs."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import anyio
from msgspec.structs import replace

from app.core.jobs.batches import requests_of
from app.core.jobs.job import Batch, Job, JobRequest, Refetch, Variation
from app.core.journal_port import JobHistory
from app.core.limits.spending import with_limits
from app.events import Finished, JobId
from app.ports import Json, OtherDisks
from app.service.jobs.follow_ups import follow_up_of, inherited_values, is_kept, kept_results
from app.service.jobs.variations import Variations, extending_values, picture_of
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.people.moderation import Moderation
from app.service.people.permissions import check_can_use
from app.service.people.preferences import usable_values
from app.service.reasons import (
    CannotRecord,
    Draining,
    FewerResults,
    FileMissing,
    InputNotKept,
    ResultNotKept,
    UnknownButton,
    VariationNotRunnable,
)
from app.service.requests import AttachedFile, CreateJob, Person
from app.service.values import kind_of, preset, upload_slots
from app.workflows.binding.batch import COUNT, as_batch, repeated
from app.workflows.binding.bind import bind, payment_of
from app.workflows.load import Workflow
from app.workflows.model import Slot, WorkflowError
from app.workflows.offers.audit import errors_of
from app.workflows.variations.derive import CHANGES, STRENGTHS, Change, varied

INPUTS = "inputs"
"""The folder of the files that people sent, in the data folder."""


class InputFiles(Protocol):
    """Gets the files that people attach, wherever the frontend has them."""

    async def take(self, file: AttachedFile, kind: str, to: Path, person: str) -> Path:
        """Store a person's file for a slot of this kind as `to`, with a suffix appended; return the final path.

        Raises `WorkflowError` for a file that cannot be used.
        """
        ...


class JobFactory:
    """Makes job requests; owns the folders of their files and the random numbers. Makes none once `draining` is set.

    Every method raises `WorkflowError` for a request that cannot be made.
    """

    def __init__(
        self,
        catalog: Catalog,
        choices: Choices,
        job_history: JobHistory,
        input_files: InputFiles,
        data: Path,
        draining: anyio.Event,
        moderation: Moderation,
        variations: Variations,
        is_suspended: Callable[[], bool] = lambda: False,
        others: OtherDisks | None = None,
    ) -> None:
        """`is_suspended` says whether nothing can be recorded now, so that nobody waits for it.

        `others` are the disks that should have the files of a job before it is accepted.
        """
        self._others = others
        self._is_suspended = is_suspended
        self._catalog = catalog
        self._choices = choices
        self._job_history = job_history
        self._input_files = input_files
        self._data = data
        self._draining = draining
        self._moderation = moderation
        self._variations = variations
        self._rng = random.SystemRandom()

    async def create(self, request: CreateJob, person: Person) -> JobRequest:
        """Make a new job; the person's saved settings apply where the request says nothing."""
        workflow = self._catalog.usable(request.workflow, person)
        own = await self.own_values(workflow, person)
        values = {**request.defaults, **own, **preset(workflow, request.preset), **request.values}
        return await self._make(workflow, values, person, request.files)

    async def again(self, job: Job, person: Person) -> JobRequest:
        """Make a job with the same values and another seed; a variation is one of the same picture."""
        workflow = self._catalog.usable(job.request.workflow, person)
        values = given_values(job.request, workflow, seed=False)
        return await self._make(workflow, values, person, variation=job.request.variation)

    async def vary(
        self, job: Job, values: Mapping[str, Json], person: Person, attached: tuple[AttachedFile, ...] = ()
    ) -> JobRequest:
        """Make a job with these values, and the files of an earlier job where no other one is `attached`.

        One that varied a picture varies the same, unless there is another file to start from.
        """
        workflow = self._catalog.usable(job.request.workflow, person)
        replaced = {file.slot for file in attached}
        files = {
            slot.name: job.request.values.get(slot.name) for slot in upload_slots(workflow) if slot.name not in replaced
        }
        variation = None if attached else job.request.variation
        return await self._make(workflow, {**values, **files}, person, attached, variation)

    async def edit(
        self, job: Job, values: Mapping[str, Json], person: Person, attached: tuple[AttachedFile, ...] = ()
    ) -> JobRequest:
        """Make the request of a waiting job anew, as `vary` does; its `owner` is who edits it."""
        return replace(await self.vary(job, values, person, attached), job=job.id)

    async def start_follow_up(self, job: Job, workflow: str, number: int, result: int, person: Person) -> JobRequest:
        """See `follow_up`: with the values of the earlier job, without asking for any."""
        taker = self._catalog.usable(workflow, person)
        return await self.follow_up(job, workflow, number, self.inherited_values(job, taker, number), result, person)

    def inherited_values(self, job: Job, taker: Workflow, number: int) -> dict[str, Json]:
        """The values with which a follow-up of an earlier job starts that asks for none."""
        workflows = self._catalog.workflows
        action = follow_up_of(job, taker, number, workflows)
        return inherited_values(job, workflows.get(job.request.workflow), taker, action)

    async def follow_up(
        self,
        job: Job,
        workflow: str,
        number: int,
        values: Mapping[str, Json],
        result: int,
        person: Person,
        attached: tuple[AttachedFile, ...] = (),
    ) -> JobRequest:
        """Make a job of another workflow from a result, counted from 1, of an earlier job.

        `number` is that of the follow-up, if several lead into the same workflow.
        """
        taker = self._catalog.usable(workflow, person)
        action = follow_up_of(job, taker, number, self._catalog.workflows)
        available = kept_results(job, action)
        if result > len(available):
            raise WorkflowError(FewerResults(len(available)))
        values = {action.slot.name: available[result - 1], **action.values, **values}
        return await self._make(taker, {**await self.own_values(taker, person), **values}, person, attached)

    async def change(self, job: Job, change: Change, number: int, person: Person) -> JobRequest:
        """Make a job that varies or extends a picture, counted from 1, of an earlier job.

        A picture that cannot be varied is made again with another seed.
        """
        picture = picture_of(job, number)
        maker = await self._variations.maker(job.request)
        if self._variations.is_varied(maker, change):
            workflow = self._catalog.usable(maker.workflow, person)
            values = given_values(maker, workflow, seed=False)
            # The change has its own strength.
            values.pop("denoise", None)
            values.update(await self._chosen_models(job if maker.job == job.id else maker.job, workflow, values))
            for slot in workflow.slots:
                if slot.name == COUNT:
                    pictures = self._variations.pictures(workflow)
                    values[COUNT] = pictures if slot.maximum is None else min(pictures, int(slot.maximum))
            return await self._make(workflow, values, person, variation=Variation(change, picture))
        if change == "subtle" or change == "strong":
            return await self.again(job, person)
        extender = self._variations.extender(maker)
        if extender is None:
            raise WorkflowError(UnknownButton())
        return await self._make(
            self._catalog.usable(extender.name, person), extending_values(maker, change, picture), person
        )

    async def _chosen_models(
        self, maker: Job | JobId, workflow: Workflow, values: Mapping[str, Json]
    ) -> dict[str, Json]:
        """The models that a server chose for a job, by slot: another server might choose others."""
        job = maker if isinstance(maker, Job) else await self._job_history.find(maker)
        chosen = job.terminal_update.chosen if job is not None and isinstance(job.terminal_update, Finished) else ()
        files = {(model.node, model.input): model.value for model in chosen}
        return {
            slot.name: file
            for slot in workflow.slots
            if slot.kind == "model" and slot.targets and not values.get(slot.name)
            if (file := files.get((slot.targets[0].node, slot.targets[0].input))) is not None
        }

    async def check_can_change(self, job: Job, change: Change, number: int, person: Person) -> None:
        """Check, without making it, whether the picture is there, and whether the person may make that job now."""
        picture_of(job, number)
        maker = await self._variations.maker(job.request)
        if self._variations.is_varied(maker, change):
            self.check_can_create(maker.workflow, person)
        elif change in STRENGTHS:
            self.check_can_create(job.request.workflow, person)
        elif (extender := self._variations.extender(maker)) is not None:
            self.check_can_create(extender.name, person)
        else:
            raise WorkflowError(UnknownButton())

    async def retry(self, job: Job, person: Person) -> JobRequest:
        """Make an identical job, for this person."""
        self.check_can_repeat(job, person)
        return await self._with_files(replace(repeat(job.request, self._catalog), owner=person.user))

    async def fetch_again(self, job: Job, person: Person) -> JobRequest:
        """Make a job that only downloads the results of an earlier one that did not arrive, from their servers."""
        self.check_can_repeat(job, person)
        parts = [await self._job_history.find(part.job) for part in requests_of(job.request)[1:]]
        known = [refetch for each in (job, *parts) if each is not None and (refetch := _refetch(each)) is not None]
        if not known:
            raise WorkflowError(ResultNotKept())
        # A Retry of it makes pictures again, each with the next seed.
        seeds = job.request.batch.seeds if job.request.batch is not None else ()
        batch = Batch(len(known), seeds, tuple(known[1:])) if len(known) > 1 else None
        request = replace(job.request, job=_new_job(), owner=person.user, lead=JobId(""), part=0)
        return await self._with_files(replace(request, refetch=known[0], batch=batch))

    def check_can_create(self, workflow: str, person: Person) -> None:
        """Check whether the person may use the workflow now."""
        self._catalog.usable(workflow, person)
        self._check_open(person)

    def check_can_repeat(self, job: Job, person: Person) -> None:
        """Check that the person may use the job's workflow, which may no longer be offered."""
        if (workflow := self._catalog.readable.get(job.request.workflow)) is not None:
            check_can_use(workflow, person)
        self._check_open(person)

    async def own_values(self, workflow: Workflow, person: Person) -> dict[str, Json]:
        """The person's saved settings for a workflow, as far as it still accepts them."""
        saved = await self._job_history.preferences(person.user)
        return usable_values(saved.get(workflow.name, {}), workflow)

    async def _make(
        self,
        workflow: Workflow,
        values: Mapping[str, Json],
        person: Person,
        files: tuple[AttachedFile, ...] = (),
        variation: Variation | None = None,
    ) -> JobRequest:
        """Fill in the workflow with these values, and with files that are still to be fetched.

        With `variation`, the graph is derived that does this to the picture.
        """
        self._check_open(person)
        if variation is not None and not is_kept(variation.picture):
            raise WorkflowError(ResultNotKept())
        job = _new_job()
        values = {name: value for name, value in values.items() if value not in (None, "")}
        attached = {file.slot for file in files}
        for slot in upload_slots(workflow):
            if (path := values.get(slot.name)) is not None and not is_kept(path):
                raise WorkflowError(InputNotKept())
            if slot.required and slot.name not in values and slot.name not in attached:
                raise WorkflowError(FileMissing(workflow.title, slot.title))
        for file, kind in [(file, kind_of(workflow, file)) for file in files]:
            path = self._data / INPUTS / f"{job}-{file.slot}"
            values[file.slot] = str(await self._input_files.take(file, kind, path, person.user))
        request = bind(
            await self._with_loras(workflow, values),
            job,
            values,
            rng=self._rng,
            folder=str(self._data / "results"),
            owner=person.user,
            definitions=self._catalog.definitions(workflow.name),
        )
        if variation is not None:
            request = self._varied(request, workflow, variation)
        else:
            request = as_batch(request, workflow.slots)
        return await self._with_files(self._catalog.placed(request))

    async def _with_files(self, request: JobRequest) -> JobRequest:
        """Return the request once its files are safe."""
        paths = _files_of(request)
        for path in paths:
            # They count as changed now, so that the retention does not delete them meanwhile.
            with suppress(OSError):
                os.utime(path)
        if self._others is not None and paths:
            await self._others.spread(paths)
        return request

    def _varied(self, request: JobRequest, workflow: Workflow, variation: Variation) -> JobRequest:
        """The request with the graph that starts from a picture, audited by what each able server has."""
        change = CHANGES.get(variation.change)
        if change is None:
            raise WorkflowError(UnknownButton())
        made, target = varied(request, change, variation.picture, self._catalog.definitions(workflow.name))
        picture = Slot(name="picture", title="", kind="image", targets=(target,))
        for definitions in self._catalog.able_definitions(workflow.name):
            known = errors_of(request.graph, workflow.slots, definitions)
            errors = errors_of(made.graph, [*workflow.slots, picture], definitions)
            if new := [error for error in errors if error not in known]:
                raise WorkflowError(VariationNotRunnable(workflow.title, new[0]))
        has_count = any(slot.name == COUNT for slot in workflow.slots)
        size = request.values.get(COUNT, 1) if has_count else self._variations.pictures(workflow)
        return repeated(made, workflow.slots, size if isinstance(size, int) else 1)

    async def _with_loras(self, workflow: Workflow, values: Mapping[str, Json]) -> Workflow:
        """The workflow with the current list of LoRAs, which may have grown since the server was polled."""
        slots = [
            replace(slot, choices=tuple(await self._choices.of(workflow, slot)))
            if slot.kind == "lora" and slot.name in values
            else slot
            for slot in workflow.slots
        ]
        return replace(workflow, slots=tuple(slots))

    def _check_open(self, person: Person) -> None:
        self._moderation.check_not_banned(person)
        if self._draining.is_set():
            raise WorkflowError(Draining())
        if self._is_suspended():
            raise WorkflowError(CannotRecord())


def repeat(request: JobRequest, catalog: Catalog) -> JobRequest:
    """The same request as a new job, on the servers that can run it now."""
    batch = replace(request.batch, refetch=()) if request.batch is not None else None
    payment = request.payment
    if (workflow := catalog.workflows.get(request.workflow)) is not None:
        # The price may have changed.
        payment = with_limits(
            payment_of(workflow.price, request.graph, catalog.definitions(request.workflow)), request.payment
        )
    return replace(
        catalog.placed(request),
        job=_new_job(),
        payment=payment,
        refetch=None,
        batch=batch,
        lead=JobId(""),
        part=0,
    )


def _refetch(job: Job) -> Refetch | None:
    """What is known of the results of a job; None if its server made none."""
    if job.attempt is None or job.history is None or job.history.outcome not in {"success", "unreadable"}:
        return None
    files = tuple((file, path) for file, path in job.files.items() if path and is_kept(path))
    return Refetch(job.attempt.server, job.attempt.prompt, job.history, files)


def given_values(request: JobRequest, workflow: Workflow, *, seed: bool) -> dict[str, Json]:
    """The values of a request for which the workflow still has slots; with its seed, or without any."""
    kinds = {slot.name: slot.kind for slot in workflow.slots}
    values = {name: value for name, value in request.values.items() if name in kinds and kinds[name] != "seed"}
    if seed and request.seed is not None:
        values.update({name: request.seed for name, kind in kinds.items() if kind == "seed"})
    return values


def _new_job() -> JobId:
    return JobId(str(uuid.uuid4()))


def _files_of(request: JobRequest) -> list[str]:
    """The paths of the files that a request needs."""
    refetched = request.refetch.files if request.refetch is not None else ()
    return [*(upload.path for upload in request.uploads), *(path for _, path in refetched)]
