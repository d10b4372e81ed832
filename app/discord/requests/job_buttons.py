"""What each button of a job does in Discord: it carries out an action, and answers the person who pressed it."""

from __future__ import annotations

from app.core.jobs.job import Job
from app.discord import message_ref
from app.discord.messages.live_messages import LiveMessages
from app.discord.requests.drafts import Drafts
from app.discord.requests.job_actions import JobActions
from app.discord.requests.job_details import JobDetails
from app.discord.requests.job_starter import JobStarter
from app.discord.requests.responder import Responder
from app.discord.requests.settings_cards import SettingsCards
from app.discord.ui import pages
from app.discord.user_request import ButtonPressed, Caller
from app.service.reasons import UnknownButton
from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError


class JobButtons:
    """Carries out the buttons of jobs."""

    def __init__(
        self,
        *,
        actions: JobActions,
        starter: JobStarter,
        details: JobDetails,
        settings_cards: SettingsCards,
        drafts: Drafts,
        live_messages: LiveMessages,
        responder: Responder,
    ) -> None:
        self._actions = actions
        self._starter = starter
        self._details = details
        self._settings_cards = settings_cards
        self._drafts = drafts
        self._live_messages = live_messages
        self._responder = responder

    async def press(self, pressed: ButtonPressed, caller: Caller) -> None:
        """Carry out a button, or its submitted form. Raises `WorkflowError` for what cannot be done."""
        press, actions = pressed.press, self._actions
        job = await actions.find(press.job)
        actions.check_guard(press.verb, job, caller)
        if (request := await actions.request(pressed, job, caller)) is not None:
            await self._starter.begin_beside(job, request, caller)
            return
        match press.verb:
            case "edit":
                await self._edit(job, pressed, caller)
            case "send":
                await self._live_messages.show_again(job, caller)
            case "cancel":
                await actions.cancel(job)
            case "adjust":
                await self._settings_cards.open(job, caller)
            case "settings":
                await self._responder.tell(caller, await self._details.details(job))
            case "command":
                await self._responder.tell(caller, self._details.command(job, caller))
            case "more":
                await self._responder.tell(caller, await self._details.more(job, pressed.message))
            case "picture":
                await self._responder.tell(caller, await self._details.picture(job, press.result or 1))
            case "keep":
                await self._keep(job, caller)
            case "delete":
                # First the files: if this fails, the button is still there.
                await actions.delete_files(job)
                await self._responder.remove(caller, message_ref.read(job.place), press.workflow)
            case _:
                raise WorkflowError(UnknownButton())

    async def _edit(self, job: Job, pressed: ButtonPressed, caller: Caller) -> None:
        """Edit a job; if that is too late, or over a limit, offer the form again."""
        reason = await self._actions.edit(pressed, job, caller)
        if reason is not None:
            await self._drafts.keep_form(job.id, caller.user, pressed.fields or {})
            await self._responder.tell(caller, pages.not_edited(job.id, reason_text(reason), pressed.typed))

    async def _keep(self, job: Job, caller: Caller) -> None:
        """Save a job's settings as the caller's own."""
        workflow, values = await self._actions.keep_settings(job, caller)
        await self._responder.tell(caller, pages.kept(workflow, values))
