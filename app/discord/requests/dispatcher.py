"""Carries out requests to create a job and button presses, or says why it cannot."""

from __future__ import annotations

from typing import assert_never

from app.core.job import Job
from app.discord import message_ref
from app.discord.custom_id import Press, write
from app.discord.requests.job_factory import JobFactory, follow_up_of, given, results_of
from app.discord.requests.permissions import check_can_use, permitted, refusal
from app.discord.requests.session import DiscordSession
from app.discord.ui import modals
from app.discord.ui.components import Form
from app.discord.ui.options import preset, uploads, verify
from app.discord.ui.pages import kept, settings
from app.discord.user_request import ButtonPressed, Caller, CreateJob
from app.ports import Json
from app.service.preferences import savable_values, usable_values
from app.texts.reasons import reason_text
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError


def typed(word: CreateJob | ButtonPressed) -> str:
    """What a person wrote for this request, to give back if nothing comes of it."""
    match word:
        case CreateJob():
            return "\n".join(value for value in word.values.values() if isinstance(value, str) and " " in value)
        case ButtonPressed():
            return modals.typed(word.fields or {})


class RequestDispatcher:
    """Carries out each request and each button; it keeps no state. `guarded` verbs are for owners and moderators."""

    def __init__(self, session: DiscordSession, requests: JobFactory, guarded: frozenset[str]) -> None:
        self._session = session
        self._job_factory = requests
        self._guarded = guarded

    async def take(self, word: CreateJob | ButtonPressed) -> None:
        """Do what was asked for; if that is impossible, only tell the person who asked."""
        try:
            match word:
                case CreateJob():
                    await self._order(word)
                case ButtonPressed():
                    await self._press(word)
                case _:
                    assert_never(word)
        except WorkflowError as error:
            await self._session.refuse(word.caller, reason_text(error.reason), typed(word))

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """The form to fill in first, None if there is nothing to ask, or a sentence why it cannot be done.

        The verb is that of the button; "menu" is for a message's file, and "order" for a command that left out
        values that only its form asks for.
        """
        try:
            return await self._form(press, caller)
        except WorkflowError as error:
            return reason_text(error.reason)

    async def _form(self, press: Press, caller: Caller) -> Form | None:
        if press.verb == "vary":
            job = await self._job(press.job)
            workflow = self._workflow(job.request.workflow, caller)
            return modals.form(workflow, write("vary", job.id, workflow.name), given(job.request, workflow, seed=True))
        workflow = self._workflow(press.workflow, caller)
        custom_id = write(press.verb, press.job, workflow.name, press.number)
        own = await self._own(caller.user, workflow)
        if press.verb == "order":
            return modals.form(workflow, custom_id, own, show=("modal",))
        if press.verb == "menu":
            return modals.form(workflow, custom_id, own, show=modals.OFFERED)
        job = await self._job(press.job)
        follow_up = follow_up_of(press, job, workflow, self._session.catalog.workflows)
        found = results_of(job, follow_up)
        same = {slot.name for slot in workflow.slots if slot.kind == "text"}
        values = own | {name: value for name, value in job.request.values.items() if name in same} | follow_up.values
        # A single text is put into the form to be edited; of several, one is chosen by its number.
        several = len(found) > 1
        if follow_up.slot.kind == "text" and not several:
            values[follow_up.slot.name] = found[0]
        without = follow_up.slot.name if several else ""
        return modals.form(workflow, custom_id, values, results=len(found), show=modals.OFFERED, without=without)

    async def _order(self, word: CreateJob) -> None:
        workflow = self._workflow(word.workflow, word.caller)
        said = {**preset(workflow, word.preset), **word.values}
        verify(workflow, said)
        own = await self._own(word.caller.user, workflow)
        await self._job_factory.make(workflow, {**own, **said}, word.caller, spoiler=word.spoiler, files=word.files)

    async def _press(self, word: ButtonPressed) -> None:
        press, caller = word.press, word.caller
        job = await self._job(press.job)
        moderator, owner = caller.moderator, job.request.owner
        if not permitted(press.verb, person=caller.user, owner=owner, moderator=moderator, guarded=self._guarded):
            raise WorkflowError(refusal(press.verb))
        shown = message_ref.read(job.place)
        spoiler = shown is not None and shown.spoiler
        match press.verb:
            case "again":
                workflow = self._workflow(job.request.workflow, caller)
                await self._job_factory.make(
                    workflow, given(job.request, workflow, seed=False), caller, spoiler=spoiler
                )
            case "vary":
                workflow = self._workflow(job.request.workflow, caller)
                values, _ = modals.answers(workflow, word.fields or {}, await self._form(press, caller))
                verify(workflow, values)
                files = {slot.name: job.request.values.get(slot.name) for slot in uploads(workflow)}
                await self._job_factory.make(workflow, {**values, **files}, caller, spoiler=spoiler)
            case "use":
                workflow = self._workflow(press.workflow, caller)
                follow_up = follow_up_of(press, job, workflow, self._session.catalog.workflows)
                values, number = modals.answers(workflow, word.fields or {}, await self._form(press, caller))
                found = results_of(job, follow_up)
                if number > len(found):
                    raise WorkflowError(f"There are only {len(found)} results here.")
                values = {follow_up.slot.name: found[number - 1], **follow_up.values, **values}
                verify(workflow, values)
                own = await self._own(caller.user, workflow)
                await self._job_factory.make(workflow, {**own, **values}, caller, spoiler=spoiler)
            case "retry":
                self._job_factory.repeat(job, caller, spoiler=spoiler)
            case "cancel":
                await self._cancel(job)
            case "settings":
                await self._session.tell(
                    caller, settings(job, self._session.catalog.workflows.get(job.request.workflow))
                )
            case "keep":
                await self._keep(job, caller)
            case "delete":
                await self._delete(job, caller)
            case _:
                raise WorkflowError("This button is from another time, and does nothing any more.")

    async def _cancel(self, job: Job) -> None:
        if job.terminal_update is not None:
            raise WorkflowError("This has ended already.")
        await self._session.registry.cancel(job.id)

    async def _delete(self, job: Job, caller: Caller) -> None:
        if job.terminal_update is None and job.id in self._session.living:
            raise WorkflowError("This is still being made: cancel it first.")
        await self._session.remove(caller, message_ref.read(job.place))

    async def _job(self, told: str) -> Job:
        job = await self._session.job_history.find(told)
        if job is None:
            raise WorkflowError("Nobody remembers this one any more: start anew with a command.")
        return job

    def _workflow(self, name: str, caller: Caller) -> Workflow:
        """An offered workflow that the caller may use. Raises `WorkflowError`."""
        catalog = self._session.catalog
        if (workflow := catalog.workflows.get(name)) is None:
            if name in catalog.refused:
                raise WorkflowError(f"“{name}” cannot be made at the moment: ask whoever runs this bot.")
            raise WorkflowError(f"The workflow “{name}” was removed by the people who run this bot.")
        check_can_use(workflow, caller)
        return workflow

    async def _own(self, person: str, workflow: Workflow) -> dict[str, Json]:
        return usable_values((await self._session.job_history.preferences(person)).get(workflow.name, {}), workflow)

    async def _keep(self, job: Job, caller: Caller) -> None:
        """Save a job's settings as the caller's own."""
        workflow = self._workflow(job.request.workflow, caller)
        values = savable_values(job.request, workflow)
        if not values:
            raise WorkflowError("Everything stands as it was meant here: there is nothing to keep.")
        await self._session.job_history.prefer(caller.user, workflow.name, values)
        await self._session.tell(caller, kept(workflow, values))
