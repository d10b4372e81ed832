"""What people do with jobs, wherever they ask for it: make new ones from them, cancel, edit and delete them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Container, Mapping

from msgspec.structs import replace

from app.actors.handle import Registry
from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import JobHistory
from app.discord.custom_id import Press
from app.discord.requests.drafts import Drafts
from app.discord.requests.job_forms import JobForms
from app.discord.ui import modals
from app.discord.ui.forms import MOST_FIELDS, Form
from app.discord.user_request import ButtonPressed
from app.events import JobId
from app.ports import Json, OtherDisks
from app.reasons import Reason
from app.retention.files import files_of
from app.service.jobs.job_factory import JobFactory, given_values
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.people.permissions import check_permitted
from app.service.people.preferences import savable_values
from app.service.reasons import EditTooLate, JobEnded, JobRemoved, JobUnfinished, NothingToSave, UnknownButton
from app.service.requests import Person
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError
from app.workflows.variations.derive import CHANGES

SAME_GUARD = {"go": "use", "command": "settings", "adjust": "vary", **dict.fromkeys(CHANGES, "use")}
"""Buttons that do what another one does, by their verbs: `guarded` names that one."""

BROUGHT_WITHIN = 1.5
"""Seconds for files that only another disk has: Discord waits for three until a form is opened."""


class JobActions:
    """Carries out what a button of a job means, for a person wherever they are; it answers nobody.

    `guarded` buttons are for owners and moderators. `living` has the jobs whose messages are still kept up to date,
    `delete_results` deletes the files of a job. `others` are the disks that may have files which this one lacks. Every
    method raises `WorkflowError` for what cannot be done.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        job_history: JobHistory,
        catalog: Catalog,
        job_factory: JobFactory,
        choices: Choices,
        drafts: Drafts,
        guarded: Collection[str],
        living: Container[JobId],
        delete_results: Callable[[Job], Awaitable[None]],
        others: OtherDisks | None = None,
    ) -> None:
        self._others = others
        self._registry = registry
        self._job_history = job_history
        self._catalog = catalog
        self._job_factory = job_factory
        self._guarded = frozenset(guarded)
        self._living = living
        self._delete_results = delete_results
        self.forms = JobForms(
            find=self.find,
            catalog=catalog,
            job_factory=job_factory,
            choices=choices,
            drafts=drafts,
            guarded=guarded,
        )

    async def find(self, job: str) -> Job:
        """A job by its id, with its files, unless they are only on another disk and take too long to be copied."""
        known = await self._job_history.find(job)
        if known is None:
            raise WorkflowError(JobRemoved())
        if self._others is not None:
            files = files_of(known)
            await self._others.bring([*files.results, *files.inputs], BROUGHT_WITHIN)
        return known

    def check_guard(self, verb: str, job: Job, person: Person) -> None:
        """Check whether the person may press this button of the job."""
        check_permitted(SAME_GUARD.get(verb, verb), person, job.request.owner, self._guarded)

    async def check(self, press: Press, job: Job, person: Person) -> None:
        """Check whether a button of a job can do something for this person, as far as that is known before."""
        self.check_guard(press.verb, job, person)
        if (change := CHANGES.get(press.verb)) is not None:
            await self._job_factory.check_can_change(job, change, press.result or 1, person)
        match press.verb:
            case "again" | "vary" | "edit":
                self._job_factory.check_can_create(job.request.workflow, person)
            case "use" | "go":
                self._job_factory.check_can_create(press.workflow, person)
            case "retry" | "fetch":
                self._job_factory.check_can_repeat(job, person)
            case "keep":
                self._savable(job, person)
            case _:
                pass

    async def request(
        self, pressed: ButtonPressed, job: Job, person: Person, *, asked: Form | None = None
    ) -> JobRequest | None:
        """The request for the job that a button makes; None if it makes none.

        `asked` is the form that was filled in, None for that of Discord.
        """
        match pressed.press.verb:
            case "fetch":
                return await self._job_factory.fetch_again(job, person)
            case "retry":
                return await self._job_factory.retry(job, person)
            case _:
                request = await self._request_from(pressed, job, person, asked)
                return None if request is None else replace(request, parent=job.id)

    async def _request_from(
        self, pressed: ButtonPressed, job: Job, person: Person, asked: Form | None
    ) -> JobRequest | None:
        press, factory = pressed.press, self._job_factory
        if (change := CHANGES.get(press.verb)) is not None:
            return await factory.change(job, change, press.result or 1, person)
        match press.verb:
            case "again":
                return await factory.again(job, person)
            case "vary":
                workflow = self._catalog.usable(job.request.workflow, person)
                values = _varied(job, workflow, pressed, asked or await self.forms.form(press, person))
                return await factory.vary(job, values, person, pressed.files)
            case "use":
                workflow = self._catalog.usable(press.workflow, person)
                asked = asked or await self.forms.form(press, person)
                values, number = modals.answers(workflow, pressed.fields or {}, asked)
                number = press.result or number
                return await factory.follow_up(job, workflow.name, press.number, values, number, person, pressed.files)
            case "go":
                return await factory.start_follow_up(job, press.workflow, press.number, press.result or 1, person)
            case _:
                return None

    async def cancel(self, job: Job) -> None:
        """Cancel a job, unless its person has read how it ended."""
        if job.notified:
            raise WorkflowError(JobEnded())
        await self._registry.cancel(job.id)

    async def edit(self, pressed: ButtonPressed, job: Job, person: Person, *, most: int = MOST_FIELDS) -> Reason | None:
        """Replace the request of a job if it still waits and no limit is in the way; else return the reason."""
        workflow = self._catalog.usable(job.request.workflow, person)
        asked = self.forms.form_of(job, workflow, most=most)
        if asked is None:
            raise WorkflowError(UnknownButton())
        values = _varied(job, workflow, pressed, asked)
        answer = await self._registry.edit(job.id, await self._job_factory.edit(job, values, person, pressed.files))
        if answer.done:
            return None
        job = await self.find(job.id)
        return answer.limit or EditTooLate(over=job.terminal_update is not None)

    async def keep_settings(self, job: Job, person: Person) -> tuple[Workflow, Mapping[str, Json]]:
        """Save a job's settings as the person's own defaults; returns its workflow and what was saved."""
        workflow, values = self._savable(job, person)
        await self._job_history.prefer(person.user, workflow.name, values)
        return workflow, values

    def _savable(self, job: Job, person: Person) -> tuple[Workflow, Mapping[str, Json]]:
        workflow = self._catalog.usable(job.request.workflow, person)
        values = savable_values(job.request, workflow)
        if not values:
            raise WorkflowError(NothingToSave())
        return workflow, values

    async def delete_files(self, job: Job) -> None:
        """Delete the files of a job that has ended, and show it in the gallery to nobody."""
        if job.terminal_update is None and job.id in self._living:
            raise WorkflowError(JobUnfinished())
        await self._delete_results(job)
        await self._job_history.hide_from_gallery(job.id, everybody=True)


def _varied(job: Job, workflow: Workflow, pressed: ButtonPressed, asked: Form | None) -> dict[str, Json]:
    """The values of a job with those of its submitted form; a button without a form takes the workflow's own.

    Raises `WorkflowError`.
    """
    fields = pressed.fields
    if fields is None:
        return {}
    values, _ = modals.answers(workflow, fields, asked)
    return {**modals.unasked(given_values(job.request, workflow, seed=True), fields), **values}
