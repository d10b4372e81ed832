"""The live messages of all jobs: begins, resumes and ends them."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct
from msgspec.structs import replace

from app.actors.handle import Registry
from app.actors.interaction import InteractionActor
from app.core.jobs.job import Job, JobRequest
from app.discord import message_ref
from app.discord.message_ref import TOKEN_LIFE, MessageRef, Token, write
from app.discord.messages.channel_pacing import ChannelPacing
from app.discord.messages.hints import Hints
from app.discord.messages.late_edits import LateEdits
from app.discord.messages.open_requests import OpenRequests
from app.discord.messages.ports import MessageSender, PrepareFiles
from app.discord.messages.refusals import refuse
from app.discord.messages.reply import MessageReply
from app.discord.messages.thumbnails import ListThumbnails
from app.discord.text import shorten
from app.discord.ui.components import LONGEST_ALT_TEXT, Card, Upload
from app.discord.ui.job_view import JobView, view_of
from app.discord.user_request import Caller
from app.entry_points import run_loop, run_request
from app.events import Failed, Finished, JobId
from app.ports import ConnectionLost, OtherDisks
from app.reasons.limits import LimitReason
from app.service.jobs.follow_ups import is_kept, list_follow_ups
from app.service.jobs.job_factory import repeat
from app.service.offers.catalog import Catalog
from app.service.people.notifications import Notifications
from app.service.reasons import AcceptanceUnknown, JobForgotten, JobUnfinished, NoPlaceForResult, ResultNotKept
from app.service.requests import Person
from app.texts.discord.answers import FAREWELL, NOT_TAKEN
from app.workflows.model import WorkflowError
from app.workflows.variations.derive import Change

logger = structlog.stdlib.get_logger(__name__)

PAST_TIMES = 5.0
"""Seconds between two rounds that look for expected times that have passed, and for edits that were left out."""

MOST_REJECTED = 256
"""Requests over a limit that are kept; people with older ones have to start again."""

ACCEPTANCE = 10.0
"""Seconds that somebody on the page waits for the journal: it takes milliseconds, unless the disk is full."""

BROUGHT_WITHIN = 60.0
"""Seconds within which a result is copied that only another disk has, before it is shown again."""

FAREWELL_TIME = 0.7
"""Seconds for all goodbye messages together, out of the 1.5 that frontends have to shut down."""


class Rejected(Struct, frozen=True):
    """A request that was over a limit, so that its person need not type it again."""

    request: JobRequest
    spoiler: bool


class LiveMessages:
    """Owns the live messages, and starts an InteractionActor for each in `tasks`, the frontend's task group.

    It is the `MessageContext` of its messages. In `label_guilds` results say that a machine made them. With
    `mark_previews` previews carry the mark of `app.media_worker.mark`. `possible_changes` returns what can be done to
    the pictures of a request. With `hints`, people read once what to do with their first picture; with
    `list_thumbnails`, lists of jobs have thumbnails. `hide` hides a job in the gallery from all but its owner.
    `others` are the disks that may have files which this one lacks. `open_requests` keeps who waits for an answer, for
    another process. `late_edits` is None if no other front can have been active.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        registry: Registry,
        catalog: Catalog,
        sender: MessageSender,
        prepare_files: PrepareFiles,
        *,
        open_requests: OpenRequests | None = None,
        mark_previews: bool = False,
        label_guilds: Collection[str] = (),
        notifications: Notifications,
        hints: Hints | None = None,
        list_thumbnails: ListThumbnails | None = None,
        possible_changes: Callable[[JobRequest], Awaitable[frozenset[Change]]] | None = None,
        hide: Callable[[JobId], Awaitable[None]] | None = None,
        others: OtherDisks | None = None,
        late_edits: LateEdits | None = None,
    ) -> None:
        self._others = others
        self._late_edits = late_edits
        self._hints = hints
        self.notifications = notifications
        self.sender = sender
        self.prepare_files = prepare_files
        self._open_requests = open_requests or OpenRequests()
        self.pacing = ChannelPacing()
        self.now = time.time
        self.living: dict[JobId, MessageReply] = {}
        self._tasks = tasks
        self._registry = registry
        self._catalog = catalog
        self._mark_previews = mark_previews
        self._label_guilds = label_guilds
        self._possible_changes = possible_changes
        self._list_thumbnails = list_thumbnails
        self._hide = hide
        self._rejected: dict[JobId, Rejected] = {}
        """The latest requests that were over a limit, oldest first."""

    async def refuse(self, token: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageContext`."""
        await refuse(self.sender, self._open_requests, token, card, fresh=True)

    async def left_channel(self, job: JobId) -> None:
        """See `app.discord.messages.ports.MessageContext`."""
        if (hide := self._hide) is not None:
            await run_request(partial(hide, job), "a result could not be hidden in the gallery", job=job)

    async def place_changed(self, job: JobId, place: str) -> None:
        """See `app.discord.messages.ports.MessageContext`."""
        await self._registry.place(job, place)

    def begin(self, request: JobRequest, caller: Caller, *, spoiler: bool) -> None:
        """Submit a request, and show its progress where the caller was answered."""
        place = replace(_place(caller, spoiler=spoiler), asked=self.now())
        reply = self._reply(request, place, _token(caller))
        actor = InteractionActor(request, self._registry, reply, place=write(place), notify=reply.notify)

        answered = self._open_requests.begin(caller, job=request.job)

        def decided(limit: LimitReason | None) -> None:
            # Before its person reads of it, who may press the button at once.
            self._keep_rejected(Rejected(request, spoiler), limit)

        waits = caller.fresh

        def is_answered() -> None:
            nonlocal waits
            waits = False
            answered()

        async def live() -> None:
            await self._live(reply, actor)
            # Not if it is cancelled: then another process answers.
            if waits:
                await self._open_requests.doubt(caller.token, reply.view.prompt)
            answered()

        reply.decided, reply.answered = decided, is_answered
        self._tasks.start_soon(live, name=f"interaction {request.job}")

    async def begin_from_page(self, request: JobRequest, place: MessageRef) -> None:
        """Submit a request that was made on the page, and show its progress in a new message at this place.

        Returns once it is accepted. Raises `WorkflowError` if a limit is in the way, or if it is not known in time
        whether it is accepted.
        """
        place = replace(place, asked=self.now())
        reply = self._reply(request, place, None)
        actor = InteractionActor(request, self._registry, reply, place=write(place), notify=reply.notify)
        over = anyio.Event()
        decisions: list[LimitReason | None] = []

        def decided(limit: LimitReason | None) -> None:
            decisions.append(limit)
            over.set()

        async def live() -> None:
            try:
                await self._live(reply, actor)
            finally:
                over.set()

        reply.decided = decided
        self._tasks.start_soon(live, name=f"interaction {request.job}")
        with anyio.move_on_after(ACCEPTANCE):
            await over.wait()
        if not decisions:
            raise WorkflowError(AcceptanceUnknown())
        if (limit := decisions[0]) is not None:
            raise WorkflowError(limit)

    def _keep_rejected(self, rejected: Rejected, limit: LimitReason | None) -> None:
        if limit is None:
            return
        self._rejected[rejected.request.job] = rejected
        while len(self._rejected) > MOST_REJECTED:
            del self._rejected[next(iter(self._rejected))]

    def rejected(self, job: JobId, person: Person) -> Rejected:
        """A request of this person that was over a limit. Raises `WorkflowError` if it is not known any more."""
        rejected = self._rejected.get(job)
        if rejected is None or rejected.request.owner != person.user:
            raise WorkflowError(JobForgotten())
        return rejected

    def forget_rejected(self, job: JobId) -> None:
        """Forget a request that was over a limit, because it is made again."""
        self._rejected.pop(job, None)

    async def begin_again(self, job: Job) -> None:
        """Run a job's request again as a new job, in the same message: for an operator. Raises `JournalError`."""
        if (place := message_ref.read(job.place)) is None:
            logger.warning("a job cannot be tried again here", job=job.id)
            return
        place = replace(place, more=(), asked=self.now(), notifying=0.0, notice=None)
        if self._late_edits is not None:
            await self._late_edits.leave(job.id)
        request = _made_at(place, repeat(job.request, self._catalog))
        reply = self._reply(request, place, None)
        actor = InteractionActor(request, self._registry, reply, place=write(place), notify=reply.notify)
        await self._tasks.start(self._live, reply, actor, name=f"interaction {request.job}")

    async def resume_all(self, jobs: Sequence[Job]) -> None:
        """Continue these unfinished jobs from before a restart, and look again at results that may not be shown."""
        ended: Sequence[Job] = ()
        if (late_edits := self._late_edits) is not None:

            async def expect() -> None:
                nonlocal ended
                ended = await late_edits.expect(jobs)

            await run_request(expect, "it is not known which results must be looked at again")
        for job in jobs:
            await run_request(partial(self._resume, job), "a job could not be followed", job=job.id)
        for job in ended:
            if (place := message_ref.read(job.place)) is not None and job.terminal_update is not None:
                reply = self._reply(job.request, place, None)
                await run_request(partial(reply.recall, job.terminal_update), "a result is not known", job=job.id)
                self._tasks.start_soon(self._look_again, reply, name=f"result of {job.id}")

    async def _resume(self, job: Job) -> None:
        """Continue a job, unless its message is complete, already live, or another frontend's."""
        # An operator may have created the job before Discord answered: its message is already live.
        if job.notified or job.id in self.living or (place := message_ref.read(job.place)) is None:
            return
        reply = self._reply(job.request, place, None)
        reply.view.accepted = True
        actor = InteractionActor(job.id, self._registry, reply, notify=reply.notify)

        async def live() -> None:
            await self._live(reply, actor)
            await self._look_again(reply)

        self._tasks.start_soon(live, name=f"interaction {job.id}")

    async def _look_again(self, reply: MessageReply) -> None:
        if self._late_edits is not None:
            look = partial(self._late_edits.look, reply)
            await run_request(look, "a result could not be looked at again", job=reply.view.job)

    async def show_again(self, job: Job, caller: Caller) -> None:
        """Show a result again, where the caller was answered. Raises `WorkflowError` if that is impossible."""
        update = job.terminal_update
        if update is None:
            raise WorkflowError(JobUnfinished())
        files = update.files if isinstance(update, (Finished, Failed)) else ()
        if self._others is not None:
            await self._others.bring(files, BROUGHT_WITHIN)
        if files and not any(map(is_kept, files)):
            raise WorkflowError(ResultNotKept())
        shown = message_ref.read(job.place)
        place = _place(caller, spoiler=shown is not None and shown.spoiler)
        reply = self._reply(job.request, place, _token(caller))
        try:
            await reply.show(update)
        except ConnectionLost as error:
            logger.info("a result could not be shown again", job=job.id, reason=str(error))
            raise WorkflowError(NoPlaceForResult()) from None

    async def thumbnails(self, jobs: Sequence[Job]) -> dict[JobId, Upload]:
        """The thumbnails of the results of jobs, as far as there are any; hidden where the results are."""
        results = [(job.id, job.terminal_update.files) for job in jobs if isinstance(job.terminal_update, Finished)]
        made = await self._list_thumbnails.of(results) if self._list_thumbnails is not None else {}
        views = {job.id: self.view(job) for job in jobs if job.id in made}
        return {
            job: replace(upload, alt=shorten(views[job].headline, LONGEST_ALT_TEXT), spoiler=views[job].spoiler)
            for job, upload in made.items()
        }

    def view(self, job: Job) -> JobView:
        """What the message of an ended job knows about it."""
        place = message_ref.read(job.place)
        workflow = self._catalog.workflows.get(job.request.workflow)
        follow_ups = tuple(list_follow_ups(workflow, self._catalog.workflows))
        view = view_of(job.request, workflow, follow_ups, spoiler=place is not None and place.spoiler)
        view.terminal_update = job.terminal_update
        return view

    async def drop_past_times(self) -> None:
        """Run forever, and remove expected times that have passed: Discord would show them as “a minute ago”.

        Edits that were left out are made up for, because a waiting job may have no news for long.
        """

        async with anyio.create_task_group() as edits:

            async def step() -> float:
                for reply in self.living.values():
                    view = reply.view
                    passed = (view.expected or math.inf) < self.now()
                    if view.terminal_update is None and (passed or reply.behind) and reply.is_free:
                        edit = partial(run_request, reply.refresh, "a message could not be edited")
                        # Not waited for: an edit that hangs delays no other message.
                        edits.start_soon(edit, name=f"expected time of {view.job}")
                return PAST_TIMES

            await run_loop(step, "messages could not be brought up to date")

    async def say_goodbye(self) -> None:
        """Say in every live message what happens to its job now that the bot stops."""
        with anyio.move_on_after(FAREWELL_TIME):
            async with anyio.create_task_group() as farewells:
                for reply in self.living.values():
                    if reply.view.terminal_update is None:
                        reply.view.farewell = FAREWELL if reply.view.accepted else NOT_TAKEN
                        part = partial(run_request, reply.refresh, "a farewell failed", job=reply.view.job)
                        farewells.start_soon(part, name=f"farewell {reply.view.job}")

    def _reply(self, request: JobRequest, place: MessageRef, token: Token | None) -> MessageReply:
        workflow = self._catalog.readable.get(request.workflow)
        follow_ups = tuple(list_follow_ups(workflow, self._catalog.workflows))
        view = view_of(request, workflow, follow_ups, spoiler=place.spoiler)
        view.mark_previews = self._mark_previews
        view.labelled = place.guild in self._label_guilds
        view.outside, view.from_page = place.outside, place.from_page
        reply = MessageReply(view, place, self, token)
        if self._hints is not None:
            reply.is_first = partial(self._hints.claim, view)
        if self._possible_changes is not None:
            reply.possible_changes = partial(self._possible_changes, request)
        return reply

    async def _live(
        self, reply: MessageReply, actor: InteractionActor, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        job, channel = reply.view.job, reply.place.channel
        self.living[job] = reply
        self.pacing.join(channel)
        try:
            await actor.run(task_status=task_status)
            if self._hints is not None:
                await self._hints.say(reply)
        finally:
            self.pacing.leave(channel)
            # A request that was over a limit may have been made again already.
            if self.living.get(job) is reply:
                del self.living[job]


def _made_at(place: MessageRef, request: JobRequest) -> JobRequest:
    """The request as made where its message is: others must not see the result where that no longer is.

    The message may have moved to its person, and earlier versions did not record in which thread it is.
    """
    if request.shown_in == place.channel:
        return request
    if place.guild:
        return replace(request, guild=place.guild, thread=place.channel)
    return replace(request, guild="", channel=place.channel, thread="")


def _place(caller: Caller, *, spoiler: bool) -> MessageRef:
    return MessageRef(
        channel=caller.channel,
        user=caller.user,
        message=caller.message,
        guild=caller.guild or caller.outside_guild,
        outside=caller.outside,
        limit=caller.limit,
        spoiler=spoiler,
    )


def _token(caller: Caller) -> Token:
    return Token(caller.token, anyio.current_time() + TOKEN_LIFE)
