"""hikari and lightbulb: their whole life, in their own loop."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import anyio
import hikari
import lightbulb
import msgspec

from app.config import Discord
from app.discord.clicks import Clicks
from app.discord.commands import Made, built_in_command, menu, workflow_command
from app.discord.crossing import hosting
from app.discord.information import BUILT_IN
from app.discord.onward import menu_name, menus
from app.discord.options import Command, commands
from app.discord.rest import RestPost
from app.workflows.load import Workflow

logger = logging.getLogger("app.discord")

CLOSING = 1.0
"""Seconds for hikari to say goodbye to Discord; it takes a quarter of one."""

TIMES = hikari.impl.HTTPTimeoutSettings(request_socket_connect=5.0, request_socket_read=10.0, total=300.0)
"""Seconds. An edit is never broken off, because who is cancelled in hikari's queue for a limit stops that queue for
good: its `throttle` wakes a future that is over, and dies of it (hikari 2.6). So the last word waits for the edit
before it, and Discord has not long to answer; but an upload may take its time."""

TRIES_AGAIN = 1
"""What is worth more than one more try, the last word, is tried again by the core."""

CLOSED = {
    4004: "Discord does not accept the token: copy it anew from the developer portal into DISCORD_TOKEN.",
    4013: "Discord does not know the intents that were asked for.",
    4014: "Discord does not allow the intents that were asked for: allow them in the developer portal.",
}
"""Close codes after which no reconnecting helps."""


Wanted: TypeAlias = tuple[list[Command], list[tuple[str, str]]]


class DoorError(Exception):
    """The door cannot be opened, or was shut for good; the text is a sentence that says what to do."""


class Bot:
    """Owns the gateway and the commands. Everything in here runs in hikari's loop."""

    def __init__(self, token: str, config: Discord, clicks: Clicks) -> None:
        self._token = token
        self._config = config
        self._clicks = clicks
        self._registered: list[Made] = []
        self._known: Wanted
        self._bot: hikari.GatewayBot
        self._client: lightbulb.Client
        self.commands: Sequence[Command] = ()
        self.menus: Sequence[str] = ()
        self.post: RestPost

    async def run(self, workflows: Mapping[str, Workflow], opened: Callable[[], Awaitable[None]]) -> None:
        """Live until cancelled; says `opened` once Discord knows the commands. Raises `DoorError`."""
        bot = self._bot = self._build()
        self._client = lightbulb.client_from_app(
            bot, default_enabled_guilds=[int(guild) for guild in self._config.guilds], hooks=[]
        )
        self._client.error_handler(_log_failure)
        bot.subscribe(hikari.ComponentInteractionCreateEvent, self._clicks.pressed)
        bot.subscribe(hikari.ModalInteractionCreateEvent, self._clicks.sent)
        async with hosting(_log_error, hikari, lightbulb):
            try:
                await self._live(workflows, opened)
            except hikari.HikariError as error:
                raise DoorError(_explained(error)) from None
            finally:
                with anyio.move_on_after(CLOSING, shield=True):
                    await self._client.stop()
                    if bot.is_alive:
                        await bot.close()

    async def _live(self, workflows: Mapping[str, Workflow], opened: Callable[[], Awaitable[None]]) -> None:
        await self._bot.start(check_for_updates=False)
        me = self._bot.get_me()
        application = me.id if me is not None else (await self._bot.rest.fetch_application()).id
        self.post = RestPost(self._bot.rest, application)
        self._register(workflows)
        await self._client.start()
        await opened()
        await self._bot.join()
        raise DoorError("Discord closed the connection for good.")

    async def register(self, workflows: Mapping[str, Workflow]) -> None:
        """Make these the commands, in the place of those before; Discord hears of it only where they differ."""
        self._clicks.workflows = workflows
        if self._wanted(workflows) == self._known:
            return
        for made in self._registered:
            self._client.unregister(made)
        self._register(workflows)
        try:
            await self._client.sync_application_commands()
        except hikari.HTTPError as error:
            # The old commands stand, and say so themselves where their workflow is gone.
            logger.warning("Discord does not take the new commands: %s", error)

    async def show_presence(self, text: str, *, away: bool) -> None:
        """Say what the bot does; `away` where it cannot work just now."""
        with suppress(hikari.ComponentStateConflictError, hikari.GatewayError, OSError):
            # Between two connections there is nobody to tell.
            await self._bot.update_presence(
                status=hikari.Status.IDLE if away else hikari.Status.ONLINE,
                activity=hikari.Activity(name=text, state=text, type=hikari.ActivityType.CUSTOM),
            )

    @property
    def latency(self) -> float:
        """Seconds to Discord's gateway and back; NaN before the first heartbeat."""
        return self._bot.heartbeat_latency

    def _register(self, workflows: Mapping[str, Workflow]) -> None:
        self._clicks.workflows = workflows
        self._known = found, _ = self._wanted(workflows)
        takers = menus(workflows)
        made = [
            *(workflow_command(command, self._clicks) for command in found),
            *(built_in_command(name, self._clicks) for name in BUILT_IN),
            *(menu(workflow, self._clicks) for workflow in takers),
        ]
        self._registered = [self._client.register(one) for one in made]
        self.commands, self.menus = found, [menu_name(workflow) for workflow in takers]

    def _wanted(self, workflows: Mapping[str, Workflow]) -> Wanted:
        """All that Discord is to know: the commands, and each menu with its workflow."""
        return commands(workflows.values()), [(menu_name(one), one.name) for one in menus(workflows)]

    def _build(self) -> hikari.GatewayBot:
        return hikari.GatewayBot(
            self._token,
            rest_url=self._config.rest_url or None,
            banner=None,
            logs=None,
            suppress_optimization_warning=True,
            intents=hikari.Intents.NONE,
            auto_chunk_members=False,
            http_settings=hikari.impl.HTTPSettings(timeouts=TIMES),
            max_retries=TRIES_AGAIN,
            cache_settings=hikari.impl.CacheSettings(components=hikari.api.CacheComponents.NONE),
            loads=msgspec.json.decode,
            dumps=msgspec.json.Encoder(enc_hook=_plain).encode,
        )


def _plain(value: Any) -> object:
    """hikari's ids, flags and enums as JSON knows them."""
    return str(value) if isinstance(value, str) else int(value)


def _explained(error: hikari.HikariError) -> str:
    """One sentence on why the door is shut, and what to do."""
    match error:
        case hikari.UnauthorizedError():
            return CLOSED[4004]
        case hikari.GatewayServerClosedConnectionError(code=code, reason=reason):
            return CLOSED.get(int(code or 0), f"Discord closed the connection ({code}): {reason}")
        case hikari.ForbiddenError(message=message):
            told = "invite it again with the scopes bot and applications.commands"
            return f"Discord does not let the bot do this: {told} ({message})."
        case hikari.BadRequestError(message=message):
            return f"Discord does not take the commands: {message}."
        case _:
            return f"Discord cannot be reached: {type(error).__name__}."


def _log_error(message: str, error: BaseException | None) -> None:
    """What hikari leaves to the loop: a dead shard's exception among it, of which its joiner hears anyway."""
    level = logging.DEBUG if isinstance(error, hikari.GatewayError) else logging.ERROR
    logger.log(level, "%s", message, exc_info=error)


async def _log_failure(failure: lightbulb.exceptions.ExecutionPipelineFailedException) -> bool:
    """What breaks in one command is logged, and never reaches the others."""
    logger.error("a command broke", exc_info=failure.causes[0])
    return True
