"""Collects what the lists of jobs show, as far as the asking person may read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import anyio
from msgspec.structs import replace

from app.core.journal_port import JobHistory
from app.discord.messages.live_messages import LiveMessages
from app.discord.messages.reply import MessageReply
from app.discord.ui import lists
from app.discord.ui.components import Card
from app.discord.ui.help_page import Commands
from app.discord.ui.job_view import JobView
from app.discord.ui.lists import FILTERS, JOBS_ON_A_PAGE, JobsPage, QueueRow
from app.discord.user_request import Caller
from app.entry_points import run_request
from app.events import JobId, ServerName
from app.service.offers.catalog import Catalog
from app.service.people.visibility import Place, Visibility, may_read
from app.texts.model_names import model_name
from app.texts.reasons.text import reason_text
from app.texts.server_names import UNNAMED


class JobLists:
    """Makes the pages of /jobs and /queue.

    `server_names` maps each server to the name that people may read; `clickable` returns the commands of a Discord
    server, to be clicked.
    """

    def __init__(
        self,
        job_history: JobHistory,
        catalog: Catalog,
        live_messages: LiveMessages,
        server_names: Mapping[ServerName, str],
        visibility: Visibility,
        clickable: Callable[[str], Commands],
    ) -> None:
        self._clickable = clickable
        self._job_history = job_history
        self._catalog = catalog
        self._live_messages = live_messages
        self._server_names = server_names
        self._visibility = visibility

    async def jobs(self, caller: Caller, number: int = 1, key: int = 0, *, newer: bool = False) -> Card:
        """A page of the caller's own jobs: those of the filter with this number, from 1, that are older than the key.

        0 is no key; with `newer`, those that are newer than it. A page that is empty by now gives way to the first.
        """
        number = number if 1 <= number <= len(FILTERS) else 1
        read = partial(self._job_history.page_of, caller.user, JOBS_ON_A_PAGE, FILTERS[number - 1][1])
        page = await read(key=key or None, newer=newer and bool(key))
        if not page.entries and key:
            page = await read()
        jobs = [entry.job for entry in page.entries]
        views = [self._live_messages.view(job) for job in jobs]
        titles = {view.job: view.title for view in views}
        names = {view.job: model_name(view.made_with) for view in views if view.made_with}
        thumbnails = await self._live_messages.thumbnails(jobs)
        help_command = self._clickable(caller.guild).mention("help")
        return lists.jobs(JobsPage(page, number, titles, names, thumbnails, help_command))

    async def queue(self, caller: Caller) -> Card:
        """The page of everybody's unfinished requests."""
        replies = [
            reply
            for reply in self._live_messages.living.values()
            if reply.view.terminal_update is None and reply.view.accepted
        ]
        # There may be thousands, of which a few are shown: only of these more is put together.
        rows = [_place_in_line(reply.view, caller) for reply in replies]
        by_job = {reply.view.job: reply for reply in replies}
        running, waiting = lists.selected(rows)
        readable: set[JobId] = set()

        async def ask(row: QueueRow) -> None:
            ref = by_job[row.job].place
            place = Place(ref.guild, ref.channel, ref.user)
            if await may_read(self._visibility, caller.user, row.owner, place):
                readable.add(row.job)

        async with anyio.create_task_group() as asking:
            for row in (*running, *waiting):
                asking.start_soon(partial(run_request, partial(ask, row), "who may read a request is not known"))

        def seen(rows: Iterable[QueueRow]) -> list[QueueRow]:
            return [self._described(row, by_job[row.job], private=row.job not in readable) for row in rows]

        count = sum(row.position is None for row in rows)
        return lists.queue(seen(running), seen(waiting), (count, len(rows) - count))

    def _described(self, row: QueueRow, reply: MessageReply, *, private: bool) -> QueueRow:
        view, place = reply.view, reply.place
        return replace(
            row,
            private=private,
            title=view.prompt,
            made_with=_made_with(view),
            link=place.link if place.message else "",
            server=self._server_names.get(view.server, UNNAMED) if view.server is not None else "",
            note=reason_text(view.note) if view.note is not None else "",
            pictures=view.pictures,
        )


def _place_in_line(view: JobView, caller: Caller) -> QueueRow:
    """A request of the queue without what it is about."""
    return QueueRow(
        job=view.job,
        owner=view.owner,
        own=view.owner == caller.user,
        position=None if view.started else view.position or 0,
        expected=view.expected,
    )


def _made_with(view: JobView) -> str:
    """The model of a job by its human name, as far as it is known; else its workflow."""
    return model_name(view.made_with) if view.made_with else view.title
