"""The forms that the buttons of jobs, commands and menus open first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from msgspec.structs import replace

from app.core.jobs.job import Job
from app.discord.custom_id import Press, write
from app.discord.requests.drafts import Drafts
from app.discord.ui import modals
from app.discord.ui.forms import MOST_FIELDS, Form
from app.service.jobs.follow_ups import follow_up_of, kept_results
from app.service.jobs.job_factory import JobFactory, given_values
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.people.permissions import check_permitted
from app.service.reasons import FewerResults, JobEnded, JobStarted
from app.service.requests import Person
from app.service.values import missing_slots, upload_slots
from app.texts.discord.job_message import EDIT_PROMPT
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError


class JobForms:
    """Makes forms, for a person wherever they are.

    `find` returns a job by its id, or raises `WorkflowError`. `guarded` are the buttons for owners and moderators.
    Every method raises `WorkflowError` for what cannot be done.
    """

    def __init__(
        self,
        *,
        find: Callable[[str], Awaitable[Job]],
        catalog: Catalog,
        job_factory: JobFactory,
        choices: Choices,
        drafts: Drafts,
        guarded: Collection[str],
    ) -> None:
        self._find = find
        self._catalog = catalog
        self._job_factory = job_factory
        self._choices = choices
        self._drafts = drafts
        self._guarded = frozenset(guarded)

    async def form(self, press: Press, person: Person, *, most: int = MOST_FIELDS) -> Form | None:
        """The form to fill in first, with at most so many fields; None if there is nothing to ask.

        The verb is that of the button; "menu" is for a message's file, and "order" for a command that left out values
        that only its form asks for.
        """
        if press.verb in {"vary", "draft", "edit"}:
            return await self._form_from(press, person, most)
        self._job_factory.check_can_create(press.workflow, person)
        workflow = self._catalog.usable(press.workflow, person)
        verb = "use" if press.verb == "go" else press.verb
        custom_id = write(verb, press.job, workflow.name, press.number, press.result)
        own = await self._job_factory.own_values(workflow, person)
        offered = self._choices.known(workflow)
        if press.verb == "order":
            return modals.form(workflow, custom_id, own, show=("modal",), offered=offered)
        if press.verb == "menu":
            return modals.form(workflow, custom_id, own, show=modals.OFFERED, offered=offered)
        job = await self._find(press.job)
        follow_up = follow_up_of(job, workflow, press.number, self._catalog.workflows)
        results = kept_results(job, follow_up)
        files = [slot.name for slot in upload_slots(workflow) if slot.required and slot.name != follow_up.slot.name]
        if press.verb == "go":
            inherited = self._job_factory.inherited_values(job, workflow, press.number)
            if not missing_slots(workflow, own | inherited) and not files:
                return None
        texts = {slot.name for slot in workflow.slots if slot.kind == "text"}
        values = own | {name: value for name, value in job.request.values.items() if name in texts} | follow_up.values
        # A single text is put into the form to be edited; of several, one is chosen by its number.
        count = 1 if press.result else len(results)
        if press.result > len(results):
            raise WorkflowError(FewerResults(len(results)))
        if follow_up.slot.kind == "text" and count == 1:
            values[follow_up.slot.name] = results[max(press.result, 1) - 1]
        without = follow_up.slot.name if count > 1 else ""
        return modals.form(
            workflow,
            custom_id,
            values,
            results=count,
            show=modals.OFFERED,
            without=without,
            offered=offered,
            files=files,
            most=most,
        )

    def form_of(self, job: Job, workflow: Workflow, custom_id: str = "", *, most: int = MOST_FIELDS) -> Form | None:
        """The form with the values of a job."""
        files = [slot.name for slot in upload_slots(workflow)]
        given, offered = given_values(job.request, workflow, seed=True), self._choices.known(workflow)
        return modals.form(workflow, custom_id, given, offered=offered, files=files, most=most)

    async def _form_from(self, press: Press, person: Person, most: int) -> Form | None:
        """The form with the values of a job: to make another one from it, or to edit it while it waits.

        A draft of an edit may still be one, unless the job was sent meanwhile.
        """
        job = await self._find(press.job)
        is_draft = press.verb == "draft"
        verb = "edit" if press.verb == "edit" or (is_draft and job.waits) else "vary"
        if verb == "edit":
            check_permitted("edit", person, job.request.owner, self._guarded)
            if not job.waits:
                raise WorkflowError(JobEnded() if job.terminal_update is not None else JobStarted())
        self._job_factory.check_can_create(job.request.workflow, person)
        workflow = self._catalog.usable(job.request.workflow, person)
        form = self.form_of(job, workflow, write(verb, job.id, workflow.name), most=most)
        if form is None:
            return None
        form = replace(form, title=EDIT_PROMPT)
        if not is_draft:
            return form
        return modals.refilled(form, await self._drafts.form_of(job.id, person.user))
