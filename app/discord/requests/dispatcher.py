"""Carries out what people ask for: new jobs, buttons, and the bot's own commands; or says why it cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple, assert_never

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from msgspec.structs import replace

from app.actors.handle import Registry
from app.core.journal_port import JobHistory
from app.discord.custom_id import NOTIFY, TRY_AGAIN, Press
from app.discord.messages.live_messages import LiveMessages
from app.discord.messages.open_requests import OpenRequests
from app.discord.requests.builtin_commands import BuiltinCommands
from app.discord.requests.drafts import Drafts
from app.discord.requests.job_actions import JobActions
from app.discord.requests.job_buttons import JobButtons
from app.discord.requests.job_details import JobDetails
from app.discord.requests.job_starter import JobStarter
from app.discord.requests.moderator_commands import ModeratorCommands
from app.discord.requests.responder import Responder
from app.discord.requests.settings_cards import VERBS, SettingsCards
from app.discord.ui.forms import Form
from app.discord.ui.help_page import EXAMPLE
from app.discord.ui.lists import PAGES
from app.discord.ui.pages import refusal
from app.discord.user_request import (
    BuiltinCommand,
    ButtonPressed,
    Caller,
    CreateJob,
    ModeratorCommand,
    UserRequest,
)
from app.entry_points import run_request
from app.events import ServerName
from app.service.jobs.job_factory import JobFactory
from app.service.jobs.variations import Variations
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.offers.examples import PROMPT, example_workflow
from app.service.people.allowances import Allowances, origin_of
from app.service.reasons import Draining, NoExample, UnknownButton
from app.texts.discord.help import EXAMPLES
from app.texts.reasons.text import reason_text
from app.workflows.binding.batch import COUNT
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError


class _UnderWay(NamedTuple):
    """A request, and what is called once its person has an answer."""

    request: UserRequest
    answered: Callable[[], None]


class RequestDispatcher:
    """Carries out each request, and knows only which ones are under way.

    `guarded` buttons are for owners and moderators. `actions` and `starter` are what the page uses as well.
    `server_names` maps each server to the name that people may read. `picture_seconds` returns how long one picture of
    a workflow is expected to take.
    """

    def __init__(
        self,
        *,
        actions: JobActions,
        starter: JobStarter,
        drafts: Drafts,
        registry: Registry,
        job_history: JobHistory,
        catalog: Catalog,
        job_factory: JobFactory,
        variations: Variations,
        choices: Choices,
        allowances: Allowances,
        live_messages: LiveMessages,
        open_requests: OpenRequests,
        responder: Responder,
        builtin_commands: BuiltinCommands,
        moderator_commands: ModeratorCommands,
        guarded: frozenset[str],
        server_names: Mapping[ServerName, str],
        picture_seconds: Callable[[Workflow], float],
    ) -> None:
        self._under_way: dict[anyio.CancelScope, _UnderWay] = {}
        self._actions = actions
        self._starter = starter
        self._drafts = drafts
        self._picture_seconds = picture_seconds
        self._registry = registry
        self._catalog = catalog
        self._job_factory = job_factory
        self._allowances = allowances
        self._live_messages = live_messages
        self._open_requests = open_requests
        self._responder = responder
        self._builtin_commands = builtin_commands
        self._moderator_commands = moderator_commands
        self._settings_cards = SettingsCards(
            drafts=drafts,
            job_history=job_history,
            catalog=catalog,
            job_factory=job_factory,
            choices=choices,
            registry=registry,
            responder=responder,
            guarded=guarded,
            begin=starter.begin_beside,
        )
        self._job_buttons = JobButtons(
            actions=actions,
            starter=starter,
            details=JobDetails(
                job_history=job_history,
                catalog=catalog,
                variations=variations,
                live_messages=live_messages,
                server_names=server_names,
            ),
            settings_cards=self._settings_cards,
            drafts=drafts,
            live_messages=live_messages,
            responder=responder,
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
                scope = anyio.CancelScope()
                answered = self._open_requests.begin(request.caller, request.typed)
                self._under_way[scope] = _UnderWay(request, answered)
                tasks.start_soon(self._carry_out, scope, work, answered, name=name)

    async def _carry_out(
        self, scope: anyio.CancelScope, work: Callable[[], Awaitable[object]], answered: Callable[[], None]
    ) -> None:
        with scope:
            await work()
            answered()
        self._under_way.pop(scope, None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing that arrived is under way."""
        return not self._under_way

    async def refuse_rest(self) -> None:
        """End what is still under way because the bot stops, and say so to everybody who asked for it.

        Whoever cannot be told is left to the front that takes over.
        """
        rest, self._under_way = self._under_way, {}
        async with anyio.create_task_group() as tasks:
            for scope, under_way in rest.items():
                scope.cancel()
                tasks.start_soon(self._refuse_at_end, under_way, name="refusal")

    async def _refuse_at_end(self, under_way: _UnderWay) -> None:
        request = under_way.request
        card = refusal(reason_text(Draining()), request.typed)
        # In one call, unlike other refusals: there may be no time for a second one.
        if await self._responder.tell(request.caller, card):
            under_way.answered()

    async def take(self, request: UserRequest) -> None:
        """Do what was asked for; if that is impossible, only tell the person who asked."""
        try:
            match request.action:
                case CreateJob() as order:
                    order = await self._within_limits(order, request.caller)
                    job = await self._job_factory.create(order, request.caller)
                    await self._starter.begin(job, request.caller, spoiler=order.spoiler)
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
        await self._responder.refuse(request.caller, sentence, request.typed)

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
            await self._actions.check(press, await self._actions.find(press.job), caller)
        except WorkflowError as error:
            return reason_text(error.reason)
        return None

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """The form to fill in first, None if there is nothing to ask, or a sentence why it cannot be done.

        The verb is that of the button; see `app.discord.requests.job_forms.JobForms.form` for others.
        """
        try:
            if press.verb in VERBS:
                return await self._settings_cards.form(press, caller)
            return await self._actions.forms.form(press, caller)
        except WorkflowError as error:
            return reason_text(error.reason)

    async def hold(self, interaction: str, request: CreateJob, caller: Caller) -> bool:
        """Keep a request until its form is submitted; whether that is possible. See `Drafts.hold`."""
        return await self._drafts.hold(interaction, caller.user, request)

    async def held(self, interaction: str, caller: Caller) -> CreateJob | None:
        """The request of this person that waited for its form; None if it is not known any more."""
        return await self._drafts.take(interaction, caller.user)

    async def _press(self, pressed: ButtonPressed, caller: Caller) -> None:
        press = pressed.press
        if press.verb == TRY_AGAIN:
            await self._try_again(press, caller)
        elif press.verb in VERBS:
            await self._settings_cards.press(pressed, caller)
        elif press.verb == EXAMPLE:
            order = self._example(press, caller)
            await self._starter.begin(await self._job_factory.create(order, caller), caller, spoiler=order.spoiler)
        elif press.verb in PAGES:
            await self._builtin_commands.turn_page(press, caller)
        elif press.verb == NOTIFY:
            await self._builtin_commands.choose_notification(press.workflow, caller)
        else:
            await self._job_buttons.press(pressed, caller)

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
        await self._starter.begin(rejected.request, caller, spoiler=rejected.spoiler)
