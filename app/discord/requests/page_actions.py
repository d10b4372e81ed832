"""Does what people ask for on the page, as if they had pressed the button below the job's message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Sized
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

from app.boundary import report_failure
from app.core.jobs.job import Job
from app.discord import message_ref
from app.discord.custom_id import Press
from app.discord.message_ref import MessageRef
from app.discord.messages.live_messages import LiveMessages
from app.discord.requests.job_actions import JobActions
from app.discord.requests.job_starter import JobStarter
from app.discord.requests.responder import Responder
from app.discord.ui import modals
from app.discord.ui.forms import OFF, Form, SwitchField
from app.discord.ui.page_fields import EVERY_FIELD, needs_file, page_fields
from app.discord.user_request import ButtonPressed
from app.events import Failed, Finished, JobId, Lost
from app.reasons.jobs import ResultsMissing
from app.service.jobs.follow_ups import results
from app.service.jobs.variations import Variations, picture_of, pictures_of
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.page_actions import PageAction
from app.service.people.standing import Standing, Standings
from app.service.people.visibility import Place
from app.service.reasons import (
    AcceptanceUnknown,
    BotCannotPost,
    CannotWriteThere,
    JobRemoved,
    MessageNotDeleted,
    PlaceNotKnown,
    UnknownButton,
)
from app.service.requests import Person
from app.service.values import check_values
from app.texts.discord import job_message as texts
from app.texts.discord.pages import DELETE, SAVE_SETTINGS
from app.texts.page import of_picture
from app.workflows.model import WorkflowError
from app.workflows.variations.derive import CHANGES

T = TypeVar("T")

ASKS_FIRST = frozenset({"vary", "edit", "use"})
"""Verbs of actions with fields."""


class _Asker(Struct, frozen=True):
    """Who asks on the page, and what they may do where the job is shown; `standing` is None while that is unknown."""

    person: Person
    place: MessageRef | None
    standing: Standing | None

    @property
    def may_ask(self) -> bool:
        """Whether there is a place at which a new job can be shown."""
        try:
            self.check_place()
        except WorkflowError:
            return False
        return True

    def check_place(self) -> MessageRef:
        """The place at which a new job can be shown. Raises `WorkflowError` if there is none for this person."""
        if self.standing is None:
            raise WorkflowError(PlaceNotKnown())
        if not self.standing.writes:
            raise WorkflowError(CannotWriteThere())
        if self.place is None or not self.standing.bot_posts:
            raise WorkflowError(BotCannotPost())
        return self.place


class DiscordPageActions:
    """See `app.service.page_actions.PageActions`. `standings` says what people may do where jobs are shown.

    A job is shown where the one is that it was made from, in a new message of the bot. Whatever is done runs to its end
    in `tasks`, although who waits for it may leave: a request that waits in hikari must not be cancelled.
    """

    def __init__(
        self,
        *,
        tasks: TaskGroup,
        actions: JobActions,
        starter: JobStarter,
        standings: Standings,
        catalog: Catalog,
        choices: Choices,
        variations: Variations,
        live_messages: LiveMessages,
        responder: Responder,
    ) -> None:
        self._tasks = tasks
        self._actions = actions
        self._starter = starter
        self._standings = standings
        self._catalog = catalog
        self._choices = choices
        self._variations = variations
        self._live_messages = live_messages
        self._responder = responder

    async def offered(self, person: str, job: Job) -> Sequence[PageAction]:
        """See `app.service.page_actions.PageActions`."""
        try:
            job = await self._actions.find(job.id)
            asker = await self._asker(person, job)
        except WorkflowError:
            return ()
        return [*(await self._making(job, asker) if asker.may_ask else ()), *await self._changing(job, asker)]

    async def press(
        self,
        person: str,
        job: Job,
        verb: str,
        *,
        number: int = 0,
        result: int = 0,
        workflow: str = "",
        fields: Mapping[str, str],
    ) -> JobId | None:
        """See `app.service.page_actions.PageActions`."""
        press = Press(verb, job.id, workflow, number or 1, result)
        return await self._to_its_end(partial(self._press, person, press, fields))

    async def cancel(self, person: str, job: JobId) -> None:
        """See `app.service.page_actions.PageActions`."""
        await self._to_its_end(partial(self._press, person, Press("cancel", job), {}))

    async def delete(self, person: str, job: JobId) -> None:
        """See `app.service.page_actions.PageActions`."""
        await self._to_its_end(partial(self._press, person, Press("delete", job), {}))

    async def _to_its_end(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something to its end, although who waits for it may be cancelled. Raises what it raises."""
        over, outcomes, failures = anyio.Event(), list[T](), list[Exception]()
        waiting = True

        async def run() -> None:
            try:
                outcomes.append(await work())
            except Exception as error:  # noqa: BLE001  the boundary of one press; who waits gets it
                failures.append(error)
                if not waiting and not isinstance(error, WorkflowError):
                    report_failure(error, "an action of the page failed")
            finally:
                over.set()

        self._tasks.start_soon(run, name="action of the page")
        try:
            await over.wait()
        finally:
            waiting = False
        if failures:
            raise failures[0]
        if not outcomes:
            raise WorkflowError(AcceptanceUnknown())
        return outcomes[0]

    async def _press(self, person: str, press: Press, fields: Mapping[str, str]) -> JobId | None:
        verb, job = press.verb, await self._actions.find(press.job)
        asker = await self._asker(person, job)
        if verb in {"cancel", "delete"}:
            self._actions.check_guard(verb, job, asker.person)
            await (self._actions.cancel(job) if verb == "cancel" else self._delete(job, asker))
            return None
        await self._actions.check(press, job, asker.person)
        if verb == "keep":
            await self._actions.keep_settings(job, asker.person)
            return None
        form: Form | None = None
        pressed = ButtonPressed(press=press)
        if verb in ASKS_FIRST:
            form = await self._actions.forms.form(press, asker.person, most=EVERY_FIELD)
        if form is not None:
            pressed = self._filled_in(press, job, asker.person, form, fields)
        if verb == "edit":
            reason = await self._actions.edit(pressed, job, asker.person, most=EVERY_FIELD)
            if reason is not None:
                raise WorkflowError(reason)
            return None
        place = asker.check_place()
        request = await self._actions.request(pressed, job, asker.person, asked=form)
        if request is None:
            raise WorkflowError(UnknownButton())
        await self._starter.begin_from_page(place, request, asker.person)
        return request.job

    async def _delete(self, job: Job, asker: _Asker) -> None:
        await self._actions.delete_files(job)
        if asker.place is not None and not await self._responder.remove_as_bot(asker.place):
            raise WorkflowError(MessageNotDeleted())

    async def _asker(self, person: str, job: Job) -> _Asker:
        """Who asks, as far as Discord says now; their own jobs are theirs wherever they may not look any more.

        Raises `WorkflowError` if the job may not be seen.
        """
        place, standing = message_ref.read(job.place), None
        own = person == job.request.owner
        if place is None or place.outside:
            standing = Standing(sees=own, writes=own)
        else:
            standing = await self._standings.standing(person, Place(place.guild, place.channel, place.user))
        if job.request.lead or not (own or (standing is not None and standing.sees)):
            raise WorkflowError(JobRemoved() if standing is not None else PlaceNotKnown())
        known, where = standing or Standing(), place or MessageRef(channel="", user=person)
        asker = Person(
            user=person,
            guild="" if where.outside else where.guild,
            channel=where.channel,
            parent=known.parent,
            roles=known.roles,
            moderator=known.moderator,
        )
        return _Asker(asker, place, standing)

    def _filled_in(
        self, press: Press, job: Job, person: Person, form: Form, fields: Mapping[str, str]
    ) -> ButtonPressed:
        """The button with what was filled into its form, as far as the form asks for it. Raises `WorkflowError`."""
        filled = {
            field.name: fields.get(field.name, OFF)
            for field in form.fields
            if field.name in fields or isinstance(field, SwitchField)
        }
        workflow = self._catalog.usable(press.workflow if press.verb == "use" else job.request.workflow, person)
        check_values(workflow, modals.answers(workflow, filled)[0], complete=False)
        return ButtonPressed(press=press, fields=filled)

    async def _changing(self, job: Job, asker: _Asker) -> list[PageAction]:
        """What can be done with the job itself."""
        actions: list[PageAction] = []
        if job.terminal_update is None:
            if job.waits and (action := await self._asking("edit", texts.EDIT, job, asker)) is not None:
                actions.append(action)
            last = PageAction(verb="cancel", label=texts.CANCEL, style="danger")
        else:
            if isinstance(job.terminal_update, Finished) and await self._can(Press("keep", job.id), job, asker):
                actions.append(PageAction(verb="keep", label=SAVE_SETTINGS))
            last = PageAction(verb="delete", label=DELETE, style="danger")
        if await self._can(Press(last.verb, job.id), job, asker):
            actions.append(last)
        return actions

    async def _making(self, job: Job, asker: _Asker) -> list[PageAction]:
        """The new jobs that can be made from a job that has ended."""
        update = job.terminal_update
        if update is None:
            return []
        missing = isinstance(update, Finished) and any(isinstance(note, ResultsMissing) for note in update.notes)
        at_once: list[PageAction] = []
        if isinstance(update, Failed | Lost):
            at_once.append(PageAction(verb="retry", label=texts.RETRY, style="primary"))
        if missing:
            at_once.append(PageAction(verb="fetch", label=texts.FETCH_AGAIN, style="primary"))
        if isinstance(update, Finished):
            at_once.append(PageAction(verb="again", label=texts.AGAIN, style="quiet" if missing else "primary"))
        actions = [action for action in at_once if await self._can(Press(action.verb, job.id), job, asker)]
        if (action := await self._asking("vary", texts.EDIT_PROMPT, job, asker)) is not None:
            actions.append(action)
        if isinstance(update, Finished):
            actions += await self._of_pictures(job, update, asker)
            actions += await self._follow_ups(job, update, asker)
        return actions

    async def _of_pictures(self, job: Job, update: Finished, asker: _Asker) -> list[PageAction]:
        """What can be done to each picture."""
        numbers = [number for number in range(1, len(pictures_of(update)) + 1) if _is_there(job, number)]
        possible = await self._variations.possible(job.request) if numbers else frozenset[str]()
        offered = [
            change
            for change in CHANGES
            if change in possible and await self._can(Press(change, job.id, result=numbers[0]), job, asker)
        ]
        return [
            PageAction(verb=change, label=_numbered(texts.CHANGES[change], number, numbers), result=number)
            for change in offered
            for number in numbers
        ]

    async def _follow_ups(self, job: Job, update: Finished, asker: _Asker) -> list[PageAction]:
        """The workflows that take the results."""
        actions: list[PageAction] = []
        for follow_up in self._live_messages.view(job).follow_up:
            usable = results(update, follow_up)
            numbers = range(1, len(usable) + 1) if follow_up.each else range(1 if usable else 0)
            for number in numbers:
                press = Press("go" if follow_up.each else "use", job.id, follow_up.workflow, follow_up.number, number)
                label = _numbered(follow_up.label.rstrip("…"), number, numbers)
                if (action := await self._opened(press, label, job, asker)) is not None:
                    actions.append(action)
        return actions

    async def _asking(self, verb: str, label: str, job: Job, asker: _Asker) -> PageAction | None:
        """An action with the values of a job to fill in; None if there is nothing to ask, or it cannot be done now."""
        action = await self._opened(Press(verb, job.id), label, job, asker)
        return action if action is not None and action.fields else None

    async def _opened(self, press: Press, label: str, job: Job, asker: _Asker) -> PageAction | None:
        """An action with the fields that it asks for; None if it cannot be done now, or not on the page."""
        try:
            await self._actions.check(press, job, asker.person)
            form = await self._actions.forms.form(press, asker.person, most=EVERY_FIELD)
            workflow = self._catalog.usable(press.workflow or job.request.workflow, asker.person)
        except WorkflowError:
            return None
        if form is not None and needs_file(form):
            return None
        fields = page_fields(form, workflow, self._choices.known(workflow)) if form is not None else ()
        # Whatever asks for something is done by its form, as in Discord.
        verb = "use" if press.verb == "go" and fields else press.verb
        return PageAction(
            verb=verb, label=label, number=press.number, result=press.result, workflow=press.workflow, fields=fields
        )

    async def _can(self, press: Press, job: Job, asker: _Asker) -> bool:
        try:
            await self._actions.check(press, job, asker.person)
        except WorkflowError:
            return False
        return True


def _is_there(job: Job, number: int) -> bool:
    """Whether a picture of a job is still kept."""
    try:
        picture_of(job, number)
    except WorkflowError:
        return False
    return True


def _numbered(label: str, number: int, numbers: Sized) -> str:
    """The label of an action on one of several results."""
    return of_picture(label, number) if len(numbers) > 1 else label
