"""Handles every interaction in hikari's own loop: opens forms, refuses what is wrong, and acknowledges the rest.

Discord waits three seconds, whatever the core does. So before the acknowledgement the core is asked only short
questions, each for a short time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import anyio
import hikari
from msgspec.structs import replace

from app.discord import custom_id
from app.discord.bridge import CrossLoopCall
from app.discord.custom_id import Press
from app.discord.files.download import check
from app.discord.gateway.interactions.commands import Given
from app.discord.gateway.interactions.forms import Forms
from app.discord.gateway.interactions.message_files import files_of
from app.discord.gateway.interactions.responses import (
    ALONE,
    PUBLIC,
    Acknowledgements,
    Answerable,
    attached,
    caller_of,
    say,
)
from app.discord.ui import modals
from app.discord.ui.forms import Form
from app.discord.ui.help_page import EXAMPLE
from app.discord.ui.lists import PAGES
from app.discord.ui.options import FORMAT, MODEL, MOST_CHOICES, PRESET, SPOILER, Command
from app.discord.ui.settings_card import GROUP, PICK, RUN
from app.discord.ui.submission import Submission
from app.discord.user_request import BuiltinCommand, ButtonPressed, Caller, ModeratorCommand
from app.events import JobId
from app.ports import Json
from app.service.jobs.follow_ups import find_follow_up
from app.service.requests import AttachedFile, CreateJob, Person
from app.service.tasks.planner import TaskPlanner, TaskRequest
from app.service.values import check_values, kind_of, missing_slots, preset
from app.texts.discord import answers
from app.texts.reasons.files import NAMES
from app.texts.reasons.text import reason_text
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError
from app.workflows.task import Task
from app.workflows.variations.derive import CHANGES

PATIENCE = 1.5
"""Seconds that the core gets to answer a question: half of what Discord waits."""

ASKS_FIRST = frozenset({"vary", "draft", "edit", "use", "go", GROUP})
MAKES_NEW = frozenset(
    {"again", "fetch", "retry", "send", "vary", "use", "go", RUN, custom_id.TRY_AGAIN, EXAMPLE, *CHANGES}
)
ANSWERS_ALONE = frozenset({"settings", custom_id.ADJUST, "keep", "more", "picture", "command"})
CHANGES_ITS_MESSAGE = frozenset({"edit", GROUP})
"""Verbs of forms that change the message whose button opened them."""

BEGINS = frozenset({"menu", "order"})
"""Verbs of forms that have no job yet: their id is that of the interaction that opened the form."""


class Questions(Protocol):
    """What the core is asked while a command or button waits for its first answer."""

    async def refusal(self, press: Press, caller: Caller) -> str | None:
        """See `app.discord.requests.dispatcher.RequestDispatcher.refusal`."""
        ...

    async def hold(self, interaction: str, request: CreateJob, caller: Caller) -> bool:
        """See `app.discord.requests.dispatcher.RequestDispatcher.hold`."""
        ...

    async def held(self, interaction: str, caller: Caller) -> CreateJob | None:
        """See `app.discord.requests.dispatcher.RequestDispatcher.held`."""
        ...

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """See `app.discord.requests.dispatcher.RequestDispatcher.form`."""
        ...


class Suggestions(Protocol):
    """What the core is asked while a person types an option."""

    async def suggest_values(self, workflow: str, slot: str, typed: str) -> list[str]:
        """See `app.discord.requests.builtin_commands.BuiltinCommands.suggest_values`."""
        ...

    async def suggest(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """See `app.discord.requests.builtin_commands.BuiltinCommands.suggest`."""
        ...


class InteractionHandlers:
    """See `app.discord.gateway.interactions.commands.InteractionHandler`.

    `check_can_create` raises `WorkflowError` if a person may not use a workflow now; it is called in hikari's loop, so
    that a refusal is the first answer, which nobody else sees. So is `task_planner`, which has everything in memory.
    """

    def __init__(
        self,
        questions: Questions,
        suggestions: Suggestions,
        acknowledgements: Acknowledgements,
        into_core: CrossLoopCall,
        check_can_create: Callable[[str, Person], None],
        task_planner: TaskPlanner,
        rest_url: str = "",
    ) -> None:
        self._questions = questions
        self._check_can_create = check_can_create
        self._task_planner = task_planner
        self._suggestions = suggestions
        self._acknowledgements = acknowledgements
        self._into_core = into_core
        self._rest_url = rest_url
        self.forms = Forms()
        self.workflows: Mapping[str, Workflow] = {}

    async def ordered(self, interaction: hikari.CommandInteraction, command: Command, given: Given) -> None:
        """See `app.discord.gateway.interactions.commands.InteractionHandler`."""
        request, typed = _request(command, given), _typed(command, given)
        if command.task:
            try:
                request = self._task_planner.plan(
                    _task_request(command.task, request, given), caller_of(interaction, "", fresh=False)
                )
            except WorkflowError as error:
                await say(interaction, reason_text(error.reason), typed)
                return
        workflow = self.workflows.get(request.workflow)
        if workflow is None:
            await say(interaction, answers.not_offered(request.workflow), typed)
            return
        try:
            values = _checked(workflow, request, complete=False)
        except WorkflowError as error:
            await say(interaction, reason_text(error.reason), typed)
            return
        if any(slot.show != "command" for slot in missing_slots(workflow, values)):
            await self._ask(interaction, "order", workflow, request)
        else:
            await self._order(interaction, workflow, request, typed)

    async def asked(self, interaction: hikari.CommandInteraction, command: str, argument: str) -> None:
        """See `app.discord.gateway.interactions.commands.InteractionHandler`."""
        flags = PUBLIC if command == "show" else ALONE
        await self._acknowledgements.acknowledge(interaction, BuiltinCommand(command=command, argument=argument), flags)

    async def moderated(self, interaction: hikari.CommandInteraction, command: str, given: Given) -> None:
        """See `app.discord.gateway.interactions.commands.InteractionHandler`."""
        who, reason = given.get("who"), given.get("reason")
        is_role = interaction.resolved is not None and who in interaction.resolved.roles
        jobs, seconds, days = given.get("jobs"), given.get("seconds"), given.get("days")
        moderator_command = ModeratorCommand(
            command=command,
            jobs=jobs if isinstance(jobs, int) else None,
            seconds=seconds if isinstance(seconds, int) else None,
            banned="role" if is_role else "person",
            id=str(who or ""),
            reason=str(reason or ""),
            days=float(days) if isinstance(days, (int, float)) else None,
        )
        await self._acknowledgements.acknowledge(interaction, moderator_command, ALONE)

    async def chosen(self, interaction: hikari.CommandInteraction, workflow: str, message: hikari.Message) -> None:
        """See `app.discord.gateway.interactions.commands.InteractionHandler`."""
        taker = self.workflows.get(workflow)
        follow_up = find_follow_up(taker) if taker is not None else None
        if taker is None or follow_up is None:
            await say(interaction, answers.not_offered(workflow))
            return
        file = next(files_of(message, follow_up.slot.kind, self._rest_url), None)
        if file is None:
            await say(interaction, answers.no_file(NAMES[follow_up.slot.kind]))
            return
        request = CreateJob(workflow=taker.name, files=(replace(file, slot=follow_up.slot.name),))
        await self._ask(interaction, "menu", taker, request)

    async def _ask(
        self, interaction: hikari.CommandInteraction, verb: str, workflow: Workflow, request: CreateJob
    ) -> None:
        """Open the form for the rest of a request; if there is nothing to ask, create the job at once."""
        form = await self._form(interaction, Press(verb, JobId(str(interaction.id)), workflow.name))
        if isinstance(form, str):
            await say(interaction, form)
        elif form is None:
            await self._order(interaction, workflow, request)
        else:
            held = False
            with anyio.move_on_after(PATIENCE):
                caller = caller_of(interaction, "", fresh=False)
                held = await self._into_core(self._questions.hold, str(interaction.id), request, caller)
            if held:
                await self.forms.open(interaction, form)
            else:
                await say(interaction, answers.BUSY)

    async def _form(self, interaction: Answerable, press: Press) -> Form | str | None:
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._questions.form, press, caller_of(interaction, "", fresh=False))
        return answers.BUSY

    async def _refusal(self, interaction: Answerable, press: Press) -> str | None:
        """Why a button can do nothing; None if it can, or if the core does not answer in time and decides later."""
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._questions.refusal, press, caller_of(interaction, "", fresh=False))
        return None

    async def suggest(self, workflow: str, slot: str, typed: str) -> list[str]:
        """See `app.discord.gateway.interactions.commands.InteractionHandler`."""
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._suggestions.suggest_values, workflow, slot, typed)
        return []

    async def suggest_for_task(
        self, interaction: hikari.AutocompleteInteraction, task: Task, option: str, typed: str
    ) -> list[str]:
        """See `app.discord.gateway.interactions.commands.InteractionHandler`.

        Answers from memory, without asking the core.
        """
        person = caller_of(interaction, "", fresh=False)
        if option == PRESET:
            names = self._task_planner.presets_of(task, person)
            return [name for name in names if typed.casefold() in name.casefold()][:MOST_CHOICES]
        return self._task_planner.models.suggest(task, typed, person, MOST_CHOICES)

    async def suggest_own(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """See `app.discord.gateway.interactions.commands.InteractionHandler`."""
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._suggestions.suggest, command, user, typed)
        return []

    async def pressed(self, interaction: hikari.ComponentInteraction) -> None:
        """Handle a button, or a choice in a list. Raises `SendError`."""
        press = _press(interaction)
        if press is None:
            await say(interaction, answers.OUT_OF_DATE)
            return
        if press.verb in ASKS_FIRST:
            form = await self._form(interaction, press)
            if isinstance(form, str):
                await say(interaction, form)
                return
            if form is not None:
                await self.forms.open(interaction, form)
                return
        fields = {press.workflow: "".join(interaction.values)} if press.verb == PICK else None
        pressed = ButtonPressed(press=press, message=str(interaction.message.id), fields=fields)
        if press.verb in MAKES_NEW:
            if (refusal := await self._refusal(interaction, press)) is not None:
                await say(interaction, refusal)
                return
            await self._acknowledgements.acknowledge(interaction, pressed)
        elif press.verb in ANSWERS_ALONE or (press.verb in PAGES and not interaction.message.flags & ALONE):
            await self._acknowledgements.acknowledge(interaction, pressed, ALONE)
        else:
            await self._acknowledgements.acknowledge_update(interaction, interaction.message, pressed)

    async def sent(self, interaction: hikari.ModalInteraction) -> None:
        """Handle a submitted form. Raises `SendError`."""
        submission = self.forms.take(interaction)
        press = custom_id.read(interaction.custom_id)
        if press is None or submission.damaged:
            sentence = answers.OUT_OF_DATE if press is None else answers.FORM_UNREADABLE
            await say(interaction, sentence, submission.typed)
            return
        if press.verb in BEGINS:
            await self._pending_form_sent(interaction, press, submission)
            return
        if (workflow := self.workflows.get(press.workflow)) is not None:
            try:
                check_values(workflow, modals.answers(workflow, submission.fields)[0], complete=False)
                _check_files(workflow, submission.files)
            except WorkflowError as error:
                await say(interaction, reason_text(error.reason), submission.typed)
                return
        if (refusal := await self._refusal(interaction, press)) is not None:
            await say(interaction, refusal, submission.typed)
            return
        pressed = ButtonPressed(press=press, fields=submission.fields, files=submission.files, typed=submission.typed)
        if press.verb in CHANGES_ITS_MESSAGE and interaction.message is not None:
            await self._acknowledgements.acknowledge_update(interaction, interaction.message, pressed)
        else:
            await self._acknowledgements.acknowledge(interaction, pressed)

    async def _pending_form_sent(
        self, interaction: hikari.ModalInteraction, press: Press, submission: Submission
    ) -> None:
        workflow, request = self.workflows.get(press.workflow), None
        with anyio.move_on_after(PATIENCE):
            caller = caller_of(interaction, "", fresh=False)
            request = await self._into_core(self._questions.held, press.job, caller)
        if workflow is None or request is None:
            await say(interaction, answers.FORM_OUT_OF_DATE, submission.typed)
            return
        form = await self._form(interaction, press)
        if isinstance(form, str):
            await say(interaction, form, submission.typed)
            return
        try:
            values, _ = modals.answers(workflow, submission.fields, form, chosen=request.preset)
        except WorkflowError as error:
            await say(interaction, reason_text(error.reason), submission.typed)
            return
        request = replace(request, values={**values, **request.values}, files=(*request.files, *submission.files))
        await self._order(interaction, workflow, request, submission.typed)

    async def _order(
        self,
        interaction: hikari.CommandInteraction | hikari.ModalInteraction,
        workflow: Workflow,
        request: CreateJob,
        typed: str = "",
    ) -> None:
        try:
            self._check_can_create(workflow.name, caller_of(interaction, "", fresh=False))
            _checked(workflow, request)
        except WorkflowError as error:
            await say(interaction, reason_text(error.reason), typed)
            return
        await self._acknowledgements.acknowledge(interaction, request)


def _press(interaction: hikari.ComponentInteraction) -> Press | None:
    """What was pressed; what was chosen in a list is a number of a result, or a setting on a card of settings.

    None if it is not one of this bot's.
    """
    press, chosen = custom_id.read(interaction.custom_id), "".join(interaction.values)
    if press is None or not chosen or press.verb == PICK:
        return press
    return replace(press, result=int(chosen)) if chosen.isascii() and chosen.isdecimal() else None


def _request(command: Command, given: Given) -> CreateJob:
    """What a person gave as the options of a command."""
    values: dict[str, Json] = {}
    files: list[AttachedFile] = []
    own: dict[str, object] = {}
    for option in command.options:
        match given.get(option.name):
            case hikari.Attachment() as file:
                files.append(attached(option.slot, file))
            case (str() | int() | float()) as value if option.slot:
                values[option.slot] = value
            case value if not option.slot:
                own[option.name] = value
            case _:
                continue
    return CreateJob(
        workflow=command.workflow,
        values=values,
        files=tuple(files),
        preset=str(own.get(PRESET) or ""),
        spoiler=bool(own.get(SPOILER)),
    )


def _task_request(task: Task, request: CreateJob, given: Given) -> TaskRequest:
    """What a person gave as the options of a task's command, of which `request` has the slots."""

    def text(option: str) -> str:
        return str(given.get(option) or "")

    return TaskRequest(
        task=task,
        model=text(MODEL),
        format=text(FORMAT),
        preset=request.preset,
        values=request.values,
        files=request.files,
        spoiler=request.spoiler,
    )


def _typed(command: Command, given: Given) -> str:
    """The texts that a person wrote into a command, to give them back: Discord does not keep them."""
    texts = [given.get(option.name) for option in command.options if option.kind == "string" and not option.choices]
    return "\n".join(text for text in texts if isinstance(text, str) and " " in text)


def _checked(workflow: Workflow, request: CreateJob, *, complete: bool = True) -> Mapping[str, Json]:
    """Check a request and its files; return its values, with those of its preset. Raises `WorkflowError`.

    If not `complete`, required values may be missing, because they are asked for elsewhere.
    """
    values = {**preset(workflow, request.preset), **request.values}
    check_values(workflow, values, complete=complete)
    _check_files(workflow, request.files)
    return values


def _check_files(workflow: Workflow, files: Sequence[AttachedFile]) -> None:
    """Check what is said of files before they are fetched. Raises `WorkflowError`."""
    for file in files:
        check(file, kind_of(workflow, file))
