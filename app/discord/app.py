"""The Discord frontend of the application: connects to Discord and passes people's requests to the core."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream

from app import __version__
from app.actors.alert_delivery import AlertDelivery
from app.actors.alerts import Alerts, no_alerts
from app.actors.handle import Registry
from app.actors.operator import OperatorActor
from app.config.settings import Budget, Config, Server
from app.core.jobs.batches import without_parts
from app.core.journal_port import JobHistory
from app.core.servers.able_servers import Offered
from app.core.shards import SharedShards
from app.discord.bridge import CrossLoopCall, loop_bridge
from app.discord.files.download import InputMedia, open_client
from app.discord.files.upload import UploadPreparer, clear
from app.discord.gateway.bot import Bot, bot_id, check_token
from app.discord.gateway.guilds.arrivals import Arrivals
from app.discord.gateway.guilds.deletions import Deletions
from app.discord.gateway.guilds.names import DiscordNames
from app.discord.gateway.guilds.reader import GuildReader
from app.discord.gateway.guilds.roles import GuildRoles
from app.discord.gateway.guilds.visibility import GuildVisibility
from app.discord.gateway.interactions.handlers import InteractionHandlers
from app.discord.gateway.interactions.responses import Acknowledgements
from app.discord.gateway.outage import SetupError
from app.discord.gateway.relayed_gateway import RelayedGateway
from app.discord.gateway.rest.client import RestSender
from app.discord.message_ref import is_private, is_spoiler, message_link
from app.discord.messages.active_sender import ActiveSender
from app.discord.messages.alerts import ChannelAlerts, OwnerAlerts
from app.discord.messages.hints import Hints
from app.discord.messages.late_edits import LateEdits
from app.discord.messages.live_messages import LiveMessages
from app.discord.messages.open_requests import OpenRequests
from app.discord.messages.thumbnails import ListThumbnails
from app.discord.requests.builtin_commands import BuiltinCommands
from app.discord.requests.dispatcher import RequestDispatcher
from app.discord.requests.drafts import Drafts
from app.discord.requests.farewell import say_farewell
from app.discord.requests.job_actions import JobActions
from app.discord.requests.job_starter import JobStarter
from app.discord.requests.moderator_commands import ModeratorCommands
from app.discord.requests.offer_pages import OfferPages
from app.discord.requests.page_actions import DiscordPageActions
from app.discord.requests.responder import Responder
from app.discord.requests.welcome import Welcome
from app.discord.traffic import Traffic
from app.discord.ui import offer_rules
from app.discord.user_request import UserRequest
from app.entry_points import run_loop, run_request
from app.events import ServerName
from app.media_worker.client import MediaClient
from app.media_worker.mark import marked
from app.node_cache import NodeCache
from app.ports import Comfy, OpenRequestStore, OtherDisks
from app.retention.files import delete_results
from app.service.jobs.job_factory import JobFactory
from app.service.jobs.variations import Variations
from app.service.offers.catalog import LOOK, Catalog, OfferRules
from app.service.offers.choices import Choices
from app.service.offers.speeds import Speeds
from app.service.page_access import PageAccess
from app.service.page_frontend import PageFrontend
from app.service.people.allowances import Allowances
from app.service.people.moderation import Moderation
from app.service.people.notifications import Notifications
from app.service.results.gallery_filler import GalleryFiller
from app.service.results.thumbnails import ThumbnailActor, Thumbnails
from app.service.server_monitor import ServerMonitor
from app.service.tasks.models import TaskModels, model_slot
from app.service.tasks.planner import TaskPlanner
from app.service.tasks.presets import available
from app.texts.discord.answers import OFFLINE
from app.texts.discord.commands import BUILT_IN, PAGE
from app.texts.reasons.text import reason_text
from app.texts.server_names import PublicNames
from app.workflows.load import Workflow

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

SETTLED = 60.0
"""Seconds after a front has become active within which requests of the one before may still arrive at Discord."""

SPEEDS = 300.0
"""Seconds between two readings of the measured runs."""

FIRST_CALL = 1.0
"""Seconds for the first poll of the servers, before the commands are made; slower servers are polled again later."""


class DiscordApp:
    """Runs the Discord frontend, from connecting to the last goodbye message."""

    def __init__(
        self,
        config: Config,
        job_history: JobHistory,
        alerts: Alerts | None = None,
        page: PageAccess | None = None,
        is_suspended: Callable[[], bool] = lambda: False,
        active_for: Callable[[], float] | None = None,
        others: OtherDisks | None = None,
        open_requests: OpenRequestStore | None = None,
        shards: SharedShards | None = None,
    ) -> None:
        """`is_suspended` says whether nothing can be recorded now, so that no new job is taken.

        `active_for` returns the seconds for which no other front can be at work, so that jobs may be shown; None if
        there is only this one. `others` are the disks that may have files which this one lacks, `open_requests` keeps
        who waits for an answer, for other fronts, and `shards` are those that other fronts hold, too.
        """
        self._others = others
        self._open_request_store = open_requests
        self._shards = shards
        self._config = config
        self._is_suspended = is_suspended
        self._active_for = active_for
        self._page = page
        self._job_history = job_history
        self._alerts = alerts or no_alerts()
        self._limits, self._budget, self._pays = config.limits, _budget(config), config.pays
        self._allowances: Allowances | None = None
        self._bot: Bot | None = None
        self._media: MediaClient | None = None
        self.traffic = Traffic() if shards is None else Traffic(sessions=shards.sessions)
        self.page_frontend: PageFrontend | None = None
        """What the page needs of Discord; None while the bot does not run."""
        self.page_opened = anyio.Event()
        """Set when that is there for the first time."""
        self.opened = anyio.Event()
        """Set once Discord was reached and knows the commands; it stays so while a lost connection is opened again."""

    def reloaded(self, config: Config) -> None:
        """Apply what can change while the bot runs: the limits of people and the budget, for later requests."""
        self._limits, self._budget, self._pays = config.limits, _budget(config), config.pays
        if self._allowances is not None:
            self._allowances.limits, self._allowances.budget = self._limits, self._budget

    @property
    def has_opened(self) -> bool:
        """Whether Discord was reached and knows the commands."""
        return self.opened.is_set()

    @property
    def is_connected(self) -> bool:
        """Whether the bot is connected to Discord's gateway now."""
        return self._bot is not None and self._bot.is_connected

    @property
    def latency(self) -> float:
        """Seconds to Discord's gateway and back; NaN before it was measured."""
        return self._bot.latency if self._bot is not None else float("nan")

    @property
    def media_workers(self) -> frozenset[int]:
        """The process ids of the media workers that run now."""
        return frozenset(self._media.processes) if self._media is not None else frozenset()

    async def run(
        self,
        registry: Registry,
        servers: Mapping[ServerName, Comfy],
        nodes: Mapping[ServerName, NodeCache],
        draining: anyio.Event,
        shutdown: anyio.Event,
        configured: Mapping[ServerName, Server] | None = None,
        off: Collection[ServerName] = (),
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> int:
        """Run until `shutdown` is set or Discord cannot be used; return the exit code.

        `configured` are the servers as they are configured now; without it, as they were when the bot started. `off`
        are those that need not answer now. Both, `servers` and `nodes` may change.
        Once `draining` is set, no new jobs are accepted.
        Reports itself started once Discord knows the commands and unfinished jobs are followed again.
        """
        wrong: list[SetupError] = []
        try:
            check_token(self._config.discord_token)
            if configured is None:
                configured = {server.label: server for server in self._config.servers}
            await self._live(registry, servers, nodes, draining, shutdown, configured, off, task_status)
        except* SetupError as errors:
            wrong += _flat(errors)
        for error in wrong[:1]:
            print(f"atelier: {error}", file=sys.stderr)
        return 1 if wrong else 0

    async def _live(
        self,
        registry: Registry,
        servers: Mapping[ServerName, Comfy],
        nodes: Mapping[ServerName, NodeCache],
        draining: anyio.Event,
        shutdown: anyio.Event,
        configured: Mapping[ServerName, Server],
        off: Collection[ServerName],
        task_status: TaskStatus[None],
    ) -> None:
        config, job_history = self._config, self._job_history
        wanted = config.discord.workflow_commands
        rules = OfferRules(
            offer_rules.name_problem,
            partial(offer_rules.warnings, wanted=wanted),
            partial(offer_rules.with_commands, wanted=wanted),
        )
        catalog = Catalog(
            config.workflow_folders,
            servers,
            lambda name: nodes[name].definitions if name in nodes else None,
            rules,
            lambda name: configured[name].workflows if name in configured else None,
            lambda name: self._pays and name in configured and configured[name].paid_nodes,
            lambda name: name in configured and configured[name].power is not None,
        )
        server_monitor = ServerMonitor(servers, nodes, self._alerts, off)
        with anyio.move_on_after(FIRST_CALL):
            await server_monitor.poll()
        await run_request(catalog.look, "the workflows could not be read")
        outbox, inbox = anyio.create_memory_object_stream[UserRequest](INBOX)
        async with (
            outbox,
            inbox,
            open_client() as client,
            loop_bridge() as (into_asyncio, into_core),
            anyio.create_task_group() as tasks,
        ):
            media, passing = MediaClient(), config.data / PASSING
            self._media = media
            await to_thread.run_sync(clear, passing)
            await tasks.start(media.run, name="media")
            sender = RestSender(into_asyncio)
            shown_by = ActiveSender(sender, self._active_for) if self._active_for is not None else sender
            for delivery in self._alert_deliveries(sender):
                tasks.start_soon(delivery.run, name="alerts to Discord")
            prepare_files = UploadPreparer(
                media,
                passing,
                keep_metadata=config.discord.keep_metadata,
                mark_results=config.discord.mark_results,
                others=self._others,
            )
            thumbnails = Thumbnails(media, mark_results=config.discord.mark_results, others=self._others)
            notifications = Notifications(job_history, config.discord.notify, config.discord.notify_after)
            variations = Variations(catalog, job_history)
            open_requests = OpenRequests(self._open_request_store)
            live_messages = LiveMessages(
                tasks,
                registry,
                catalog,
                shown_by,
                prepare_files,
                open_requests=open_requests,
                mark_previews=config.discord.mark_results,
                label_guilds=frozenset(map(str, config.discord.label_guilds)),
                hints=Hints(job_history, shown_by, lambda guild: offer_pages.clickable(guild)),
                notifications=notifications,
                list_thumbnails=ListThumbnails(tasks, thumbnails),
                hide=job_history.hide_from_gallery,
                possible_changes=variations.possible,
                others=self._others,
                late_edits=LateEdits(job_history, SETTLED) if self._active_for is not None else None,
            )
            responder = Responder(sender, open_requests)
            server_names = PublicNames(lambda: {name: server.name for name, server in configured.items()})
            choices = Choices(nodes)
            input_media = InputMedia(client, media, passing, config.discord.rest_url)
            moderation = Moderation(job_history)
            await moderation.load()
            job_factory = JobFactory(
                catalog,
                choices,
                job_history,
                input_media,
                config.data,
                draining,
                moderation,
                variations,
                self._is_suspended,
                self._others,
            )
            speeds, task_models = Speeds(), TaskModels(catalog, config.tasks)
            task_planner = TaskPlanner(task_models, available(config.presets), speeds.seconds)
            guild_roles = GuildRoles(sender)
            allowances = self._allowances = Allowances(self._limits, guild_roles.positions, moderation, self._budget)
            visibility = GuildVisibility(tasks, GuildReader(sender), bot=bot_id(config.discord_token))
            own = {name: does for name, does in BUILT_IN.items() if name != PAGE or self._page is not None}
            offer_pages = OfferPages(
                built_in=own,
                job_history=job_history,
                catalog=catalog,
                choices=choices,
                server_monitor=server_monitor,
                servers=servers,
                registered=lambda: (bot.commands, bot.menus),
                command_ids=lambda guild: bot.command_ids(guild),
            )
            builtin_commands = BuiltinCommands(
                registry=registry,
                job_history=job_history,
                catalog=catalog,
                allowances=allowances,
                choices=choices,
                server_monitor=server_monitor,
                live_messages=live_messages,
                responder=responder,
                latency=lambda: bot.latency,
                offer_pages=offer_pages,
                server_names=server_names,
                visibility=visibility,
                notifications=notifications,
                started=lambda: [name for name, server in configured.items() if server.power is not None],
                page=self._page,
            )
            guarded = frozenset(config.discord.guarded)
            drafts, starter = Drafts(job_history), JobStarter(catalog, allowances, live_messages)
            actions = JobActions(
                registry=registry,
                job_history=job_history,
                catalog=catalog,
                job_factory=job_factory,
                choices=choices,
                drafts=drafts,
                guarded=guarded,
                living=live_messages.living,
                delete_results=partial(to_thread.run_sync, delete_results),
                others=self._others,
            )
            dispatcher = RequestDispatcher(
                actions=actions,
                starter=starter,
                drafts=drafts,
                registry=registry,
                job_history=job_history,
                catalog=catalog,
                job_factory=job_factory,
                variations=variations,
                choices=choices,
                allowances=allowances,
                live_messages=live_messages,
                open_requests=open_requests,
                responder=responder,
                builtin_commands=builtin_commands,
                moderator_commands=ModeratorCommands(moderation=moderation, allowances=allowances, responder=responder),
                guarded=guarded,
                server_names=server_names,
                picture_seconds=speeds.seconds,
            )
            page_actions = DiscordPageActions(
                tasks=tasks,
                actions=actions,
                starter=starter,
                standings=visibility,
                catalog=catalog,
                choices=choices,
                variations=variations,
                live_messages=live_messages,
                responder=responder,
            )
            acknowledgements = Acknowledgements(outbox, into_core, open_requests)
            handlers = InteractionHandlers(
                dispatcher,
                builtin_commands,
                acknowledgements,
                into_core,
                job_factory.check_can_create,
                task_planner,
                config.discord.rest_url,
            )
            guilds = frozenset(map(str, config.discord.guilds))
            welcome = Welcome(job_history, sender, offer_pages.first_command, offer_pages.clickable, guilds)

            async def forget(guild: str) -> None:
                visibility.forget(guild)

            arrivals = Arrivals(into_core, welcome.say, forget)

            async def hide(messages: Sequence[str]) -> None:
                for message in messages:
                    if (job := await job_history.shown_as(message)) is not None:
                        await job_history.hide_from_gallery(job)

            deletions = Deletions(into_core, hide) if config.page.enabled else None
            relayed = None
            if self._shards is not None:
                relayed = RelayedGateway(self._shards, int(bot_id(config.discord_token)), into_core, into_asyncio)
            bot = self._bot = Bot(
                config.discord_token, config.discord, handlers, sender, self.traffic, arrivals, own, deletions, relayed
            )

            async def follow_jobs() -> None:
                await live_messages.resume_all(without_parts(await job_history.unfinished()))
                tasks.start_soon(open_requests.watch, sender, job_history.find, name="open requests")

            async def say_opened() -> None:
                self.opened.set()

            self.page_frontend = PageFrontend(
                visibility=visibility,
                titles=catalog.title,
                server_names=server_names,
                is_spoiler=is_spoiler,
                names=DiscordNames(tasks, sender),
                actions=page_actions,
                mark=marked if config.discord.mark_results else None,
                workflows=lambda: catalog.workflows,
                message_link=message_link,
            )
            self.page_opened.set()
            tasks.start_soon(dispatcher.run, inbox, name="dispatcher")
            tasks.start_soon(live_messages.drop_past_times, name="expected times")
            registered = catalog.workflows
            run = partial(bot.run, registered, partial(into_core, follow_jobs), partial(into_core, say_opened))
            tasks.start_soon(into_asyncio, run, name="discord")
            tasks.start_soon(OperatorActor(job_history, registry, live_messages.begin_again).run, name="operator")
            if config.page.enabled:
                tasks.start_soon(GalleryFiller(job_history, is_private).run, name="gallery")
                tasks.start_soon(ThumbnailActor(job_history, thumbnails).run, name="thumbnails of the gallery")

            async def watch() -> None:
                await self.opened.wait()
                logger.info(
                    "the bot is ready",
                    version=__version__,
                    bot=bot.name,
                    servers=list(configured),
                    commands=bot.command_count,
                    invite=bot.invite_link,
                )
                for reason in task_models.unknown_defaults():
                    logger.warning("a model of [tasks] is not there", reason=reason_text(reason, operator=True))
                if config.limits.roles:
                    warn = partial(guild_roles.warn_of_unknown, tuple(config.limits.roles))
                    tasks.start_soon(partial(run_request, warn, "roles could not be looked up"), name="roles")
                tasks.start_soon(_watch_commands, catalog, registered, bot, into_asyncio, name="commands")
                presence = config.discord.presence
                tasks.start_soon(_watch_servers, server_monitor, servers, bot, into_asyncio, presence)
                task_status.started()

            # Not only once Discord answers: jobs of the journal may wait for it.
            tasks.start_soon(_watch_models, catalog, choices, task_models, job_history, speeds, name="models")
            tasks.start_soon(_watch_folder, catalog, server_monitor, registry, name="workflows")
            tasks.start_soon(watch, name="opened")
            await shutdown.wait()
            self.page_frontend = None
            acknowledgements.close()
            await say_farewell(partial(_is_idle, acknowledgements, inbox, dispatcher), dispatcher, live_messages)
            tasks.cancel_scope.cancel()

    def _alert_deliveries(self, sender: RestSender) -> Iterator[AlertDelivery]:
        """What sends alerts to Discord, as configured."""
        targets = self._config.alerts
        if targets.owner:
            yield AlertDelivery(self._alerts, "owner", OwnerAlerts(sender, sender.owner))
        if targets.channel:
            yield AlertDelivery(self._alerts, "channel", ChannelAlerts(sender, str(targets.channel)))


def _is_idle(
    acknowledgements: Acknowledgements, inbox: MemoryObjectReceiveStream[UserRequest], dispatcher: RequestDispatcher
) -> bool:
    """Whether nobody who was acknowledged waits for what becomes of it."""
    return acknowledgements.is_idle and not inbox.statistics().current_buffer_used and dispatcher.is_idle


def _budget(config: Config) -> Budget:
    """The budget, without limits where no workflow may cost money."""
    return config.paid_nodes if config.pays else Budget()


async def _watch_folder(catalog: Catalog, server_monitor: ServerMonitor, registry: Registry) -> None:
    """Keep what is offered, and where jobs may go, up to date with the folder and the servers."""
    offered: Offered | None = None

    async def step() -> float:
        nonlocal offered
        if await catalog.look():
            logger.info("the workflows changed")
        if offered != (able := catalog.offered(server_monitor.silent)):
            await registry.offer(able)
            offered = able
        # Last, because one of them may hang.
        await server_monitor.ask_new()
        return LOOK

    await run_loop(step, "the workflows could not be brought up to date")


async def _watch_models(
    catalog: Catalog, choices: Choices, task_models: TaskModels, job_history: JobHistory, speeds: Speeds
) -> None:
    """Keep up to date what people choose models from, and what is known of their speed, while people choose."""
    learned_at = -math.inf

    async def step() -> float:
        nonlocal learned_at
        task_models.prepare()
        if not task_models.were_asked():
            return LOOK
        if (now := anyio.current_time()) - learned_at > SPEEDS:
            speeds.learn(await job_history.runs())
            learned_at = now
        for workflow in tuple(catalog.workflows.values()):
            if workflow.task and (slot := model_slot(workflow)) is not None:
                # Asks servers whose answer is older than a minute.
                await choices.of(workflow, slot)
        return LOOK

    await run_loop(step, "the lists of models could not be brought up to date")


async def _watch_commands(
    catalog: Catalog, registered: Mapping[str, Workflow], bot: Bot, into_asyncio: CrossLoopCall
) -> None:
    """Keep the commands that Discord knows, `registered` at first, up to date with what is offered."""

    async def step() -> float:
        nonlocal registered
        if registered is not (workflows := catalog.workflows):
            await into_asyncio(bot.register, workflows)
            registered = workflows
        return LOOK

    await run_loop(step, "the commands could not be brought up to date")


async def _watch_servers(
    server_monitor: ServerMonitor,
    servers: Collection[ServerName],
    bot: Bot,
    into_asyncio: CrossLoopCall,
    presence: str,
) -> None:
    """Keep the presence up to date: `presence`, or that no server answers."""
    shown: str | None = None

    async def step() -> float:
        nonlocal shown
        away = await server_monitor.poll()
        # Servers that are off on purpose are started when somebody asks.
        all_away = len(away) >= len(servers)
        text = OFFLINE if all_away else presence
        if text != shown:
            await into_asyncio(partial(bot.show_presence, text, away=all_away))
            shown = text
        return HEALTH_AWAY if all_away else HEALTH

    await run_loop(step, "the presence could not be brought up to date")


def _flat(group: BaseExceptionGroup[SetupError]) -> list[SetupError]:
    """The errors of a group and of all groups within it."""
    flat: list[SetupError] = []
    for error in group.exceptions:
        flat += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return flat
