"""Opens cards of settings, keeps what people choose there as drafts, and runs them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence

from msgspec.structs import replace

from app.actors.handle import Registry
from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import JobHistory
from app.discord.custom_id import Press
from app.discord.files.download import check
from app.discord.requests.drafts import Drafts, SettingsDraft
from app.discord.requests.responder import Responder
from app.discord.ui import pages, settings_card
from app.discord.ui.forms import Form
from app.discord.user_request import ButtonPressed, Caller
from app.service.jobs.job_factory import JobFactory, given_values
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.people.permissions import check_permitted
from app.service.reasons import DraftGone, EditTooLate, JobRemoved
from app.service.values import check_values, kind_of
from app.texts.discord import settings_card as texts
from app.texts.reasons.text import reason_text
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError
from app.workflows.reasons.values import NotAChoice

VERBS = frozenset(
    {settings_card.PICK, settings_card.GROUP, settings_card.RUN, settings_card.SAVE, settings_card.DISCARD}
)
"""Verbs of custom ids that are about a draft, not about a job."""


class SettingsCards:
    """Carries out what people do on cards of settings. Drafts are in the journal, so nothing is kept here.

    `begin` begins a job beside an earlier one. Every method raises `WorkflowError` for what cannot be done.
    """

    def __init__(
        self,
        *,
        drafts: Drafts,
        job_history: JobHistory,
        catalog: Catalog,
        job_factory: JobFactory,
        choices: Choices,
        registry: Registry,
        responder: Responder,
        guarded: Collection[str],
        begin: Callable[[Job, JobRequest, Caller], Awaitable[None]],
    ) -> None:
        self._drafts = drafts
        self._job_history = job_history
        self._catalog = catalog
        self._job_factory = job_factory
        self._choices = choices
        self._registry = registry
        self._responder = responder
        self._guarded = frozenset(guarded)
        self._begin = begin

    async def open(self, job: Job, caller: Caller) -> None:
        """Show a card with the settings of a job: to change it while it waits here, else to make another one."""
        if job.waits:
            check_permitted("edit", caller, job.request.owner, self._guarded)
        self._job_factory.check_can_create(job.request.workflow, caller)
        workflow = self._catalog.usable(job.request.workflow, caller)
        draft = SettingsDraft(
            id=str(uuid.uuid4()),
            person=caller.user,
            workflow=workflow.name,
            job=job.id,
            edits=job.waits,
            values=given_values(job.request, workflow, seed=True),
        )
        await self._drafts.keep(draft)
        await self._responder.tell(caller, self._card(draft, workflow))

    async def check(self, press: Press, caller: Caller) -> None:
        """Check whether this person may do something on a card."""
        draft = await self._drafts.find(press.job, caller.user)
        self._job_factory.check_can_create(draft.workflow, caller)

    async def form(self, press: Press, caller: Caller) -> Form:
        """The form that a button of a card opens."""
        draft, workflow = await self._draft(press, caller)
        offered = self._choices.known(workflow)
        form = settings_card.group_form(workflow, draft.id, press.number, draft.values, offered)
        if form is None:
            raise WorkflowError(DraftGone())
        return form

    async def press(self, pressed: ButtonPressed, caller: Caller) -> None:
        """Carry out a press, a choice or a form of a card."""
        press, fields = pressed.press, pressed.fields or {}
        draft, workflow = await self._draft(press, caller)
        match press.verb:
            case settings_card.PICK:
                offered = self._choices.known(workflow)
                name, value = press.workflow, fields.get(press.workflow, "")
                await self._change(
                    replace(draft, values=settings_card.picked(workflow, name, value, draft.values, offered)),
                    workflow,
                    caller,
                )
            case settings_card.GROUP:
                form = await self.form(press, caller)
                values = settings_card.filled(workflow, form, fields, draft.values)
                check_values(workflow, values, complete=False)
                for file in pressed.files:
                    check(file, kind_of(workflow, file))
                await self._change(
                    replace(draft, values=values, files=(*draft.files, *pressed.files)), workflow, caller
                )
            case settings_card.DISCARD:
                await self._drafts.drop(draft.id)
                await self._responder.change(caller, pages.notice(texts.DISCARDED))
            case settings_card.SAVE:
                await self._save(draft, workflow, caller)
            case _:
                await self._run(draft, workflow, caller)

    async def _draft(self, press: Press, caller: Caller) -> tuple[SettingsDraft, Workflow]:
        draft = await self._drafts.find(press.job, caller.user)
        return draft, self._catalog.usable(draft.workflow, caller)

    async def _change(self, draft: SettingsDraft, workflow: Workflow, caller: Caller, note: str = "") -> None:
        await self._drafts.keep(draft)
        await self._responder.change(caller, self._card(draft, workflow, note))

    def _card(self, draft: SettingsDraft, workflow: Workflow, note: str = "") -> settings_card.Card:
        offered = self._choices.known(workflow)
        return settings_card.settings_card(
            workflow, draft.id, draft.values, draft.files, offered, edits=draft.edits, note=note
        )

    async def _run(self, draft: SettingsDraft, workflow: Workflow, caller: Caller) -> None:
        """Make a job of a draft, which stays, so that more can be made of it."""
        job = await self._job(draft)
        await self._check_offered(draft, workflow)
        request = await self._job_factory.vary(job, draft.values, caller, draft.files)
        await self._begin(job, replace(request, parent=job.id), caller)

    async def _save(self, draft: SettingsDraft, workflow: Workflow, caller: Caller) -> None:
        """Change the waiting job; if it does not wait any more, the draft becomes one for another job."""
        job = await self._job(draft)
        check_permitted("edit", caller, job.request.owner, self._guarded)
        await self._check_offered(draft, workflow)
        request = await self._job_factory.edit(job, draft.values, caller, draft.files)
        answer = await self._registry.edit(job.id, request)
        if answer.done:
            await self._drafts.drop(draft.id)
            await self._responder.change(caller, pages.notice(texts.SAVED))
        elif answer.limit is not None:
            raise WorkflowError(answer.limit)
        else:
            job = await self._job(draft)
            late = reason_text(EditTooLate(over=job.terminal_update is not None, run=True))
            await self._change(replace(draft, edits=False), workflow, caller, f"-# {late}")

    async def _job(self, draft: SettingsDraft) -> Job:
        job = await self._job_history.find(draft.job)
        if job is None:
            raise WorkflowError(JobRemoved())
        return job

    async def _check_offered(self, draft: SettingsDraft, workflow: Workflow) -> None:
        """Refuse a model that the servers have no more, as far as they say what they have."""
        for slot in workflow.slots:
            value = draft.values.get(slot.name)
            if slot.kind != "model" or not isinstance(value, str):
                continue
            offered: Sequence[str] = await self._choices.of(workflow, slot)
            if offered and value not in offered:
                raise WorkflowError(NotAChoice(slot.title, value, tuple(offered)))
