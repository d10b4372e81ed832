"""What people read once, below their first picture."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from app.core.journal_port import JobHistory
from app.discord.messages.ports import MessageSender, SendError
from app.discord.messages.reply import MessageReply
from app.discord.ui import help_page
from app.discord.ui.file_kinds import is_picture
from app.discord.ui.help_page import Commands
from app.discord.ui.job_view import JobView
from app.discord.ui.lists import FINISHED_STATES
from app.entry_points import run_request
from app.events import Finished

logger = structlog.stdlib.get_logger(__name__)

MOST_KNOWN = 10_000
"""People who are known to need no hint, so that the journal is not asked again; then they are forgotten."""


class Hints:
    """Says each person once what to do with a picture: in a message that only they see, as long as that is possible.

    `clickable` returns the commands of a Discord server, to be clicked.
    """

    def __init__(self, job_history: JobHistory, sender: MessageSender, clickable: Callable[[str], Commands]) -> None:
        self._job_history = job_history
        self._sender = sender
        self._clickable = clickable
        self._known: set[str] = set()

    async def claim(self, view: JobView) -> bool:
        """Whether this result is the first picture of its person, who has read no hint. It counts as said from now."""
        claimed: list[bool] = []

        async def ask() -> None:
            claimed.append(await self._claim(view))

        await run_request(ask, "it is not known whether somebody needs a hint", job=view.job)
        return any(claimed)

    async def say(self, reply: MessageReply) -> None:
        """Say it to the person of a result that was shown, if it is their first."""
        token = reply.token
        if token is None or not await self.claim(reply.view):
            return
        card = help_page.hint(self._clickable(reply.place.guild))
        try:
            await self._sender.ephemeral_followup(token, card)
        except SendError as error:
            logger.info("a hint found nobody", job=reply.view.job, reason=str(error))

    async def _claim(self, view: JobView) -> bool:
        if view.owner in self._known or not _has_picture(view):
            return False
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        # From here on, whatever comes of it: rather no hint than two.
        self._known.add(view.owner)
        page = await self._job_history.page_of(view.owner, 2, FINISHED_STATES)
        if [entry.job.id for entry in page.entries] != [view.job]:
            return False
        return await self._job_history.say_once("hint", view.owner)


def _has_picture(view: JobView) -> bool:
    update = view.terminal_update
    files = update.files if isinstance(update, Finished) else ()
    return any(map(is_picture, files))
