"""A check against Discord itself: does what the bot does, with a temporary message and command, and deletes both."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeAlias, TypeVar, cast

import anyio
import hikari
from hikari.impl import RESTClientImpl
from msgspec import Struct

from app.config.settings import Discord
from app.discord.bridge import cancel_stray_tasks, loop_bridge
from app.discord.gateway.bot import check_token, hikari_bot
from app.discord.gateway.connection import Gateway
from app.discord.gateway.guilds.channels import first_writable
from app.discord.gateway.guilds.roles import unknown_roles
from app.discord.gateway.interactions.message_files import files_of
from app.discord.gateway.interactions.responses import say
from app.discord.gateway.outage import SetupError, describe
from app.discord.gateway.rest.client import ENCODER, ErrorBody, RestSender, error_body
from app.discord.message_ref import Seen
from app.discord.text import shorten
from app.discord.ui.components import Card, Upload
from app.discord.ui.job_message import render
from app.discord.ui.job_view import JobView
from app.events import Finished, JobId, Previewed, Progressed, ServerName
from app.texts.reasons.limits import unknown_role

COMMAND = "atelier-check"

GREETING = 30.0
"""Seconds for the gateway to connect."""

FAREWELL = 60.0
"""Seconds for everything to be deleted after the check was stopped."""

LONGEST_ANSWER = 400
"""Characters of Discord's answer in one line."""

JOB = JobId("live-check")

T = TypeVar("T")


class StepResult(Struct, frozen=True):
    """What came of one step; `accepted` is None if it was not tried."""

    step: str
    details: str
    accepted: bool | None = None


Report: TypeAlias = Callable[[StepResult], object]


class _RefusedError(Exception):
    """A step was refused, and reported."""


async def live_check(
    token: str,
    config: Discord,
    guild: int,
    channel: int,
    wait: float,
    report: Report,
    roles: Collection[str] = (),
) -> bool:
    """Check that Discord accepts what the bot does in this guild; return whether it accepted everything.

    Posts in `channel`, or in the first that the bot may write in if that is 0. Waits `wait` seconds for somebody to use
    the command. `roles` are those with limits. Everything that was created is deleted again, also if the check is
    cancelled. `report` is called in hikari's thread. Raises `SetupError` if the token cannot be one.
    """
    check_token(token)

    async def run() -> bool:
        bot = hikari_bot(token, config.rest_url)
        # This is hikari's own loop already, so the bridge only lets calls through.
        async with cancel_stray_tasks(_ignore, hikari), loop_bridge() as (stay, _):
            cast("RESTClientImpl", bot.rest).start()
            try:
                check = _LiveCheck(bot, token, config, RestSender(stay), guild, roles, report)
                await check.run(channel, wait)
            finally:
                with anyio.CancelScope(shield=True):
                    await bot.rest.close()
        return check.accepted

    async with loop_bridge() as (into_asyncio, _):
        return await into_asyncio(run)


class _LiveCheck:
    """Owns what the check created in Discord."""

    def __init__(
        self,
        bot: hikari.GatewayBot,
        token: str,
        config: Discord,
        sender: RestSender,
        guild: int,
        roles: Collection[str],
        report: Report,
    ) -> None:
        self._bot = bot
        self._rest = bot.rest
        self._token = token
        self._rest_url = config.rest_url
        self._sender = sender
        self._guild = guild
        self._roles = roles
        self._report = report
        self._secrets = [token]
        self._created: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        """How to delete what was created, oldest first."""
        self.accepted = True
        """Whether nothing was refused so far."""

    async def run(self, channel: int, wait: float) -> None:
        """Take all steps, and delete what they created."""
        try:
            with suppress(_RefusedError):
                await self._steps(channel, wait)
        finally:
            with anyio.move_on_after(FAREWELL, shield=True):
                while self._created:
                    with suppress(_RefusedError):
                        # Not shielded once more: the deadline must reach it.
                        await self._step(*self._created[-1], shield=False)
                    del self._created[-1]
            for step, _ in self._created:
                self._refuse(step, "There was no time for this: delete it yourself.")

    async def _steps(self, channel: int, wait: float) -> None:
        application = await self._step(
            "log in", self._rest.fetch_application, lambda application: f"as {application.name}"
        )
        self._sender.open(self._rest, application.id)
        place = await self._step("find a channel", partial(self._channel, channel), lambda place: f"#{place.name}")
        if self._roles:
            await self._step("find the roles of [limits]", self._find_roles)
        with suppress(_RefusedError):
            await self._message(str(place.id), str(application.id))
        if not wait:
            self._report(StepResult("use the command", "not tried"))
            return
        await self._command(application.id, wait)

    async def _channel(self, channel: int) -> hikari.PermissibleGuildChannel:
        """The channel to post in. Raises `SetupError` if there is none."""
        if channel:
            place = await self._rest.fetch_channel(channel)
            if not isinstance(place, hikari.PermissibleGuildChannel) or place.guild_id != self._guild:
                raise SetupError("This channel is not in that server.")
            return place
        channels = await self._rest.fetch_guild_channels(self._guild)
        roles = await self._rest.fetch_roles(self._guild)
        member = await self._rest.fetch_member(self._guild, await self._rest.fetch_my_user())
        if (place := first_writable(channels, roles, member)) is None:
            raise SetupError("The bot may not post pictures in any text channel: change its permissions.")
        return place

    async def _find_roles(self) -> None:
        """Report each role with limits that no server of the bot has, as a warning."""
        for role in await unknown_roles(self._rest, self._roles):
            self._report(StepResult("find the roles of [limits]", unknown_role(role)))

    async def _message(self, channel: str, owner: str) -> None:
        """Post a message with a picture, edit it so that it has another, and read it back."""
        view = JobView(job=JOB, owner=owner, title="Check of the bot", prompt="This message is deleted again.")
        view.accepted = view.started = True
        view.progress = Progressed(job=JOB, fraction=0.5, step=1, steps=2)
        view.preview = Previewed(job=JOB, image=_png(0x5865F2), media_type="image/png")
        (unfinished,) = render(view)
        seen = await self._step("post a picture", partial(self._post, channel, unfinished))
        view.preview = None
        view.terminal_update = Finished(job=JOB, server=ServerName("check"), seed=1)
        result = Upload("result.png", data=_png(0x57F287))
        (finished,) = render(view, (result,))
        edit = partial(self._sender.edit, seen.channel, seen.message, finished)
        await self._step("edit it, with another picture", edit)
        await self._step("read it back", partial(self._read_back, seen, result.name))

    async def _post(self, channel: str, card: Card) -> Seen:
        seen = await self._sender.create(channel, card, JOB)
        delete = partial(self._sender.delete, seen.channel, seen.message)
        self._created.append(("delete the message", delete))
        return seen

    async def _read_back(self, seen: Seen, name: str) -> None:
        """Raise `SetupError` unless the message shows this file and no other."""
        message = await self._rest.fetch_message(int(seen.channel), int(seen.message))
        names = {file.name for file in files_of(message, "image", self._rest_url)}
        if names != {name}:
            raise SetupError(f"The message should show {name}, but shows {', '.join(sorted(names)) or 'no picture'}.")

    async def _command(self, application: hikari.Snowflake, wait: float) -> None:
        """Register a command, and answer it as the bot answers a refusal."""
        used, uses = anyio.create_memory_object_stream[hikari.CommandInteraction](1)

        async def receive(event: hikari.InteractionCreateEvent) -> None:
            interaction = event.interaction
            if isinstance(interaction, hikari.CommandInteraction) and interaction.command_name == COMMAND:
                with suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
                    used.send_nowait(interaction)

        self._bot.subscribe(hikari.InteractionCreateEvent, receive)
        gateway = Gateway(self._bot, self._token, ENCODER.encode)
        connected = anyio.Event()

        async def connect() -> None:
            with anyio.fail_after(GREETING):
                await connected.wait()

        async def say_connected() -> None:
            connected.set()

        async def stay_connected() -> None:
            try:
                await gateway.run(say_connected)
            except SetupError as error:
                self._refuse("connect to the gateway", str(error))
                tasks.cancel_scope.cancel()

        async with used, uses, anyio.create_task_group() as tasks:
            tasks.start_soon(stay_connected, name="gateway")
            with suppress(_RefusedError):
                await self._step("connect to the gateway", connect, shield=False)
                await self._step("register a command", partial(self._register, application))
                self._report(StepResult("use the command", f"Now run /{COMMAND} in that server, within {wait:g} s"))
                with anyio.move_on_after(wait) as waiting:
                    await self._answer(await uses.receive())
                if waiting.cancelled_caught:
                    self._report(StepResult("answer the command", f"not tried: nobody ran /{COMMAND} in time"))
            tasks.cancel_scope.cancel()

    async def _register(self, application: hikari.Snowflake) -> None:
        # Not by PUT, which would replace the bot's own commands.
        command = await self._rest.create_slash_command(
            application,
            COMMAND,
            "Check that this bot can answer; deleted again in a minute",
            guild=self._guild,
            default_member_permissions=hikari.Permissions.MANAGE_GUILD,
        )
        delete = partial(self._rest.delete_application_command, application, command.id, guild=self._guild)
        self._created.append(("delete the command", delete))

    async def _answer(self, interaction: hikari.CommandInteraction) -> None:
        self._secrets.append(interaction.token)
        await self._step("answer the command", partial(say, interaction, "The bot can answer. Only you see this."))
        delete = partial(self._sender.delete_original, interaction.token)
        self._created.append(("delete the answer", delete))

    async def _step(
        self,
        step: str,
        call: Callable[[], Awaitable[T]],
        details: Callable[[T], str] = lambda _: "accepted",
        *,
        shield: bool = True,
    ) -> T:
        """Take one step and report it. Raises `_RefusedError`.

        A step that has begun is not cancelled: what it created would be unknown, and would stay.
        """
        results: list[T] = []
        try:
            with anyio.CancelScope(shield=shield):
                results.append(await call())
        except Exception as error:  # noqa: BLE001  also what hikari cannot read is a result of this check
            self._refuse(step, answer_of(error))
            raise _RefusedError from None
        (result,) = results
        self._report(StepResult(step, details(result), accepted=True))
        return result

    def _refuse(self, step: str, answer: str) -> None:
        self.accepted = False
        for secret in self._secrets:
            answer = answer.replace(secret, "…")
        printable = "".join(char if char.isprintable() else " " for char in answer)
        self._report(StepResult(step, shorten(printable, LONGEST_ANSWER), accepted=False))


def answer_of(error: Exception) -> str:
    """Discord's status, code and message; or what happened instead of an answer."""
    # The sender translates hikari's errors, which tell more, into its own.
    cause = error.__context__ if isinstance(error.__context__, hikari.HikariError) else error
    match cause:
        case hikari.HTTPResponseError(status=status):
            body = error_body(cause) or ErrorBody()
            problems = _problems(cause.errors or {}) if isinstance(cause, hikari.BadRequestError) else []
            return " ".join([f"status {int(status)}, code {body.code}: {body.message or 'no message'}", *problems])
        case SetupError():
            return str(cause)
        case _:
            return describe(cause)


def _problems(errors: Mapping[str, object], path: str = "") -> list[str]:
    """What Discord finds wrong with each field."""
    problems: list[str] = []
    for name, inner in errors.items():
        match inner:
            case list():
                entries = cast("list[Mapping[str, object]]", inner)
                problems += [f"({path}: {problem.get('message')})" for problem in entries]
            case {}:
                problems += _problems(cast("Mapping[str, object]", inner), f"{path}.{name}".lstrip("."))
            case _:
                continue
    return problems


def _png(color: int, side: int = 64) -> bytes:
    """A square picture of one colour (0xRRGGBB)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + color.to_bytes(3, "big") * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _ignore(_: str, __: BaseException | None, ___: object) -> None:
    """Errors in hikari's own tasks have no place in this check: each step reports what it was answered."""
