"""What all interactions share: the registry, the sender to Discord, the live messages."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Mapping
from functools import partial

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from msgspec.structs import replace

from app.actors.handle import Registry
from app.actors.interaction import InteractionActor
from app.core.job import Job, JobRequest
from app.core.journal_port import JobHistory
from app.discord import message_ref
from app.discord.follow_ups import list_follow_ups
from app.discord.message_ref import TOKEN_LIFE, MessageRef, Token, write
from app.discord.messages.channel_pacing import ChannelPacing
from app.discord.messages.ports import MessageSender, PrepareFiles, SendError
from app.discord.messages.reply import MessageReply
from app.discord.requests.catalog import Catalog
from app.discord.ui.components import Card
from app.discord.ui.job_view import view_of
from app.discord.ui.pages import refusal
from app.discord.user_request import Caller
from app.entry_points import run_request
from app.events import Finished, JobId, ServerName
from app.ports import Comfy
from app.service.choices_cache import ChoicesCache

logger = structlog.stdlib.get_logger(__name__)

REMEMBERED = 20
"""Recent runs whose average estimates the next: enough to even out, few enough to follow changes."""

FAREWELL = "The bot was stopped. Nothing is lost: once it is back, this goes on, and the result comes here."

NOT_TAKEN = "The bot was stopped before it took this: ask again in a moment."
"""The same for a job that may not be in the journal yet, because the journal could not be written."""

FAREWELL_TIME = 0.7
"""Seconds for all goodbye messages together, out of the 1.5 that frontends have to shut down."""


class DiscordSession:
    """Owns the live messages, and starts an InteractionActor for each request in the frontend's task group."""

    def __init__(
        self,
        *,
        tasks: TaskGroup,
        registry: Registry,
        job_history: JobHistory,
        servers: Mapping[ServerName, Comfy],
        catalog: Catalog,
        post: MessageSender,
        fit: PrepareFiles,
    ) -> None:
        self.registry = registry
        self.job_history = job_history
        self.servers = servers
        self.catalog = catalog
        self.lists = ChoicesCache(servers)
        self.post = post
        self.fit = fit
        self.pacing = ChannelPacing()
        self.now = time.time
        self.living: dict[JobId, MessageReply] = {}
        self._tasks = tasks
        self._runs: deque[float] = deque(maxlen=REMEMBERED)

    def estimate(self, position: int) -> float | None:
        """Seconds until the job at this position starts; None until a run was completed."""
        if not self._runs:
            return None
        return (position + 0.5) * sum(self._runs) / len(self._runs) / max(1, len(self.servers))

    async def place_changed(self, job: JobId, place: str) -> None:
        """Record in the journal where a job is shown."""
        await self.registry.place(job, place)

    def begin(self, request: JobRequest, caller: Caller, *, spoiler: bool) -> None:
        """Submit a request, and show its progress where the caller was answered."""
        place = MessageRef(
            channel=caller.channel,
            user=caller.user,
            message=caller.message,
            guild=caller.guild,
            limit=caller.limit,
            spoiler=spoiler,
        )
        token = Token(caller.token, anyio.current_time() + TOKEN_LIFE)
        reply = self._reply(request, place, token)
        actor = InteractionActor(request, self.registry, reply, place=write(place))
        self._tasks.start_soon(self._live, reply, actor, name=f"interaction {request.job}")

    async def begin_again(self, job: Job) -> None:
        """Run a job's request again as a new job, in the same message: for an operator."""
        if (place := message_ref.read(job.place)) is None:
            logger.warning("a job cannot be tried again here", job=job.id)
            return
        place = replace(place, more=())
        request = replace(job.request, job=JobId(str(uuid.uuid4())), servers=self.catalog.able(job.request))
        reply = self._reply(request, place, None)
        actor = InteractionActor(request, self.registry, reply, place=write(place))
        await self._tasks.start(self._live, reply, actor, name=f"interaction {request.job}")

    def resume(self, job: Job, place: MessageRef) -> None:
        """Continue a job from before a restart."""
        reply = self._reply(job.request, place, None)
        reply.view.accepted = True
        actor = InteractionActor(job.id, self.registry, reply)
        self._tasks.start_soon(self._live, reply, actor, name=f"interaction {job.id}")

    def _reply(self, request: JobRequest, place: MessageRef, token: Token | None) -> MessageReply:
        workflow = self.catalog.workflows.get(request.workflow)
        view = view_of(
            request, workflow, tuple(list_follow_ups(workflow, self.catalog.workflows)), spoiler=place.spoiler
        )
        return MessageReply(view, place, self, token)

    async def _live(
        self, reply: MessageReply, actor: InteractionActor, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        job, channel = reply.view.job, reply.place.channel
        self.living[job] = reply
        self.pacing.join(channel)
        try:
            await actor.run(task_status=task_status)
        finally:
            self.pacing.leave(channel)
            self.living.pop(job, None)
            if reply.view.progress is not None and isinstance(reply.view.terminal_update, Finished):
                self._runs.append(reply.view.progress.elapsed)

    async def say_goodbye(self) -> None:
        """Say in every live message what happens to its job now that the bot stops."""
        with anyio.move_on_after(FAREWELL_TIME):
            async with anyio.create_task_group() as farewells:
                for reply in self.living.values():
                    if reply.view.terminal_update is None:
                        reply.view.farewell = FAREWELL if reply.view.accepted else NOT_TAKEN
                        part = partial(run_request, reply.refresh, "a farewell failed", job=reply.view.job)
                        farewells.start_soon(part, name=f"farewell {reply.view.job}")

    async def tell(self, caller: Caller, card: Card) -> None:
        """Answer the caller; an answer that cannot be sent is only logged."""
        say = (
            partial(self.post.edit_original, caller.token)
            if caller.fresh
            else partial(self.post.ephemeral_followup, caller.token)
        )
        try:
            await say(card)
        except SendError as error:
            logger.info("an answer found nobody", reason=str(error))

    async def refuse(self, caller: Caller, sentence: str, typed: str = "") -> None:
        """Say why nothing happens, visible only to the caller; delete the message that was created for the answer.

        Gives back what was `typed`.
        """
        card = refusal(sentence, typed)
        if caller.alone:
            await self.tell(caller, card)
            return
        says = [partial(self.post.ephemeral_followup, caller.token, card)]
        if caller.fresh:
            says.insert(0, partial(self.post.delete_original, caller.token))
        for say in says:
            try:
                await say()
            except SendError as error:
                logger.info("a refusal found nobody", reason=str(error))

    async def show_again(self, job: Job, caller: Caller, place: MessageRef | None) -> None:
        """Show a result again, where the caller was answered."""
        shown = MessageRef(channel=caller.channel, user=caller.user, message=caller.message, limit=caller.limit)
        shown = replace(shown, spoiler=place is not None and place.spoiler, guild=caller.guild)
        reply = self._reply(job.request, shown, Token(caller.token, anyio.current_time() + TOKEN_LIFE))
        try:
            if job.terminal_update is not None:
                await reply.show(job.terminal_update)
        except SendError as error:
            logger.info("a result could not be shown again", job=job.id, reason=str(error))

    async def remove(self, caller: Caller, place: MessageRef | None) -> None:
        """Delete a job's messages: the one that was clicked, and all that continue it."""
        try:
            await self.post.delete_original(caller.token)
            # A message that /show created stands alone: it has no continuations.
            for message in place.more if place and place.message == caller.message else ():
                await self.post.delete(caller.channel, message)
        except SendError as error:
            logger.info("a message could not be deleted", reason=str(error))
