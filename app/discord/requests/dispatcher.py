"""Carries out what people ask for: new jobs, buttons, and the bot's own commands; or says why it cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import assert_never

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from msgspec.structs import replace

from app.actors.handle import Registry
from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import JobHistory
from app.discord import message_ref
from app.discord.custom_id import NOTIFY, TRY_AGAIN, Press, write
from app.discord.messages.live_messages import LiveMessages
from app.discord.requests.builtin_commands import BuiltinCommands
from app.discord.requests.drafts import Drafts
from app.discord.requests.moderator_commands import ModeratorCommands
from app.discord.requests.responder import Responder
from app.discord.requests.settings_cards import VERBS, SettingsCards
from app.discord.ui import job_message, modals, pages
from app.discord.ui.components import Card
from app.discord.ui.forms import Form
from app.discord.ui.help_page import EXAMPLE
from app.discord.ui.lists import PAGES
from app.discord.user_request import (
    Action,
    BuiltinCommand,
    ButtonPressed,
    Caller,
    CreateJob,
    ModeratorCommand,
    UserRequest,
)
from app.entry_points import run_request
from app.events import Finished, ServerName
from app.ports import Json
from app.service.allowances import Allowances, origin_of
from app.service.catalog import Catalog
from app.service.choices import Choices
from app.service.examples import PROMPT, example_workflow
from app.service.follow_ups import follow_up_of, kept_results
from app.service.job_factory import JobFactory, given_values
from app.service.permissions import check_permitted
from app.service.preferences import savable_values
from app.service.reasons import (
    EditTooLate,
    FewerResults,
    JobEnded,
    JobRemoved,
    JobStarted,
    JobUnfinished,
    NoExample,
    NothingToSave,
    UnknownButton,
)
from app.service.values import missing_slots, upload_slots
from app.service.variations import Variations, picture_of, pictures_of
from app.texts.help import EXAMPLES
from app.texts.job_message import EDIT_PROMPT
from app.texts.reasons.text import reason_text
from app.workflows.batch import COUNT
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError
from app.workflows.variation import CHANGES, Change

SAME_GUARD = {"go": "use", "command": "settings", "adjust": "vary", **dict.fromkeys(CHANGES, "use")}
"""Buttons that do what another one does, by their verbs: `guarded` names that one."""

MOST_CHILDREN = 5
"""Jobs made from one job that its details name."""


def typed(action: Action) -> str:
    """What a person wrote for this request, to give back if nothing comes of it."""
    match action:
        case CreateJob():
            return "\n".join(value for value in action.values.values() if isinstance(value, str) and " " in value)
        case ButtonPressed():
            return action.typed
        case ModeratorCommand():
            return action.reason
        case BuiltinCommand():
            return ""


class RequestDispatcher:
    """Carries out each request; it keeps nothing itself. `guarded` buttons are for owners and moderators.

    `server_names` maps each server to the name that people may read; `delete_results` deletes the files of a job.
    `picture_seconds` returns how long one picture of a workflow is expected to take.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        job_history: JobHistory,
        catalog: Catalog,
        job_factory: JobFactory,
        variations: Variations,
        choices: Choices,
        allowances: Allowances,
        live_messages: LiveMessages,
        responder: Responder,
        builtin_commands: BuiltinCommands,
        moderator_commands: ModeratorCommands,
        guarded: frozenset[str],
        server_names: Mapping[ServerName, str],
        delete_results: Callable[[Job], Awaitable[None]],
        picture_seconds: Callable[[Workflow], float],
    ) -> None:
        self._picture_seconds = picture_seconds
        self._registry = registry
        self._job_history = job_history
        self._catalog = catalog
        self._job_factory = job_factory
        self._variations = variations
        self._choices = choices
        self._allowances = allowances
        self._live_messages = live_messages
        self._responder = responder
        self._builtin_commands = builtin_commands
        self._moderator_commands = moderator_commands
        self._guarded = guarded
        self._server_names = server_names
        self._delete_results = delete_results
        self._drafts = Drafts(job_history)
        self._settings_cards = SettingsCards(
            drafts=self._drafts,
            job_history=job_history,
            catalog=catalog,
            job_factory=job_factory,
            choices=choices,
            registry=registry,
            responder=responder,
            guarded=guarded,
            begin=self._begin_from,
        )

    async def run(self, inbox: MemoryObjectReceiveStream[UserRequest]) -> None:
        """Carry out every request that arrives, each in a task of its own."""
        async with anyio.create_task_group() as tasks:
            async for request in inbox:
                action = request.action
                name = (
                    f"/{action.command}"
                    if isinstance(action, BuiltinCommand | ModeratorCommand)
                    else type(action).__name__
                )
                refuse = partial(self._refuse, request)
                work = partial(run_request, partial(self.take, request), "a request failed", refuse, request=name)
                tasks.start_soon(work, name=name)

    async def take(self, request: UserRequest) -> None:
        """Do what was asked for; if that is impossible, only tell the person who asked."""
        try:
            match request.action:
                case CreateJob() as order:
                    order = await self._within_limits(order, request.caller)
                    job = await self._job_factory.create(order, request.caller)
                    await self._begin(job, request.caller, spoiler=order.spoiler)
                case ButtonPressed() as pressed:
                    await self._press(pressed, request.caller)
                case BuiltinCommand() as command:
                    await self._builtin_commands.take(command, request.caller)
                case ModeratorCommand() as command:
                    await self._moderator_commands.take(command, request.caller)
                case _:
                    assert_never(request.action)
        except WorkflowError as error:
            await self._refuse(request, reason_text(error.reason))

    async def _within_limits(self, order: CreateJob, caller: Caller) -> CreateJob:
        """The order, whose usual number of pictures is no larger than what the person's GPU seconds last for."""
        usual, workflow = order.defaults.get(COUNT), self._catalog.workflows.get(order.workflow)
        if not isinstance(usual, int) or workflow is None:
            return order
        allowances = (await self._allowances.grant(caller)).allowances
        if not any(allowance.seconds for allowance in allowances):
            return order
        used, _ = await self._registry.usage(origin_of(caller), allowances)
        left = min(row.allowance.seconds - row.seconds for row in used if row.allowance.seconds)
        count = max(1, min(usual, int(left / max(0.001, self._picture_seconds(workflow)))))
        return replace(order, defaults={**order.defaults, COUNT: count})

    async def _refuse(self, request: UserRequest, sentence: str) -> None:
        await self._responder.refuse(request.caller, sentence, typed(request.action))

    async def refusal(self, press: Press, caller: Caller) -> str | None:
        """Why a button can do nothing for this person, as far as that is known before it is tried; None if it can."""
        try:
            if press.verb == TRY_AGAIN:
                rejected = self._live_messages.rejected(press.job, caller)
                self._job_factory.check_can_create(rejected.request.workflow, caller)
                return None
            if press.verb in VERBS:
                await self._settings_cards.check(press, caller)
                return None
            if press.verb == EXAMPLE:
                self._job_factory.check_can_create(self._example(press, caller).workflow, caller)
                return None
            job = await self._job(press.job)
            self._check_guard(press, job, caller)
            if (change := CHANGES.get(press.verb)) is not None:
                await self._job_factory.check_can_change(job, change, press.result or 1, caller)
            match press.verb:
                case "again" | "vary" | "edit":
                    self._job_factory.check_can_create(job.request.workflow, caller)
                case "use" | "go":
                    self._job_factory.check_can_create(press.workflow, caller)
                case "retry" | "fetch":
                    self._job_factory.check_can_repeat(job, caller)
                case _:
                    pass
        except WorkflowError as error:
            return reason_text(error.reason)
        return None

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """The form to fill in first, None if there is nothing to ask, or a sentence why it cannot be done.

        The verb is that of the button; "menu" is for a message's file, and "order" for a command that left out
        values that only its form asks for.
        """
        try:
            return await self._form(press, caller)
        except WorkflowError as error:
            return reason_text(error.reason)

    async def hold(self, interaction: str, request: CreateJob, caller: Caller) -> bool:
        """Keep a request until its form is submitted; whether that is possible. See `Drafts.hold`."""
        return await self._drafts.hold(interaction, caller.user, request)

    async def held(self, interaction: str, caller: Caller) -> CreateJob | None:
        """The request of this person that waited for its form; None if it is not known any more."""
        return await self._drafts.take(interaction, caller.user)

    async def _form(self, press: Press, caller: Caller) -> Form | None:
        if press.verb in VERBS:
            return await self._settings_cards.form(press, caller)
        if press.verb in {"vary", "draft", "edit"}:
            return await self._form_from(press, caller)
        self._job_factory.check_can_create(press.workflow, caller)
        workflow = self._catalog.usable(press.workflow, caller)
        verb = "use" if press.verb == "go" else press.verb
        custom_id = write(verb, press.job, workflow.name, press.number, press.result)
        own = await self._job_factory.own_values(workflow, caller)
        offered = self._choices.known(workflow)
        if press.verb == "order":
            return modals.form(workflow, custom_id, own, show=("modal",), offered=offered)
        if press.verb == "menu":
            return modals.form(workflow, custom_id, own, show=modals.OFFERED, offered=offered)
        job = await self._job(press.job)
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
        )

    async def _form_from(self, press: Press, caller: Caller) -> Form | None:
        """The form with the values of a job: to make another one from it, or to edit it while it waits.

        A draft of an edit may still be one, unless the job was sent meanwhile.
        """
        job = await self._job(press.job)
        is_draft = press.verb == "draft"
        verb = "edit" if press.verb == "edit" or (is_draft and job.waits) else "vary"
        if verb == "edit":
            check_permitted("edit", caller, job.request.owner, self._guarded)
            if not job.waits:
                raise WorkflowError(JobEnded() if job.terminal_update is not None else JobStarted())
        self._job_factory.check_can_create(job.request.workflow, caller)
        workflow = self._catalog.usable(job.request.workflow, caller)
        form = self._form_of(job, workflow, write(verb, job.id, workflow.name))
        if form is None:
            return None
        form = replace(form, title=EDIT_PROMPT)
        if not is_draft:
            return form
        return modals.refilled(form, await self._drafts.form_of(job.id, caller.user))

    def _form_of(self, job: Job, workflow: Workflow, custom_id: str) -> Form | None:
        """The form with the values of a job."""
        files = [slot.name for slot in upload_slots(workflow)]
        given, offered = given_values(job.request, workflow, seed=True), self._choices.known(workflow)
        return modals.form(workflow, custom_id, given, offered=offered, files=files)

    def _check_guard(self, press: Press, job: Job, caller: Caller) -> None:
        """Raise `WorkflowError` if the person may not press this button of the job."""
        check_permitted(SAME_GUARD.get(press.verb, press.verb), caller, job.request.owner, self._guarded)

    async def _press(self, pressed: ButtonPressed, caller: Caller) -> None:
        press = pressed.press
        if press.verb == TRY_AGAIN:
            await self._try_again(press, caller)
            return
        if press.verb in VERBS:
            await self._settings_cards.press(pressed, caller)
            return
        if press.verb == EXAMPLE:
            order = self._example(press, caller)
            await self._begin(await self._job_factory.create(order, caller), caller, spoiler=order.spoiler)
            return
        if press.verb in PAGES:
            await self._builtin_commands.turn_page(press, caller)
            return
        if press.verb == NOTIFY:
            await self._builtin_commands.choose_notification(press.workflow, caller)
            return
        job = await self._job(press.job)
        self._check_guard(press, job, caller)
        if (change := CHANGES.get(press.verb)) is not None:
            request = await self._job_factory.change(job, change, press.result or 1, caller)
            await self._begin_from(job, request, caller)
            return
        match press.verb:
            case "again":
                await self._begin_from(job, await self._job_factory.again(job, caller), caller)
            case "vary":
                workflow = self._catalog.usable(job.request.workflow, caller)
                values = _varied(job, workflow, pressed, await self._form(press, caller))
                await self._begin_from(job, await self._job_factory.vary(job, values, caller, pressed.files), caller)
            case "edit":
                await self._edit(job, pressed, caller)
            case "use":
                workflow = self._catalog.usable(press.workflow, caller)
                values, number = modals.answers(workflow, pressed.fields or {}, await self._form(press, caller))
                number = press.result or number
                request = await self._job_factory.follow_up(
                    job, workflow.name, press.number, values, number, caller, pressed.files
                )
                await self._begin_from(job, request, caller)
            case "go":
                number, result = press.number, press.result or 1
                request = await self._job_factory.start_follow_up(job, press.workflow, number, result, caller)
                await self._begin_from(job, request, caller)
            case "fetch":
                await self._begin_beside(job, await self._job_factory.fetch_again(job, caller), caller)
            case "retry":
                await self._begin_beside(job, self._job_factory.retry(job, caller), caller)
            case "send":
                await self._live_messages.show_again(job, caller)
            case "cancel":
                await self._cancel(job)
            case "adjust":
                await self._settings_cards.open(job, caller)
            case "settings":
                await self._responder.tell(caller, await self._details(job))
            case "command":
                await self._copy(job, caller)
            case "more":
                await self._responder.tell(caller, await self._more(job, pressed.message))
            case "picture":
                await self._responder.tell(caller, await self._picture(job, press.result or 1))
            case "keep":
                await self._keep(job, caller)
            case "delete":
                await self._delete(job, caller, press.workflow)
            case _:
                raise WorkflowError(UnknownButton())

    async def _edit(self, job: Job, pressed: ButtonPressed, caller: Caller) -> None:
        """Replace the request of a job if it still waits and no limit is in the way; else offer the form again."""
        workflow = self._catalog.usable(job.request.workflow, caller)
        asked = self._form_of(job, workflow, "")
        if asked is None:
            raise WorkflowError(UnknownButton())
        values = _varied(job, workflow, pressed, asked)
        answer = await self._registry.edit(job.id, await self._job_factory.edit(job, values, caller, pressed.files))
        if answer.done:
            return
        job = await self._job(job.id)
        reason = answer.limit or EditTooLate(over=job.terminal_update is not None)
        await self._drafts.keep_form(job.id, caller.user, pressed.fields or {})
        await self._responder.tell(caller, pages.not_edited(job.id, reason_text(reason), pressed.typed))

    async def _begin_from(self, job: Job, request: JobRequest, caller: Caller) -> None:
        """Begin a job that was made from an earlier one."""
        await self._begin_beside(job, replace(request, parent=job.id), caller)

    async def _begin_beside(self, job: Job, request: JobRequest, caller: Caller) -> None:
        """Begin a job in place of an earlier one; it is hidden if that one is."""
        place = message_ref.read(job.place)
        await self._begin(request, caller, spoiler=place is not None and place.spoiler)

    async def _begin(self, request: JobRequest, caller: Caller, *, spoiler: bool) -> None:
        workflow = self._catalog.readable.get(request.workflow)
        hidden = workflow is not None and workflow.spoiler
        origin, grant = origin_of(caller), await self._allowances.grant(caller)
        payment = None if request.payment is None else replace(request.payment, limits=grant.budget)
        request = replace(
            request,
            guild=origin.guild,
            channel=origin.channel,
            allowances=grant.allowances,
            payment=payment,
            weight=grant.weight,
        )
        self._live_messages.begin(request, caller, spoiler=spoiler or hidden)

    def _example(self, press: Press, caller: Caller) -> CreateJob:
        """The request of an example's button. Raises `WorkflowError`."""
        workflow = example_workflow(self._catalog.workflows.values(), caller)
        if workflow is None:
            raise WorkflowError(NoExample())
        if not 1 <= press.result <= len(EXAMPLES):
            raise WorkflowError(UnknownButton())
        return CreateJob(workflow=workflow.name, values={PROMPT: EXAMPLES[press.result - 1].prompt})

    async def _try_again(self, press: Press, caller: Caller) -> None:
        """Ask once more for what was over a limit."""
        rejected = self._live_messages.rejected(press.job, caller)
        self._job_factory.check_can_create(rejected.request.workflow, caller)
        self._live_messages.forget_rejected(press.job)
        await self._begin(rejected.request, caller, spoiler=rejected.spoiler)

    async def _cancel(self, job: Job) -> None:
        if job.notified:
            raise WorkflowError(JobEnded())
        await self._registry.cancel(job.id)

    async def _more(self, job: Job, message: str) -> Card:
        """What else can be done with a job that is shown in a message."""
        workflow = self._catalog.workflows.get(job.request.workflow)
        follow_ups = job_message.listed(self._live_messages.view(job))
        finished = job.terminal_update
        pictures = len(pictures_of(finished)) if isinstance(finished, Finished) else 0
        changes = await self._variations.possible(job.request) if pictures else frozenset[Change]()
        return pages.more(job.id, message, follow_ups, workflow, changes, pictures)

    async def _picture(self, job: Job, number: int) -> Card:
        """What can be done to one of the pictures of a job."""
        shown, finished = picture_of(job, number), job.terminal_update
        changes = await self._variations.possible(job.request)
        alone = (
            replace(job, terminal_update=replace(finished, files=(shown,))) if isinstance(finished, Finished) else job
        )
        thumbnail = (await self._live_messages.thumbnails([alone])).get(job.id)
        return pages.picture(job.id, number, changes, thumbnail)

    async def _details(self, job: Job) -> Card:
        """The details of a job, with the jobs it was made from and into."""
        workflows = self._catalog.workflows
        parent = await self._job_history.find(job.request.parent) if job.request.parent else None
        children = await self._job_history.made_from(job.id, MOST_CHILDREN)
        return pages.details(
            job,
            workflows.get(job.request.workflow),
            self._server_names,
            thumbnail=(await self._live_messages.thumbnails([job])).get(job.id),
            made_from=pages.relative(parent, workflows.get(parent.request.workflow)) if parent is not None else None,
            made_into=[pages.relative(child, workflows.get(child.request.workflow)) for child in children],
        )

    async def _copy(self, job: Job, caller: Caller) -> None:
        """Show a job as the command that asks for the same again."""
        workflow = self._catalog.usable(job.request.workflow, caller)
        if not workflow.command:
            raise WorkflowError(UnknownButton())
        await self._responder.tell(caller, pages.copied(workflow, job.request))

    async def _delete(self, job: Job, caller: Caller, message: str) -> None:
        if job.terminal_update is None and job.id in self._live_messages.living:
            raise WorkflowError(JobUnfinished())
        # First the files: if this fails, the button is still there.
        await self._delete_results(job)
        await self._job_history.hide_from_gallery(job.id, everybody=True)
        await self._responder.remove(caller, message_ref.read(job.place), message)

    async def _job(self, job_id: str) -> Job:
        job = await self._job_history.find(job_id)
        if job is None:
            raise WorkflowError(JobRemoved())
        return job

    async def _keep(self, job: Job, caller: Caller) -> None:
        """Save a job's settings as the caller's own."""
        workflow = self._catalog.usable(job.request.workflow, caller)
        values = savable_values(job.request, workflow)
        if not values:
            raise WorkflowError(NothingToSave())
        await self._job_history.prefer(caller.user, workflow.name, values)
        await self._responder.tell(caller, pages.kept(workflow, values))


def _varied(job: Job, workflow: Workflow, pressed: ButtonPressed, asked: Form | None) -> dict[str, Json]:
    """The values of a job with those of its submitted form; a button without a form takes the workflow's own.

    Raises `WorkflowError`.
    """
    fields = pressed.fields
    if fields is None:
        return {}
    values, _ = modals.answers(workflow, fields, asked)
    return {**modals.unasked(given_values(job.request, workflow, seed=True), fields), **values}
