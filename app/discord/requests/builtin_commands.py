"""The bot's own commands: jobs, queue, results, usage, models, settings, status and help."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from app.actors.handle import Registry
from app.core.jobs.batches import without_parts
from app.core.jobs.job import Job
from app.core.journal_port import JobHistory
from app.core.servers.power import view_of
from app.discord.custom_id import Press
from app.discord.messages.live_messages import LiveMessages
from app.discord.requests.job_lists import JobLists
from app.discord.requests.offer_pages import OfferPages
from app.discord.requests.responder import Responder
from app.discord.text import shorten
from app.discord.ui import pages
from app.discord.ui.components import Card
from app.discord.ui.lists import NEWER, QUEUE
from app.discord.ui.options import LONGEST_CHOICE, MOST_CHOICES
from app.discord.user_request import BuiltinCommand, Caller
from app.events import Cancelled, ServerName
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.page_access import PageAccess
from app.service.people.allowances import Allowances, origin_of
from app.service.people.notifications import Notifications, workflow_settings
from app.service.people.visibility import OwnOnly, Visibility
from app.service.server_monitor import ServerMonitor
from app.service.statistics import accuracy
from app.texts.discord import answers
from app.texts.discord.notifications import DIRECT_MESSAGES_CLOSED

EVERYTHING = "everything"
"""The argument of /settings that resets somebody's settings for all workflows at once."""

LOOKED_THROUGH = 100
"""Recent jobs of one person that are searched for what was typed: more than anybody remembers."""


class BuiltinCommands:
    """Answers each `BuiltinCommand`, and suggests what to type for an option.

    `latency` returns Discord's latency in seconds;
    `server_names` maps each server to the name that people may read. `started` returns the servers that the bot starts
    and stops. `visibility` says whose requests a person may read; without it, everybody reads their own.
    `page` lets people into the web page, if there is one.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        job_history: JobHistory,
        catalog: Catalog,
        allowances: Allowances,
        choices: Choices,
        server_monitor: ServerMonitor,
        live_messages: LiveMessages,
        responder: Responder,
        latency: Callable[[], float],
        offer_pages: OfferPages,
        server_names: Mapping[ServerName, str],
        notifications: Notifications,
        started: Callable[[], Collection[ServerName]] = tuple,
        visibility: Visibility | None = None,
        page: PageAccess | None = None,
    ) -> None:
        self._page = page
        self._notifications = notifications
        self._job_lists = JobLists(
            job_history, catalog, live_messages, server_names, visibility or OwnOnly(), offer_pages.clickable
        )
        self._started = started
        self._registry = registry
        self._job_history = job_history
        self._catalog = catalog
        self._allowances = allowances
        self._choices = choices
        self._server_monitor = server_monitor
        self._live_messages = live_messages
        self._responder = responder
        self._latency = latency
        self._offer_pages = offer_pages
        self._server_names = server_names

    async def take(self, command: BuiltinCommand, caller: Caller) -> None:
        """Answer one command."""
        match command.command:
            case "jobs":
                await self._responder.tell(caller, await self._job_lists.jobs(caller))
            case "queue":
                await self._responder.tell(caller, await self._job_lists.queue(caller))
            case "cancel":
                await self._cancel(command.argument, caller)
            case "show":
                await self._show(command.argument, caller)
            case "usage":
                grant = await self._allowances.grant(caller)
                used, spent = await self._registry.usage(origin_of(caller), grant.allowances, grant.budget)
                await self._responder.tell(caller, pages.usage(used, grant.weight, spent))
            case "models":
                await self._responder.tell(caller, await self._offer_pages.models(caller))
            case "page" if self._page is not None:
                page = self._page
                card = pages.web_page(page.link(caller.user), page.address if page.has_login else "")
                await self._responder.tell(caller, card)
            case "settings":
                await self._settings(command.argument, caller)
            case "status":
                unfinished = [job for job in without_parts(await self._job_history.unfinished()) if not job.notified]
                servers, refused = await self._server_monitor.status(), self._catalog.refused
                starts = accuracy(await self._job_history.runs())
                drained = {server.name for server in await self._job_history.drained()}
                periods = await self._job_history.on_periods()
                power = {name: view_of(name, periods) for name in self._started()}
                card = pages.status(
                    servers, self._server_names, self._latency(), len(unfinished), refused, starts, drained, power
                )
                await self._responder.tell(caller, card)
            case _:
                await self._responder.tell(caller, self._offer_pages.help(caller))

    async def turn_page(self, press: Press, caller: Caller) -> None:
        """Show another page of a list, in place of the one whose button was pressed."""
        if press.verb == QUEUE:
            card = await self._job_lists.queue(caller)
        else:
            key = int(press.job) if press.job.isascii() and press.job.isdecimal() else 0
            card = await self._job_lists.jobs(caller, press.result, key, newer=press.verb == NEWER)
        await self._responder.replace(caller, card)

    async def suggest_values(self, workflow: str, slot: str, typed: str) -> list[str]:
        """The values for a workflow's slot that match what was typed; the presets if `slot` is ""."""
        offered = self._catalog.workflows.get(workflow)
        if offered is not None and slot == "":
            return [name for name in offered.presets if typed.lower() in name.lower()][:MOST_CHOICES]
        named = next((each for each in offered.slots if each.name == slot), None) if offered else None
        if offered is None or named is None:
            return []
        names = await self._choices.of(offered, named)
        # Several LoRAs may be given, separated by commas: only the last is being typed.
        before, comma, last = typed.rpartition(",") if named.kind == "lora" else ("", "", typed)
        pending = f"{before}, " if comma else ""
        fitting = [f"{pending}{name}" for name in names if last.strip().lower() in name.lower()]
        return [name for name in fitting if len(name) <= LONGEST_CHOICE][:MOST_CHOICES]

    async def suggest(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """The user's jobs, or settings, that match what was typed: pairs of what to show and its value."""
        if command == "settings":
            owned = [EVERYTHING, *workflow_settings(await self._job_history.preferences(user))]
            return [(name, name) for name in owned if typed.lower() in name.lower()][:MOST_CHOICES]
        jobs = await self._job_history.jobs_of(user, LOOKED_THROUGH)
        if command == "cancel":
            fitting = [job for job in jobs if _can_be_cancelled(job)]
        else:
            fitting = [job for job in jobs if job.terminal_update is not None]
        named = [(_name(job), str(job.id)) for job in fitting]
        return [(name, job) for name, job in named if typed.lower() in name.lower()][:MOST_CHOICES]

    async def _own_job(self, argument: str, caller: Caller) -> Job | None:
        """The job that the argument names, if it is the caller's own; without one, the newest that can be cancelled."""
        if argument:
            job = await self._job_history.find(argument.strip())
            return job if job is not None and job.request.owner == caller.user else None
        jobs = await self._job_history.jobs_of(caller.user, LOOKED_THROUGH)
        return next(filter(_can_be_cancelled, jobs), None)

    async def _cancel(self, argument: str, caller: Caller) -> None:
        job = await self._own_job(argument, caller)
        if job is None:
            sentence = answers.NO_SUCH_JOB if argument else answers.NOTHING_IN_QUEUE
        elif not _can_be_cancelled(job):
            sentence = answers.ALREADY_ENDED
        else:
            await self._registry.cancel(job.id)
            sentence = answers.cancelling(_name(job))
        await self._responder.refuse(caller, sentence)

    async def _settings(self, argument: str, caller: Caller) -> None:
        person = caller.user
        saved = await self._job_history.preferences(person)
        if argument:
            gone = (
                list(saved)
                if argument == EVERYTHING
                else [name for name in workflow_settings(saved) if name == argument]
            )
            if not gone:
                await self._responder.refuse(caller, answers.NOTHING_SAVED_THERE)
                return
            for name in gone:
                await self._job_history.prefer(person, name, {})
        await self._responder.tell(caller, await self._own_settings(person))

    async def choose_notification(self, way: str, caller: Caller) -> None:
        """Save how the caller wants to be notified, and show it in the message whose button was pressed."""
        await self._notifications.choose(caller.user, way)
        await self._responder.replace(caller, await self._own_settings(caller.user))

    async def _own_settings(self, person: str) -> Card:
        saved, notifications = await self._job_history.preferences(person), self._notifications
        way = notifications.chosen(saved) if notifications.enabled else None
        note = "" if way != "dm" or notifications.takes_direct_messages(person) else DIRECT_MESSAGES_CLOSED
        return pages.own_settings(workflow_settings(saved), self._catalog.workflows, way, note)

    async def _show(self, argument: str, caller: Caller) -> None:
        job = await self._own_job(argument, caller) if argument else None
        if job is None:
            await self._responder.refuse(caller, answers.NO_SUCH_JOB)
        elif job.terminal_update is None:
            await self._responder.refuse(caller, answers.STILL_RUNNING)
        else:
            await self._live_messages.show_again(job, caller)


def _can_be_cancelled(job: Job) -> bool:
    """Whether its owner has not read how it ended, and did not cancel it."""
    return not job.notified and not isinstance(job.terminal_update, Cancelled)


def _name(job: Job) -> str:
    prompt = " ".join(str(job.request.values.get("prompt", "")).split())
    return shorten(f"{job.id[:8]} {job.request.workflow} {prompt}".strip(), 100)
