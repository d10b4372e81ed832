"""The bot's own commands: jobs, queue, results, models, settings, status and help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from app.core.job import Job
from app.discord import message_ref
from app.discord.requests.session import DiscordSession
from app.discord.text import shorten
from app.discord.ui import pages
from app.discord.ui.options import LONGEST_CHOICE, MOST_CHOICES, Command
from app.discord.user_request import BuiltinCommand
from app.events import ServerName
from app.ports import Comfy, ConnectionLost, Refused

BUILT_IN = {
    "jobs": "Your own jobs, with a link and a way to cancel each.",
    "queue": "What is being made, and what waits, everybody's.",
    "cancel": "Take back a job of yours; the newest, unless you name one.",
    "show": "Bring back any result of yours.",
    "models": "The models there are to choose from.",
    "settings": "Your own settings, workflow by workflow.",
    "status": "How the bot and its servers are.",
    "help": "What one can do here.",
}
"""The bot's own commands, and their descriptions."""

EVERYTHING = "everything"
"""The argument of /settings that resets somebody's settings for all workflows at once."""

LOOKED_THROUGH = 100
"""Recent jobs of one person that are searched for what was typed: more than anybody remembers."""

FIRST_LOOK = 2.0
"""Seconds for a server to report its status."""


class BuiltinCommands:
    """Answers each `BuiltinCommand`.

    `latency` returns Discord's latency in seconds, `registered` the registered commands and menus.
    """

    def __init__(
        self,
        session: DiscordSession,
        latency: Callable[[], float],
        registered: Callable[[], tuple[Sequence[Command], Sequence[str]]],
    ) -> None:
        self._session = session
        self._latency = latency
        self._registered = registered

    async def take(self, word: BuiltinCommand) -> None:
        """Answer one command."""
        caller, session = word.caller, self._session
        match word.command:
            case "jobs":
                found = await session.job_history.jobs_of(caller.user, pages.MOST_JOBS)
                await session.tell(caller, pages.jobs(found))
            case "queue":
                await session.tell(caller, pages.queue(await self._queue()))
            case "cancel":
                await self._cancel(word)
            case "show":
                await self._show(word)
            case "models":
                await session.tell(caller, pages.models(await self._models()))
            case "settings":
                await self._settings(word)
            case "status":
                unfinished = await session.job_history.unfinished()
                health, refused = await self._health(), session.catalog.refused
                await session.tell(caller, pages.status(health, self._latency(), len(unfinished), refused))
            case _:
                commands, menus = self._registered()
                await session.tell(caller, pages.manual(commands, BUILT_IN, menus))

    async def suggest_values(self, workflow: str, slot: str, typed: str) -> list[str]:
        """The values for a workflow's slot that match what was typed; the presets if `slot` is ""."""
        found = self._session.catalog.workflows.get(workflow)
        if found is not None and slot == "":
            return [name for name in found.presets if typed.lower() in name.lower()][:MOST_CHOICES]
        named = next((one for one in found.slots if one.name == slot), None) if found else None
        if found is None or named is None:
            return []
        names = await self._session.lists.of(found, named)
        # Several LoRAs may be given, separated by commas: only the last is being typed.
        before, comma, last = typed.rpartition(",") if named.kind == "lora" else ("", "", typed)
        pending = f"{before}, " if comma else ""
        fitting = [f"{pending}{name}" for name in names if last.strip().lower() in name.lower()]
        return [name for name in fitting if len(name) <= LONGEST_CHOICE][:MOST_CHOICES]

    async def suggest(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """The user's jobs, or settings, that match what was typed: pairs of what to show and its value."""
        if command == "settings":
            owned = [EVERYTHING, *await self._session.job_history.preferences(user)]
            return [(name, name) for name in owned if typed.lower() in name.lower()][:MOST_CHOICES]
        found = await self._session.job_history.jobs_of(user, LOOKED_THROUGH)
        wanted = [job for job in found if (job.terminal_update is None) == (command == "cancel")]
        named = [(_name(job), str(job.id)) for job in wanted]
        return [(name, job) for name, job in named if typed.lower() in name.lower()][:MOST_CHOICES]

    async def _queue(self) -> list[tuple[int | None, Job]]:
        rows: list[tuple[int | None, Job]] = []
        for job in await self._session.job_history.unfinished():
            reply = self._session.living.get(job.id)
            if job.terminal_update is None and reply is not None:
                rows.append((None if reply.view.started else reply.view.position or 0, job))
        return rows

    async def _own(self, word: BuiltinCommand) -> Job | None:
        """The job that the command names, if it is the caller's own; without an argument the newest unfinished one."""
        if word.argument:
            job = await self._session.job_history.find(word.argument.strip())
            return job if job is not None and job.request.owner == word.caller.user else None
        found = await self._session.job_history.jobs_of(word.caller.user, LOOKED_THROUGH)
        return next((job for job in found if job.terminal_update is None), None)

    async def _cancel(self, word: BuiltinCommand) -> None:
        job = await self._own(word)
        if job is None:
            told = "None of your jobs is called so: see /jobs." if word.argument else "Nothing of yours is unfinished."
            await self._session.refuse(word.caller, told)
        elif job.terminal_update is not None:
            await self._session.refuse(word.caller, "This has ended already.")
        else:
            await self._session.registry.cancel(job.id)
            await self._session.refuse(word.caller, f"Cancelling {_name(job)}.")

    async def _settings(self, word: BuiltinCommand) -> None:
        session, person = self._session, word.caller.user
        found = await session.job_history.preferences(person)
        if word.argument:
            gone = list(found) if word.argument == EVERYTHING else [name for name in found if name == word.argument]
            if not gone:
                await session.refuse(word.caller, "You have no settings of your own there: see /settings.")
                return
            for name in gone:
                await session.job_history.prefer(person, name, {})
            found = await session.job_history.preferences(person)
        await session.tell(word.caller, pages.own_settings(found, session.catalog.workflows))

    async def _show(self, word: BuiltinCommand) -> None:
        job = await self._own(word) if word.argument else None
        if job is None:
            await self._session.refuse(word.caller, "None of your jobs is called so: see /jobs.")
        elif job.terminal_update is None:
            await self._session.refuse(word.caller, "This is still being made: see /jobs.")
        else:
            await self._session.show_again(job, word.caller, message_ref.read(job.place))

    async def _models(self) -> dict[str, Sequence[str]]:
        found: dict[str, Sequence[str]] = {}
        for workflow in self._session.catalog.workflows.values():
            for slot in workflow.slots:
                if slot.kind == "model" and slot.title not in found:
                    found[slot.title] = await self._session.lists.of(workflow, slot)
        return found

    async def _health(self) -> list[pages.Health]:
        found: dict[ServerName, pages.Health] = {
            name: pages.Health(name, reason="It does not answer.") for name in self._session.servers
        }

        async def look(name: ServerName, comfy: Comfy) -> None:
            before = anyio.current_time()
            try:
                stats = await comfy.stats()
                took = round((anyio.current_time() - before) * 1000)
                lying = await comfy.queue()
            except (ConnectionLost, Refused):
                return
            found[name] = pages.Health(name, stats, len(lying.running), len(lying.pending), took)

        with anyio.move_on_after(FIRST_LOOK):
            async with anyio.create_task_group() as looks:
                for name, comfy in self._session.servers.items():
                    looks.start_soon(look, name, comfy, name=f"look {name}")
        return list(found.values())


def _name(job: Job) -> str:
    prompt = " ".join(str(job.request.values.get("prompt", "")).split())
    return shorten(f"{job.id[:8]} {job.request.workflow} {prompt}".strip(), 100)
