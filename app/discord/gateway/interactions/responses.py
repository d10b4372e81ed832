"""First answers to interactions, sent at once in hikari's own loop, and what was asked for as plain data."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Protocol, TypeAlias

import anyio
import hikari
from anyio.abc import ObjectSendStream

from app.discord.bridge import CrossLoopCall
from app.discord.gateway.rest.client import translated
from app.discord.gateway.rest.component_builders import build
from app.discord.messages.ports import SendError
from app.discord.ui.pages import refusal
from app.discord.user_request import Action, BuiltinCommand, ButtonPressed, Caller, ModeratorCommand, UserRequest
from app.service.requests import AttachedFile, CreateJob

PUBLIC = hikari.UNDEFINED
ALONE = hikari.MessageFlag.EPHEMERAL
"""Who sees an answer: everybody, or only the person who interacted."""

PATIENCE = 0.75
"""Seconds that the core gets to keep a request before it is acknowledged: a quarter of what Discord waits."""


Answerable: TypeAlias = hikari.CommandInteraction | hikari.ComponentInteraction | hikari.ModalInteraction


async def say(interaction: Answerable, sentence: str, typed: str = "") -> None:
    """Answer at once, visible only to the person who interacted; give back what was `typed`. Raises `SendError`."""
    with translated():
        await interaction.create_initial_response(
            hikari.ResponseType.MESSAGE_CREATE, flags=ALONE, components=[build(refusal(sentence, typed))]
        )


async def _defer_update(interaction: hikari.ComponentInteraction | hikari.ModalInteraction) -> None:
    """Acknowledge a button press, or its form, whose message may change. Raises `SendError`."""
    with translated():
        await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_UPDATE)


async def _defer(interaction: Answerable, flags: hikari.UndefinedOr[hikari.MessageFlag]) -> Caller:
    """Acknowledge an interaction whose answer follows; `flags` say who sees it. Raises `SendError`."""
    with translated():
        answer = await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE, flags=flags)
    message = answer.interaction.response_message_id if answer else hikari.UNDEFINED
    return caller_of(
        interaction, "" if message is hikari.UNDEFINED else str(message), fresh=True, alone=flags is not PUBLIC
    )


def caller_of(
    interaction: Answerable | hikari.AutocompleteInteraction, message: str, *, fresh: bool, alone: bool = False
) -> Caller:
    """Who interacted, and how to answer."""
    outside = is_outside(interaction)
    member, channel = None if outside else interaction.member, interaction.channel
    guild = str(interaction.guild_id or "")
    return Caller(
        user=str(interaction.user.id),
        channel=str(channel.id),
        # Other channels have one, too: it is their category.
        parent=str(channel.parent_id or "") if channel.thread_metadata is not None else "",
        guild="" if outside else guild,
        outside=outside,
        outside_guild=guild if outside else "",
        token=interaction.token,
        message=message,
        fresh=fresh,
        alone=alone,
        moderator=member is not None and bool(member.permissions & hikari.Permissions.MANAGE_MESSAGES),
        roles=frozenset(map(str, member.role_ids)) if member is not None else frozenset(),
        limit=interaction.attachment_size_limit,
    )


def is_outside(interaction: Answerable | hikari.AutocompleteInteraction) -> bool:
    """Whether the bot has no access to the channel of an interaction: only a person brought the application along."""
    if interaction.context is hikari.ApplicationContextType.BOT_DM:
        return False
    guild_install = hikari.ApplicationIntegrationType.GUILD_INSTALL
    return interaction.guild_id is None or guild_install not in interaction.authorizing_integration_owners


def attached(slot: str, file: hikari.Attachment) -> AttachedFile:
    """An attachment, for a slot."""
    return AttachedFile(slot, file.url, file.filename, file.size, file.media_type or "")


class Stopping(Exception):
    """The bot stops and takes no request any more: the first answer to the person says so."""


class Waiting(Protocol):
    """Those who were told that the bot thinks; it lives in the core."""

    @property
    def is_shared(self) -> bool:
        """Whether another process answers them if this one ends. It never changes."""
        ...

    async def expect(self, token: str, typed: str) -> None:
        """See `app.discord.messages.open_requests.OpenRequests.expect`."""
        ...

    async def doubt(self, token: str, typed: str) -> None:
        """See `app.discord.messages.open_requests.OpenRequests.doubt`."""
        ...


class Acknowledgements:
    """Tells people that the bot thinks, once another process would answer them if this one ended then.

    `inbox` belongs to the core.
    """

    def __init__(self, inbox: ObjectSendStream[UserRequest], into_core: CrossLoopCall, waiting: Waiting) -> None:
        self._inbox = inbox
        self._into_core = into_core
        self._waiting = waiting
        self._under_way: set[str] = set()
        """The tokens of interactions that are acknowledged just now."""
        self._is_closed = False

    def close(self) -> None:
        """Acknowledge nothing any more: from now on, `Stopping` is raised instead. Any thread may call this."""
        self._is_closed = True

    @property
    def is_idle(self) -> bool:
        """Whether nothing is acknowledged just now, and not in the inbox yet. Any thread may ask."""
        return not self._under_way

    async def acknowledge(
        self, interaction: Answerable, action: Action, flags: hikari.UndefinedOr[hikari.MessageFlag] = PUBLIC
    ) -> None:
        """Say that the bot thinks, to those whom `flags` name, and have the core do what was asked for.

        Raises `SendError` and `Stopping`.
        """
        typed = _typed(action)
        with self._noted(interaction):
            if self._waiting.is_shared:
                with anyio.move_on_after(PATIENCE):
                    await self._into_core(self._waiting.expect, interaction.token, typed)
            try:
                caller = await _defer(interaction, flags)
            except SendError:
                # It may have arrived all the same.
                with anyio.move_on_after(PATIENCE), suppress(anyio.ClosedResourceError):
                    await self._into_core(self._waiting.doubt, interaction.token, typed)
                raise
            await self._send(UserRequest(caller, action, typed))

    async def acknowledge_update(
        self,
        interaction: hikari.ComponentInteraction | hikari.ModalInteraction,
        message: hikari.Message,
        action: Action,
    ) -> None:
        """Acknowledge an interaction that may change this message, and have the core do what was asked for.

        Raises `SendError` and `Stopping`.
        """
        with self._noted(interaction):
            await _defer_update(interaction)
            caller = caller_of(interaction, str(message.id), fresh=False)
            await self._send(UserRequest(caller, action, _typed(action)))

    @contextmanager
    def _noted(self, interaction: Answerable) -> Generator[None]:
        if self._is_closed:
            raise Stopping
        self._under_way.add(interaction.token)
        try:
            yield
        finally:
            self._under_way.discard(interaction.token)

    async def _send(self, request: UserRequest) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            # The bot ends, and its time to answer is over: see `close`.
            await self._into_core(self._inbox.send, request)


def _typed(action: Action) -> str:
    """What a person wrote for this request, to give back if nothing comes of it."""
    match action:
        case CreateJob():
            return "\n".join(value for value in action.values.values() if isinstance(value, str) and " " in value)
        case ButtonPressed():
            return action.typed
        case ModeratorCommand():
            return action.reason
        case BuiltinCommand():
            return ""
