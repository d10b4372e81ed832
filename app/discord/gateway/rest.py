"""Discord's REST API through hikari, and a limiter that keeps requests out of hikari's placeholder buckets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
import anyio
import hikari
import msgspec
from anyio import to_thread
from hikari.impl import (
    ContainerComponentBuilder,
    FileComponentBuilder,
    InteractiveButtonBuilder,
    LinkButtonBuilder,
    MediaGalleryItemBuilder,
    ModalActionRowBuilder,
    SectionComponentBuilder,
)

from app.discord.bridge import CrossLoopCall
from app.discord.message_ref import Seen
from app.discord.messages.ports import Away, Expired, Gone, SendError, TooLarge, Unacceptable
from app.discord.ui.components import Button, Card, File, Form, Gallery, Line, Row, Text, Upload

FRESH = 9.0
"""Seconds for which hikari certainly remembers a limit: it forgets one ten seconds after its reset, or later."""


class NewBucketLimiter:
    """Remembers which channels and tokens had a response lately on each route, and lets others pass one at a time.

    Discord's limits hold for a route and its channel or token. Until hikari has seen a route's rate-limit headers for
    a channel or token, all such requests share one placeholder bucket for each route and adopt the first response's
    limit, so that fifty people who ask at once would be answered one a second. Behind this limiter nothing waits in
    that bucket.
    """

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], float] = {}
        self._gates: dict[str, anyio.Lock] = {}

    @asynccontextmanager
    async def passing(self, route: str, whose: str) -> AsyncGenerator[None]:
        """Send one request on this route, for this channel or token, within the block."""
        if self._fresh((route, whose)):
            yield
        else:
            async with self._gates.setdefault(route, anyio.Lock()):
                yield
        self._heard = {known: at for known, at in self._heard.items() if self._fresh(known)}
        self._heard[route, whose] = anyio.current_time()

    def _fresh(self, known: tuple[str, str]) -> bool:
        return anyio.current_time() - self._heard.get(known, float("-inf")) < FRESH


T = TypeVar("T")

STYLES = {
    "primary": hikari.ButtonStyle.PRIMARY,
    "secondary": hikari.ButtonStyle.SECONDARY,
    "success": hikari.ButtonStyle.SUCCESS,
    "danger": hikari.ButtonStyle.DANGER,
}

EXPIRED = frozenset({50027, 10015, 10062})
"""Invalid webhook token, unknown webhook, unknown interaction."""

TOO_LARGE = 40005

TOO_OLD = 30046
"""A message older than an hour was edited too often."""


class RestSender:
    """See `app.discord.messages.ports.MessageSender`."""

    def __init__(self, rest: hikari.api.RESTClient, application: hikari.Snowflake) -> None:
        self._rest = rest
        self._application = application
        self._gate = NewBucketLimiter()

    async def edit_original(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        async with self._passing("answer", token):
            message = await self._rest.edit_interaction_response(
                self._application, token, attachments=None, components=[await loaded(card)]
            )
        return Seen(str(message.channel_id), str(message.id))

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        async with self._passing("edit", channel):
            await self._rest.edit_message(int(channel), int(message), attachments=None, components=[await loaded(card)])

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        async with self._passing("create", channel):
            message = await self._rest.create_message(int(channel), components=[await loaded(card)], nonce=nonce)
        return Seen(str(message.channel_id), str(message.id))

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        with translated():
            channel = await self._rest.create_dm_channel(int(user))
        return await self.create(str(channel.id), card, nonce)

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        async with self._passing("add", token):
            await self._rest.execute_webhook(
                self._application, token, components=[await loaded(card)], flags=hikari.MessageFlag.EPHEMERAL
            )

    async def followup(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        async with self._passing("add", token):
            message = await self._rest.execute_webhook(self._application, token, components=[await loaded(card)])
        return Seen(str(message.channel_id), str(message.id))

    async def delete_original(self, token: str) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        async with self._passing("withdraw", token):
            await self._rest.delete_interaction_response(self._application, token)

    async def delete(self, channel: str, message: str) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        async with self._passing("delete", channel):
            await self._rest.delete_message(int(channel), int(message))

    @asynccontextmanager
    async def _passing(self, route: str, whose: str) -> AsyncGenerator[None]:
        with translated():
            async with self._gate.passing(route, whose):
                yield


class Crossed:
    """The `MessageSender` that the core uses: every call runs in hikari's loop, on what `post` returns by then."""

    def __init__(self, post: Callable[[], RestSender], into_asyncio: CrossLoopCall) -> None:
        self._post = post
        self._cross = into_asyncio

    async def edit_original(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        return await self._cross(self._post().edit_original, token, card)

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        await self._cross(self._post().edit, channel, message, card)

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        return await self._cross(self._post().create, channel, card, nonce)

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        return await self._cross(self._post().direct_message, user, card, nonce)

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        await self._cross(self._post().ephemeral_followup, token, card)

    async def followup(self, token: str, card: Card) -> Seen:
        """See `app.discord.messages.ports.MessageSender`."""
        return await self._cross(self._post().followup, token, card)

    async def delete_original(self, token: str) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        await self._cross(self._post().delete_original, token)

    async def delete(self, channel: str, message: str) -> None:
        """See `app.discord.messages.ports.MessageSender`."""
        await self._cross(self._post().delete, channel, message)


async def loaded(card: Card) -> ContainerComponentBuilder:
    """A card in hikari's types, with its files read. hikari would leave files open that it reads itself."""
    paths = [one.path for one in card.uploads if one.path]
    contents = await to_thread.run_sync(lambda: {path: Path(path).read_bytes() for path in paths}) if paths else {}
    return build(card, contents)


def build(card: Card, contents: Mapping[str, bytes] | None = None) -> ContainerComponentBuilder:
    """A card in hikari's types; `contents` holds the contents of its files, by path."""

    def file_of(one: Upload) -> hikari.Bytes:
        return hikari.Bytes((contents or {})[one.path] if one.path else one.data, one.name)

    frame = ContainerComponentBuilder()
    if card.accent is not None:
        frame = ContainerComponentBuilder(accent_color=hikari.Color(card.accent))
    for block in card.blocks:
        match block:
            case Text(text=text):
                frame.add_text_display(text)
            case Gallery(items=items):
                frame.add_media_gallery([MediaGalleryItemBuilder(media=file_of(i), spoiler=i.spoiler) for i in items])
            case File(file=file):
                frame.add_component(FileComponentBuilder(file=file_of(file), spoiler=file.spoiler))
            case Row(buttons=buttons):
                frame.add_action_row([_button(button) for button in buttons])
            case Line(text=text, button=button):
                frame.add_component(SectionComponentBuilder(accessory=_button(button)).add_text_display(text))
    return frame


def fields(form: Form) -> Sequence[ModalActionRowBuilder]:
    """A form's fields in hikari's types."""
    return [
        ModalActionRowBuilder().add_text_input(
            field.name,
            field.label,
            value=field.value or hikari.UNDEFINED,
            required=field.required,
            style=hikari.TextInputStyle.PARAGRAPH if field.long else hikari.TextInputStyle.SHORT,
            max_length=field.most,
        )
        for field in form.fields
    ]


def _button(button: Button) -> LinkButtonBuilder | InteractiveButtonBuilder:
    if button.url:
        return LinkButtonBuilder(url=button.url, label=button.label)
    return InteractiveButtonBuilder(style=STYLES[button.style], custom_id=button.custom_id, label=button.label)


@contextmanager
def translated() -> Generator[None]:
    """Translate hikari's errors into `SendError`; unknown exceptions pass unchanged."""
    try:
        yield
    except hikari.ClientHTTPResponseError as error:
        raise _named(error) from None
    except (hikari.HTTPError, hikari.ComponentStateConflictError, aiohttp.ClientError, msgspec.DecodeError) as error:
        raise Away(f"Discord does not answer: {type(error).__name__}.") from None


def _named(error: hikari.ClientHTTPResponseError) -> SendError:
    code = int(error.code)
    if error.status == 413 or code == TOO_LARGE:
        return TooLarge("The files are too large for Discord.")
    if code in EXPIRED:
        return Expired("The interaction is over.")
    if isinstance(error, (hikari.NotFoundError, hikari.ForbiddenError)) or code == TOO_OLD:
        return Gone(f"Discord says: {error.message or error.status}.")
    return Unacceptable(f"Discord says: {error.status} {error.message}.")
