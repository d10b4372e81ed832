"""Discord's REST API through hikari."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
import hikari
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.discord import custom_id
from app.discord.bridge import CrossLoopCall
from app.discord.gateway.rest.component_builders import loaded
from app.discord.message_ref import Seen
from app.discord.messages.ports import (
    Away,
    CannotReply,
    Deleted,
    Expired,
    Gone,
    NoDirectMessages,
    Notice,
    SendError,
    TooLarge,
    Unacceptable,
)
from app.discord.ui.components import Card, Text
from app.events import JobId

T = TypeVar("T")


def _plain(value: Any) -> object:
    """Convert hikari's ids, flags and enums to JSON types."""
    return str(value) if isinstance(value, str) else int(value)


ENCODER = msgspec.json.Encoder(enc_hook=_plain)
"""Encodes what hikari sends to Discord."""

EXPIRED = frozenset({50027, 10015, 10062})
"""Invalid webhook token, unknown webhook, unknown interaction."""

TOO_LARGE = 40005

UNKNOWN_MESSAGE = 10008

REPLY_TO_UNKNOWN = "UNKNOWN_MESSAGE"
"""The end of the code in an invalid form body if the message that a message replies to is gone."""

CANNOT_REPLY = 160002
"""The bot may not read earlier messages."""

NO_DIRECT_MESSAGES = frozenset({50007, 50278})
"""Cannot send messages to this user, for whatever reason, and because there is no server in which both are."""

MOST_LOOKED_THROUGH = 300
"""Messages among which an earlier notification is looked for, from the moment on at which it was sent."""

CONTENT = frozenset({50006, 50035})
"""An empty message, and an invalid form body."""


class RestSender:
    """See `app.discord.messages.ports.MessageSender`. Lives in the core; only hikari's own calls run in hikari's loop.

    Every method raises `Away` until `open` was called.
    """

    def __init__(self, into_asyncio: CrossLoopCall) -> None:
        self._into_asyncio = into_asyncio
        self._rest: hikari.api.RESTClient | None = None
        self._application = hikari.Snowflake(0)
        self._direct_channels: dict[str, str] = {}

    def open(self, rest: hikari.api.RESTClient, application: hikari.Snowflake) -> None:
        """Start to send, as this application."""
        self._rest, self._application = rest, application

    async def edit_original(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        content = [await loaded(card)]
        return _seen(
            await self._call(
                lambda rest: rest.edit_interaction_response(
                    self._application, token, attachments=None, components=content
                )
            )
        )

    async def is_unanswered(self, token: str) -> bool:
        """Whether the answer to an interaction still says that the bot thinks. Raises `SendError`."""
        answer = await self._call(lambda rest: rest.fetch_interaction_response(self._application, token))
        return hikari.MessageFlag.LOADING in answer.flags

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        content = [await loaded(card)]
        await self._call(
            lambda rest: rest.edit_message(int(channel), int(message), attachments=None, components=content)
        )

    async def goes_on(self, channel: str, message: str, job: JobId) -> bool:
        """See `app.discord.messages.ports.MessageSender`."""
        shown = await self._call(lambda rest: rest.fetch_message(int(channel), int(message)))
        return custom_id.write("cancel", job) in _shown_buttons(shown)

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        content = [await loaded(card)]
        message = await self._call(lambda rest: rest.create_message(int(channel), components=content, nonce=nonce))
        return replace(_seen(message), stale=_shown_texts(message) != _texts(card))

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        return await self.create(await self.direct_channel(user), card, nonce)

    async def direct_channel(self, user: str) -> str:
        """See `app.discord.messages.ports.MessageSender`."""
        # All people share the limit of this route, so it is used once for each.
        if user not in self._direct_channels:
            self._direct_channels[user] = str((await self._call(lambda rest: rest.create_dm_channel(int(user)))).id)
        return self._direct_channels[user]

    async def notify(self, channel: str, notice: Notice, nonce: str) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        replies = bool(notice.reply_to)
        message = await self._call(
            lambda rest: rest.create_message(
                int(channel),
                notice.text,
                nonce=nonce,
                reply=int(notice.reply_to) if replies else hikari.UNDEFINED,
                reply_must_exist=True if replies else hikari.UNDEFINED,
                mentions_everyone=False,
                role_mentions=False,
                user_mentions=[int(notice.person)] if notice.person else False,
                mentions_reply=False,
            )
        )
        return replace(_seen(message), new=True)

    async def find_notice(self, channel: str, notice: Notice, since: float) -> Seen | None:
        """See `app.discord.messages.ports.MessageSender`. Looks through the first `MOST_LOOKED_THROUGH` messages."""
        after = hikari.Snowflake.from_datetime(datetime.fromtimestamp(since, UTC))
        messages = await self._call(
            lambda rest: rest.fetch_messages(int(channel), after=after).limit(MOST_LOOKED_THROUGH)
        )
        return next((_seen(message) for message in messages if self._is_notice(message, notice)), None)

    def _is_notice(self, message: hikari.Message, notice: Notice) -> bool:
        reference = message.message_reference
        replied_to = str(reference.id) if reference is not None and reference.id is not None else ""
        return message.author.is_bot and message.content == notice.text and replied_to == notice.reply_to

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        content, flags = [await loaded(card)], hikari.MessageFlag.EPHEMERAL
        await self._call(lambda rest: rest.execute_webhook(self._application, token, components=content, flags=flags))

    async def followup(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        content = [await loaded(card)]
        return _seen(await self._call(lambda rest: rest.execute_webhook(self._application, token, components=content)))

    async def delete_original(self, token: str) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        await self._call(lambda rest: rest.delete_interaction_response(self._application, token))

    async def delete(self, channel: str, message: str) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        await self._call(lambda rest: rest.delete_message(int(channel), int(message)))

    async def owner(self) -> str:
        """The id of the owner of the application, or of the team that owns it. Raises `SendError`."""
        application = await self._call(lambda rest: rest.fetch_application())
        return str(application.team.owner_id if application.team is not None else application.owner.id)

    async def role_positions(self, guild: str) -> dict[str, int]:
        """The position of each role of a Discord server, by its id. Raises `SendError`."""
        roles = await self._call(lambda rest: rest.fetch_roles(int(guild)))
        return {str(role.id): role.position for role in roles}

    async def ask(self, call: Callable[[hikari.api.RESTClient], Awaitable[T]]) -> T:
        """Ask Discord for something that no message is about. Raises `SendError`."""
        return await self._call(call)

    async def find(self, call: Callable[[hikari.api.RESTClient], Awaitable[T]]) -> T | None:
        """What Discord has; None if there is none, or if the bot may not see it. Raises `SendError`."""

        async def ask(rest: hikari.api.RESTClient) -> T | None:
            try:
                return await call(rest)
            except (hikari.NotFoundError, hikari.ForbiddenError):
                return None

        return await self._call(ask)

    async def _call(self, call: Callable[[hikari.api.RESTClient], Awaitable[T]]) -> T:
        """Make one call in hikari's loop. Raises `SendError`."""
        if (rest := self._rest) is None:
            raise Away("Discord has not answered yet.")
        with translated():
            return await self._into_asyncio(call, rest)


def _texts(card: Card) -> list[str]:
    return [block.text.strip() for block in card.blocks if isinstance(block, Text)]


def _shown_texts(message: hikari.Message) -> list[str]:
    """The texts of a message that shows one card."""
    return [
        part.content.strip()
        for container in message.components
        if isinstance(container, hikari.ContainerComponent)
        for part in container.components
        if isinstance(part, hikari.TextDisplayComponent)
    ]


def _shown_buttons(message: hikari.Message) -> set[str]:
    """The custom ids of the buttons of a message that shows one card."""
    return {
        button.custom_id
        for container in message.components
        if isinstance(container, hikari.ContainerComponent)
        for row in container.components
        if isinstance(row, hikari.ActionRowComponent)
        for button in row.components
        if isinstance(button, hikari.ButtonComponent) and button.custom_id is not None
    }


def _seen(message: hikari.Message) -> Seen:
    return Seen(str(message.channel_id), str(message.id))


@contextmanager
def translated() -> Generator[None]:
    """Translate hikari's errors into `SendError`; unknown exceptions pass unchanged.

    hikari asserts that Discord answers with a JSON object: a page of a proxy may be another JSON value.
    """
    try:
        yield
    except hikari.ClientHTTPResponseError as error:
        raise _named(error) from None
    except (hikari.HTTPError, hikari.ComponentStateConflictError, aiohttp.ClientError, msgspec.DecodeError) as error:
        raise Away(f"Discord does not answer: {type(error).__name__}.") from None
    except AssertionError:
        raise Away("Something in front of Discord answered.") from None


class ErrorBody(Struct):
    """The body of Discord's error responses (https://discord.com/developers/docs/reference#error-messages)."""

    code: int = 0
    message: str = ""


def error_body(error: hikari.HTTPResponseError) -> ErrorBody | None:
    """The body of an error response, which hikari decodes only for some statuses; None if it is not Discord's."""
    body: object = error.raw_body
    try:
        return msgspec.json.decode(body if isinstance(body, (str, bytes)) else b"", type=ErrorBody)
    except msgspec.MsgspecError:
        return None


def _named(error: hikari.ClientHTTPResponseError) -> SendError:
    refusal = error_body(error)
    if error.status == 413 or (refusal is not None and refusal.code == TOO_LARGE):
        return TooLarge("The files are too large for Discord.")
    if refusal is None:
        # A page of a proxy in front of Discord says nothing about the message.
        return Away(f"Something in front of Discord says: {error.status}.")
    sentence = f"Discord says: {error.status} {refusal.code} {refusal.message}"
    if refusal.code in EXPIRED:
        return Expired(sentence)
    if error.status == 401:
        return Away(sentence)
    if refusal.code == UNKNOWN_MESSAGE or (refusal.code in CONTENT and REPLY_TO_UNKNOWN in str(error.raw_body)):
        return Deleted(sentence)
    if refusal.code == CANNOT_REPLY:
        return CannotReply(sentence)
    if refusal.code in NO_DIRECT_MESSAGES:
        return NoDirectMessages(sentence)
    if refusal.code in CONTENT:
        return Unacceptable(sentence)
    # Whatever else it is, another place may take it: an archived thread, a missing permission, an old message.
    return Gone(sentence)
