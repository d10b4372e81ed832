"""Collects what /help and /models show: what the asking person can make now, and with what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import median

from app.core.journal_port import JobHistory
from app.discord.ui import help_page, models_page
from app.discord.ui.components import Card
from app.discord.ui.help_page import Commands, Help
from app.discord.ui.models_page import UsableWorkflow
from app.discord.ui.options import Command
from app.discord.user_request import Caller
from app.events import ServerName
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.offers.examples import example_workflow
from app.service.people.permissions import can_use
from app.service.requests import Person
from app.service.server_monitor import ServerMonitor
from app.texts.discord.commands import BUILT_IN, MODERATOR
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED


class OfferPages:
    """Makes the pages of /help and /models.

    `servers` are all servers. `registered` returns the registered commands and menus, `command_ids` Discord's ids of
    the commands in a Discord server by their names. `built_in` are the bot's own commands, with what they do.
    """

    def __init__(
        self,
        *,
        job_history: JobHistory,
        catalog: Catalog,
        choices: Choices,
        server_monitor: ServerMonitor,
        servers: Collection[ServerName],
        registered: Callable[[], tuple[Sequence[Command], Sequence[str]]],
        command_ids: Callable[[str], Mapping[str, int]],
        built_in: Mapping[str, str] = BUILT_IN,
    ) -> None:
        self._built_in = built_in
        self._job_history = job_history
        self._catalog = catalog
        self._choices = choices
        self._server_monitor = server_monitor
        self._servers = servers
        self._registered = registered
        self._command_ids = command_ids

    def help(self, caller: Caller) -> Card:
        """The help page, with the commands that the caller may use."""
        commands, menus = self._registered()
        usable = self._usable(caller)
        names, tasks = {workflow.name for workflow in usable}, {workflow.task for workflow in usable}
        offered = [
            command for command in commands if (command.task in tasks if command.task else command.workflow in names)
        ]
        return help_page.help_page(
            Help(
                # What is made comes before the workflows that make it.
                commands=sorted(offered, key=lambda command: not command.task),
                own=self._built_in,
                moderator=MODERATOR if caller.moderator and caller.guild else {},
                menus=menus,
                clickable=self.clickable(caller.guild),
                example=self.first_command(caller),
            )
        )

    def first_command(self, person: Person | None = None) -> str:
        """The name of the command with which a person, or everybody, makes a first picture; "" if there is none."""
        workflow = example_workflow(self._catalog.workflows.values(), person)
        if workflow is None:
            return ""
        commands, _ = self._registered()
        of_task = (command.name for command in commands if command.task and command.task == workflow.task)
        return next(of_task, workflow.command)

    def clickable(self, guild: str) -> Commands:
        """The commands of a Discord server, to be clicked."""
        return Commands(self._command_ids(guild))

    async def models(self, caller: Caller) -> Card:
        """The page of workflows and models that the caller may use."""
        workflows, servers = self._usable(caller), frozenset(self._servers)
        answering = servers - self._server_monitor.away
        # If none answers, the page says so once, and shows what is there when they do.
        counted = answering or servers
        seconds = await self._usual_seconds()
        clickable = self.clickable(caller.guild)
        shown = [
            UsableWorkflow(
                title=workflow.title or workflow.name,
                mention=clickable.mention(workflow.command) if workflow.command else "",
                result=workflow.result,
                description=workflow.description,
                sources=tuple(slot.kind for slot in workflow.slots if slot.required and slot.kind in UPLOADED),
                words=any(slot.kind == "text" for slot in workflow.slots),
                servers=len(counted & frozenset(self._catalog.servers.get(workflow.name, servers))),
                seconds=seconds.get(workflow.name),
            )
            for workflow in workflows
        ]
        # What can be made just now comes first.
        shown.sort(key=lambda workflow: not workflow.servers)
        return models_page.models(shown, await self._models(workflows, counted), len(servers), len(answering))

    def _usable(self, caller: Caller) -> list[Workflow]:
        return [workflow for workflow in self._catalog.workflows.values() if can_use(workflow, caller)]

    async def _models(
        self, workflows: Sequence[Workflow], counted: Collection[ServerName]
    ) -> dict[str, Mapping[str, int]]:
        """The models that these servers have, by the title of their slot, with how many have each."""
        models: dict[str, dict[str, int]] = defaultdict(dict)
        for workflow in workflows:
            for slot in workflow.slots:
                if slot.kind == "model":
                    for name, servers in (await self._choices.servers_with(workflow, slot)).items():
                        # A list of the manifest's own is for all servers.
                        count = sum(server in counted for server in servers) if servers else len(counted)
                        if count:
                            models[slot.title][name] = max(count, models[slot.title].get(name, 0))
        return dict(models)

    async def _usual_seconds(self) -> dict[str, float]:
        """How long a run of each workflow usually took, of those that were measured."""
        seconds: dict[str, list[float]] = defaultdict(list)
        for run in await self._job_history.runs():
            if run.completed:
                seconds[run.workflow].append(run.seconds)
        return {workflow: median(values) for workflow, values in seconds.items()}
