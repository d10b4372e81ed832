"""The commands of moderators: limits, ban and unban, each for the Discord server in which it is used."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.core.limits.moderation import Ban, GuildLimits, Unban
from app.discord.requests.responder import Responder
from app.discord.ui import pages
from app.discord.user_request import Caller, ModeratorCommand
from app.service.people.allowances import Allowances
from app.service.people.moderation import Moderation
from app.service.people.permissions import check_moderator
from app.service.reasons import NotBanned
from app.texts.discord import moderation as texts
from app.workflows.model import WorkflowError

DAY = 86_400.0


class ModeratorCommands:
    """Carries out each `ModeratorCommand`. `clock` returns the seconds since 1970."""

    def __init__(
        self,
        *,
        moderation: Moderation,
        allowances: Allowances,
        responder: Responder,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._moderation = moderation
        self._allowances = allowances
        self._responder = responder
        self._clock = clock

    async def take(self, command: ModeratorCommand, caller: Caller) -> None:
        """Carry out one command. Raises `WorkflowError`."""
        check_moderator(caller, caller.guild)
        match command.command:
            case "ban":
                await self._ban(command, caller)
            case "unban":
                await self._unban(command, caller)
            case _:
                await self._limit(command, caller)

    async def _limit(self, command: ModeratorCommand, caller: Caller) -> None:
        """Set the limits that were given, and show all."""
        now = self._moderation.limits(caller.guild)
        wanted = GuildLimits(
            guild=caller.guild,
            jobs=now.jobs if command.jobs is None else command.jobs,
            seconds=now.seconds if command.seconds is None else command.seconds,
        )
        if wanted != now:
            self._allowances.check_below_ceilings(wanted)
            await self._moderation.decide(wanted, caller)
        bans = self._moderation.bans(caller.guild)
        await self._responder.tell(caller, pages.limits(wanted, self._allowances.limits, bans))

    async def _ban(self, command: ModeratorCommand, caller: Caller) -> None:
        until = None if command.days is None else self._clock() + DAY * command.days
        reason = " ".join(command.reason.split())
        ban = Ban(guild=caller.guild, banned=command.banned, id=command.id, reason=reason, until=until)
        await self._moderation.decide(ban, caller)
        await self._responder.tell(caller, pages.notice(texts.banned(pages.ban_text(ban))))

    async def _unban(self, command: ModeratorCommand, caller: Caller) -> None:
        bans = self._moderation.bans(caller.guild)
        ban = next((ban for ban in bans if (ban.banned, ban.id) == (command.banned, command.id)), None)
        if ban is None:
            raise WorkflowError(NotBanned())
        await self._moderation.decide(Unban(guild=ban.guild, banned=ban.banned, id=ban.id), caller)
        await self._responder.tell(caller, pages.notice(texts.unbanned(pages.mention(ban))))
