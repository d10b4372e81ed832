"""The Discord frontend of the application: connects to Discord and passes people's requests to the core."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream

from app.actors.handle import Registry
from app.actors.operator import OperatorActor
from app.config import Config
from app.core.job import Job
from app.core.journal_port import JobHistory
from app.discord import message_ref
from app.discord.bridge import CrossLoopCall, loop_bridge
from app.discord.custom_id import Press
from app.discord.files.download import InputMedia, open_client
from app.discord.files.retention import tidy
from app.discord.files.upload import UploadPreparer, clear
from app.discord.gateway.bot import Bot, check_token
from app.discord.gateway.handlers import InteractionHandlers
from app.discord.gateway.outage import DoorError
from app.discord.gateway.rest import Crossed
from app.discord.requests.builtin_commands import BuiltinCommands
from app.discord.requests.catalog import LOOK, Catalog
from app.discord.requests.dispatcher import RequestDispatcher
from app.discord.requests.dispatcher import typed as typed_in
from app.discord.requests.job_factory import JobFactory
from app.discord.requests.server_monitor import ServerMonitor
from app.discord.requests.session import DiscordSession
from app.discord.ui.components import Form
from app.discord.user_request import BuiltinCommand, Caller, UserRequest
from app.entry_points import run_loop, run_request
from app.events import ServerName
from app.media_worker.client import MediaClient
from app.ports import Comfy

logger = structlog.stdlib.get_logger(__name__)

INBOX = 64
"""Requests that may wait in the inbox before hikari's handlers have to wait.

Handlers have already acknowledged the interaction by then, so nobody notices the wait.
"""

HEALTH = 10.0
"""Seconds between two polls of the ComfyUI servers for the presence."""

HEALTH_AWAY = 2.0
"""The same while no server answers: shorter, because people are waiting."""

PASSING = "passing"
"""The folder for temporary files while an upload is prepared; emptied at each start."""

FIRST_CALL = 1.0
"""Seconds for the first poll of the servers, before the commands are made; slower servers are polled again later."""


class DiscordApp:
    """Runs the Discord frontend, from connecting to the last goodbye message."""

    def __init__(self, config: Config, job_history: JobHistory) -> None:
        self._config = config
        self._job_history = job_history
        self._catalog: Catalog
        self._dispatcher: RequestDispatcher
        self._information: BuiltinCommands
        self._session: DiscordSession

    async def run(
        self,
        registry: Registry,
        servers: Mapping[ServerName, Comfy],
        draining: anyio.Event,
        shutdown: anyio.Event,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> int:
        """Run until `shutdown` is set or Discord cannot be used; return the exit code.

        Once `draining` is set, no new jobs are accepted.
        Reports itself started once Discord knows the commands and unfinished jobs are followed again.
        """
        wrong: list[DoorError] = []
        try:
            check_token(self._config.discord_token)
            await self._live(registry, servers, draining, shutdown, task_status)
        except* DoorError as errors:
            wrong += _flat(errors)
        for error in wrong[:1]:
            print(f"atelier: {error}", file=sys.stderr)
        return 1 if wrong else 0

    async def _live(
        self,
        registry: Registry,
        servers: Mapping[ServerName, Comfy],
        draining: anyio.Event,
        shutdown: anyio.Event,
        task_status: TaskStatus[None],
    ) -> None:
        self._catalog = Catalog(self._config.workflows, list(servers))
        server_monitor = ServerMonitor(servers, self._catalog)
        with anyio.move_on_after(FIRST_CALL):
            await server_monitor.poll()
        await run_request(self._catalog.look, "the workflows could not be read")
        outbox, inbox = anyio.create_memory_object_stream[UserRequest](INBOX)
        async with (
            outbox,
            inbox,
            open_client() as client,
            loop_bridge() as (into_asyncio, into_core),
            anyio.create_task_group() as tasks,
        ):
            bot = Bot(self._config.discord_token, self._config.discord, InteractionHandlers(self, outbox, into_core))
            opened = anyio.Event()
            media, passing = MediaClient(), self._config.data / PASSING
            await to_thread.run_sync(clear, passing)
            await tasks.start(media.run, name="media")

            async def follow_jobs() -> None:
                for job in await self._job_history.unfinished():
                    await run_request(partial(self._follow, session, job), "a job could not be followed", job=job.id)

            async def say_opened() -> None:
                opened.set()

            session = self._session = DiscordSession(
                tasks=tasks,
                registry=registry,
                job_history=self._job_history,
                servers=servers,
                catalog=self._catalog,
                post=Crossed(lambda: bot.post, into_asyncio),
                fit=UploadPreparer(media, passing, keep_metadata=self._config.discord.keep_metadata),
            )
            guarded = frozenset(self._config.discord.guarded)
            input_media = InputMedia(client, media, passing, self._config.discord.rest_url)
            self._dispatcher = RequestDispatcher(
                session, JobFactory(session, input_media, self._config.data, draining), guarded
            )
            self._information = BuiltinCommands(session, lambda: bot.latency, lambda: (bot.commands, bot.menus))
            tasks.start_soon(self._serve, inbox, name="desk")
            run = partial(
                bot.run, self._catalog.workflows, partial(into_core, follow_jobs), partial(into_core, say_opened)
            )
            tasks.start_soon(into_asyncio, run, name="discord")
            tasks.start_soon(OperatorActor(self._job_history, registry, session.begin_again).run, name="steering")
            tasks.start_soon(tidy, self._config.data, self._config.discord.keep_days, name="retention")

            async def watch() -> None:
                await opened.wait()
                tasks.start_soon(self._watch_folder, bot, into_asyncio, name="workflows")
                tasks.start_soon(self._watch_servers, bot, into_asyncio, server_monitor, len(servers), name="presence")
                task_status.started()

            tasks.start_soon(watch, name="opened")
            await shutdown.wait()
            await session.say_goodbye()
            tasks.cancel_scope.cancel()

    async def _serve(self, inbox: MemoryObjectReceiveStream[UserRequest]) -> None:
        async with anyio.create_task_group() as answers:
            async for word in inbox:
                name = f"/{word.command}" if isinstance(word, BuiltinCommand) else type(word).__name__
                answers.start_soon(self._take, word, name, name=name)

    async def _take(self, word: UserRequest, name: str) -> None:
        """Handle one user request."""
        if isinstance(word, BuiltinCommand):
            work, typed = partial(self._information.take, word), ""
        else:
            work, typed = partial(self._dispatcher.take, word), typed_in(word)

        async def refuse(sentence: str) -> None:
            await self._session.refuse(word.caller, sentence, typed)

        await run_request(work, "a request failed", refuse, request=name)

    async def _follow(self, session: DiscordSession, job: Job) -> None:
        # An operator may have created a job before Discord answered: its message is already live.
        if job.id not in session.living and (place := message_ref.read(job.place)) is not None:
            session.resume(job, place)

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """See `app.discord.gateway.handlers.Core`."""
        return await self._dispatcher.form(press, caller)

    async def suggest(self, workflow: str, slot: str, typed: str) -> list[str]:
        """See `app.discord.gateway.handlers.Core`."""
        return await self._information.suggest_values(workflow, slot, typed)

    async def suggest_own(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """See `app.discord.gateway.handlers.Core`."""
        return await self._information.suggest(command, user, typed)

    async def _watch_folder(self, bot: Bot, into_asyncio: CrossLoopCall) -> None:
        registered = self._catalog.workflows

        async def step() -> float:
            nonlocal registered
            if await self._catalog.look():
                logger.info("the workflows changed")
            if registered is not (workflows := self._catalog.workflows):
                await into_asyncio(bot.register, workflows)
                registered = workflows
            return LOOK

        await run_loop(step, "the commands could not be brought up to date")

    async def _watch_servers(
        self, bot: Bot, into_asyncio: CrossLoopCall, server_monitor: ServerMonitor, count: int
    ) -> None:
        shown: str | None = None

        async def step() -> float:
            nonlocal shown
            away = await server_monitor.poll()
            all_away = len(away) == count
            text = f"Waiting for {' and '.join(away)}" if all_away else self._config.discord.presence
            if text != shown:
                await into_asyncio(partial(bot.show_presence, text, away=all_away))
                shown = text
            return HEALTH_AWAY if all_away else HEALTH

        await run_loop(step, "the presence could not be brought up to date")


def _flat(group: BaseExceptionGroup[DoorError]) -> list[DoorError]:
    found: list[DoorError] = []
    for error in group.exceptions:
        found += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
