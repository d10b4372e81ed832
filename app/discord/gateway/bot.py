"""Runs hikari and lightbulb in their own event loop."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any, TypeAlias, TypeVar, cast

import anyio
import hikari
import lightbulb
import msgspec
from hikari.impl import RESTClientImpl

from app.boundary import report_failure
from app.config.settings import Discord
from app.discord.bridge import NO_PAYLOAD, cancel_stray_tasks
from app.discord.gateway.connection import Gateway
from app.discord.gateway.guilds.arrivals import Arrivals
from app.discord.gateway.guilds.deletions import Deletions
from app.discord.gateway.guilds.invite import invite_link
from app.discord.gateway.interactions.commands import (
    WITH_BOT,
    WITH_PEOPLE,
    Made,
    built_in_command,
    menu,
    moderator_command,
    workflow_command,
)
from app.discord.gateway.interactions.handlers import InteractionHandlers
from app.discord.gateway.interactions.listener import EVERYWHERE, Listener, Unread, answer_unread, raise_failure, unread
from app.discord.gateway.interactions.once import Once
from app.discord.gateway.outage import Outage, SetupError
from app.discord.gateway.relayed_gateway import RelayedGateway
from app.discord.gateway.rest.buckets import separate_buckets
from app.discord.gateway.rest.client import ENCODER, RestSender
from app.discord.gateway.rest.request_counter import count_requests
from app.discord.gateway.session_counter import count_sessions
from app.discord.traffic import Traffic
from app.discord.ui.menus import menu_name, menus
from app.discord.ui.options import Command, commands
from app.entry_points import run_request
from app.texts.discord.commands import MODERATOR
from app.workflows.load import Workflow

T = TypeVar("T")

logger = logging.getLogger("app.discord")

CLOSING = 1.0
"""Seconds for hikari to close its connection to Discord; it takes a quarter of a second."""

TIMES = hikari.impl.HTTPTimeoutSettings(request_socket_connect=5.0, request_socket_read=10.0, total=300.0)
"""Seconds. Never cancel a pending edit: when a request that waits in hikari's queue for a rate limit is cancelled,
that queue stops for good, because hikari 2.6's `throttle` wakes a future that is already done and dies of it. So the
final update waits for the edit before it, and Discord gets little time to answer; but an upload may take long."""

TRIES_AGAIN = 1
"""Retries by hikari. The final update, which deserves more than one, is retried by the core."""

MOST_UNREAD = 64
"""Undecodable interactions that may wait for their error message."""

TOKEN = re.compile(r"[\w-]{10,}\.[\w-]+\.[\w-]+", re.ASCII)
"""The format of every bot token: https://discord.com/developers/docs/reference#authentication"""

INTENTS = hikari.Intents.GUILDS | hikari.Intents.GUILD_INTEGRATIONS
"""What Discord's gateway tells the bot beside interactions: servers that add it, and changes of roles and channels. It
gets no messages and no members."""

DELETIONS = hikari.Intents.GUILD_MESSAGES
"""What tells the bot of deleted messages as well. It is not privileged: what people write does not come with it."""

MALFORMED = "DISCORD_TOKEN is not a bot's token: copy it anew from the developer portal, whole."

RunGateway: TypeAlias = Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]
"""Keeps the gateway open, and calls a function each time it is open again."""

Wanted: TypeAlias = tuple[list[Command], list[tuple[str, str]]]


class Bot:
    """Owns the gateway and the commands. Everything in this class runs in hikari's loop.

    With `deletions`, Discord also says which messages are deleted. With `relayed`, other fronts hold shards, too.
    """

    def __init__(
        self,
        token: str,
        config: Discord,
        handlers: InteractionHandlers,
        sender: RestSender,
        traffic: Traffic,
        arrivals: Arrivals,
        built_in: Collection[str],
        deletions: Deletions | None = None,
        relayed: RelayedGateway | None = None,
    ) -> None:
        self._relayed = relayed
        self._deletions = deletions
        self._arrivals = arrivals
        self._built_in = built_in
        """The names of the bot's own commands that are offered, without those of moderators."""
        self._token = token
        self._config = config
        self._handlers = handlers
        self._sender = sender
        self._traffic = traffic
        self._registered: list[Made] = []
        self._known: Wanted | None = None
        self._client: lightbulb.GatewayEnabledClient
        self._gateway: Gateway | RelayedGateway | None = None
        self._application = hikari.Snowflake(0)
        self._ids: dict[str, Mapping[str, int]] = {}
        """The ids of the commands by their names, for each Discord server that has commands of its own."""
        self._unread, self._to_answer = anyio.create_memory_object_stream[tuple[Unread, str]](MOST_UNREAD)
        self.commands: Sequence[Command] = ()
        self.menus: Sequence[str] = ()
        self.name = ""
        """The name of the application, and the address that invites it, once Discord was reached."""
        self.invite_link = ""

    async def run(
        self,
        workflows: Mapping[str, Workflow],
        reached: Callable[[], Awaitable[None]],
        opened: Callable[[], Awaitable[None]],
    ) -> None:
        """Run until cancelled.

        Calls `reached` once Discord has answered and messages can be sent, before any interaction arrives; and `opened`
        once Discord knows the commands. Interactions are answered from the first moment of the connection.
        Raises `SetupError`.
        """
        intents = intents_of(deletions=self._deletions is not None)
        bot = hikari_bot(self._token, self._config.rest_url, intents)
        self._arrivals.subscribe(bot)
        if self._deletions is not None:
            self._deletions.subscribe(bot)
        client = self._client = lightbulb.client_from_app(
            bot, default_enabled_guilds=[int(guild) for guild in self._config.guilds], sync_commands=False
        )
        client.error_handler(raise_failure)
        for own in list(bot.get_listeners(hikari.InteractionCreateEvent)):
            bot.unsubscribe(hikari.InteractionCreateEvent, own)
        handle = Listener(client, self._handlers).handle
        # While a shard moves from one front to another, both receive the same.
        bot.subscribe(hikari.InteractionCreateEvent, Once(handle).handle if self._relayed is not None else handle)
        bot.subscribe(hikari.ShardPayloadEvent, self._handlers.forms.receive)
        count_sessions(bot, self._traffic.sessions)
        self._register(workflows)
        # This does not contact Discord: from here on lightbulb knows the commands and can take interactions.
        await client.start()
        client.sync_commands = True
        async with cancel_stray_tasks(self._report, hikari, lightbulb):
            cast("RESTClientImpl", bot.rest).start()
            count_requests(bot.rest, self._traffic)
            try:
                await self._live(bot, reached, opened)
            finally:
                with anyio.move_on_after(CLOSING, shield=True):
                    await client.stop()
                    await bot.rest.close()

    async def _live(
        self,
        bot: hikari.GatewayBot,
        reached: Callable[[], Awaitable[None]],
        opened: Callable[[], Awaitable[None]],
    ) -> None:
        rest = bot.rest
        connected = asyncio.Event()

        async def say_connected() -> None:
            connected.set()

        async with self._unread, self._to_answer, anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer_unread, rest, name="unread")
            application = await self._persist(rest.fetch_application, "Discord is not reached")
            self.name, self.invite_link = application.name, invite_link(int(application.id))
            self._application = application.id
            user_install = hikari.ApplicationIntegrationType.USER_INSTALL
            if self._config.user_install and user_install not in application.integration_types_config:
                logger.warning("people cannot add the application: switch on User Install in the developer portal")
            self._sender.open(rest, application.id)
            await reached()
            tasks.start_soon(await self._open_gateway(bot), say_connected, name="gateway")
            await connected.wait()
            await self._persist(self._synchronise, "Discord does not take the commands yet")
            await opened()

    async def _open_gateway(self, bot: hikari.GatewayBot) -> RunGateway:
        """What runs the gateway: the bot's own shards, unless several fronts hold them."""
        if self._relayed is not None:
            count = self._config.shards
            if not count:
                info = await self._persist(bot.rest.fetch_gateway_bot_info, "Discord's gateway is not known")
                count = info.shard_count
            if await self._relayed.open(count):
                self._gateway = self._relayed
                return partial(self._relayed.run, bot)
        gateway = self._gateway = Gateway(bot, self._token, ENCODER.encode, count=self._config.shards)
        return gateway.run

    async def _persist(self, ask: Callable[[], Awaitable[T]], what: str) -> T:
        """Ask Discord until it answers. Raises `SetupError` where waiting does not help."""
        outage = Outage(what)
        while True:
            try:
                answer = await ask()
            except SetupError:
                raise
            except Exception as error:  # noqa: BLE001  the boundary of the start
                await outage.wait(error)
            else:
                outage.over()
                return answer

    async def _synchronise(self) -> None:
        """Send the commands to Discord. Raises `SetupError` where waiting does not help."""
        try:
            await self._client.sync_application_commands()
            await self._read_ids()
        except hikari.ForbiddenError as error:
            advice = "invite it again with the scopes bot and applications.commands"
            raise SetupError(f"Discord does not let the bot do this: {advice} ({error.message}).") from None
        except hikari.BadRequestError as error:
            raise SetupError(f"Discord does not take the commands: {error.message}.") from None

    async def register(self, workflows: Mapping[str, Workflow]) -> None:
        """Replace the registered commands with those of `workflows`; Discord is updated only if they differ.

        Raises `hikari.HTTPError` if Discord refuses them: the old commands then stay, and answer that their workflow is
        gone where it is.
        """
        self._handlers.workflows = workflows
        if self._wanted(workflows) == self._known:
            return
        for made in self._registered:
            self._client.unregister(made)
        self._register(workflows)
        known, self._known = self._known, None
        await self._client.sync_application_commands()
        await self._read_ids()
        self._known = known

    async def _read_ids(self) -> None:
        """Read Discord's ids of the commands where lightbulb did not have to send them. Raises `hikari.HTTPError`."""
        created, rest = self._client.created_commands, self._client.rest
        for guild in [int(guild) for guild in self._config.guilds] or [EVERYWHERE]:
            commands = created.get(guild)
            if commands is None:
                place = guild or hikari.UNDEFINED
                commands = await rest.fetch_application_commands(self._application, guild=place)
            slash = hikari.CommandType.SLASH
            self._ids[str(guild)] = {command.name: int(command.id) for command in commands if command.type is slash}

    def command_ids(self, guild: str) -> Mapping[str, int]:
        """Discord's ids of the commands of a Discord server by their names, as far as they are known."""
        return self._ids.get(guild) or self._ids.get(str(EVERYWHERE), {})

    @property
    def command_count(self) -> int:
        """How many commands and menus Discord has been sent."""
        return len(self._registered)

    async def show_presence(self, text: str, *, away: bool) -> None:
        """Set the bot's status text; `away` if it cannot work just now."""
        if self._gateway is not None:
            await self._gateway.show_presence(text, away=away)

    @property
    def latency(self) -> float:
        """Seconds to Discord's gateway and back; NaN before the first heartbeat."""
        return self._gateway.latency if self._gateway is not None else float("nan")

    @property
    def is_connected(self) -> bool:
        """Whether every shard is connected to Discord's gateway."""
        return self._gateway is not None and self._gateway.is_connected

    def _report(self, message: str, error: BaseException | None, payload: object) -> None:
        """Handle an error of the loop that nothing waits for; hikari also reports undecodable payloads this way."""
        if payload is NO_PAYLOAD or not isinstance(error, Exception):
            # This includes the exception of a shard that ended, which its joiner receives anyway.
            level = logging.DEBUG if isinstance(error, hikari.GatewayError) else logging.ERROR
            logger.log(level, "%s", message, exc_info=error)
            return
        sentence = report_failure(error, "an event of Discord cannot be read")
        if (interaction := unread(payload)) is not None:
            with suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
                self._unread.send_nowait((interaction, sentence))

    async def _answer_unread(self, rest: hikari.api.RESTClient) -> None:
        async for interaction, sentence in self._to_answer:
            await run_request(
                partial(answer_unread, rest, interaction, sentence), "a person could not be told of a failure"
            )

    def _register(self, workflows: Mapping[str, Workflow]) -> None:
        self._handlers.workflows = workflows
        self._known = slash_commands, _ = self._wanted(workflows)
        takers, places = menus(workflows), WITH_PEOPLE if self._config.user_install else WITH_BOT
        new_commands = [
            *(workflow_command(command, self._handlers, places) for command in slash_commands),
            *(built_in_command(name, self._handlers, places) for name in self._built_in),
            *(moderator_command(name, self._handlers) for name in MODERATOR),
            *(menu(workflow, self._handlers, places) for workflow in takers),
        ]
        self._registered = [self._client.register(command) for command in new_commands]
        self.commands, self.menus = slash_commands, [menu_name(workflow) for workflow in takers]

    def _wanted(self, workflows: Mapping[str, Workflow]) -> Wanted:
        """Everything that Discord has to know: the commands, and each menu with its workflow."""
        return commands(workflows.values()), [(menu_name(workflow), workflow.name) for workflow in menus(workflows)]


def intents_of(*, deletions: bool) -> hikari.Intents:
    """What Discord's gateway is asked for, with `deletions` of messages as well."""
    return INTENTS | DELETIONS if deletions else INTENTS


def hikari_bot(token: str, rest_url: str = "", intents: hikari.Intents = hikari.Intents.NONE) -> hikari.GatewayBot:
    """A bot that keeps the rate limits of `separate_buckets`; `rest_url` is Discord's address, if not the real one."""
    bot = hikari.GatewayBot(
        token.strip(),
        rest_url=rest_url or None,
        banner=None,
        logs=None,
        suppress_optimization_warning=True,
        intents=intents,
        auto_chunk_members=False,
        http_settings=hikari.impl.HTTPSettings(timeouts=TIMES, ssl=_authorities()),
        max_retries=TRIES_AGAIN,
        cache_settings=hikari.impl.CacheSettings(components=hikari.api.CacheComponents.NONE),
        loads=msgspec.json.decode,
        dumps=ENCODER.encode,
    )
    separate_buckets(bot.rest)
    return bot


@cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities that the system trusts. Loading them takes 40 ms, so it is done once."""
    return ssl.create_default_context()


def check_token(token: str) -> None:
    """Raise `SetupError` for what cannot be a token, before hikari parses it."""
    try:
        if not TOKEN.fullmatch(token.strip()):
            raise ValueError(token)
        hikari.applications.get_token_id(token.strip())
    except ValueError:
        raise SetupError(MALFORMED) from None


def bot_id(token: str) -> str:
    """The bot's own id as a person, which its token begins with. The token is one that `check_token` accepts."""
    return str(int(hikari.applications.get_token_id(token.strip())))
