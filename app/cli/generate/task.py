"""Requests for a task from the command line: which workflow they are for, and with which values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from app.cli.workflows.definitions import ask
from app.config.settings import Config
from app.events import ServerName
from app.ports import Comfy, Json
from app.service.offers.model_servers import lists_models
from app.service.requests import Person
from app.service.tasks.models import TaskModels
from app.service.tasks.planner import TaskPlanner, TaskRequest
from app.service.tasks.presets import available
from app.workflows.binding.batch import COUNT
from app.workflows.load import Workflow
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.availability import offers


class Planned(Struct, frozen=True, kw_only=True):
    """A workflow, the values to fill in, the servers that can run it with them, and the definitions of one of these."""

    workflow: Workflow
    values: dict[str, Json]
    preset: str
    servers: tuple[ServerName, ...]
    definitions: Definitions | None


class _Servers:
    """What these servers can run now, as `app.service.tasks.models.Offered`."""

    def __init__(
        self, config: Config, known: Mapping[ServerName, Definitions], allowed: Mapping[str, Collection[str] | None]
    ) -> None:
        self._known = known
        self.able: dict[str, list[ServerName]] = {}
        workflows: dict[str, Workflow] = {}
        for offer in offers(config.workflow_folders, known, paying=config.paying_servers):
            permitted = [name for name, names in allowed.items() if names is None or offer.name in names]
            able = [ServerName(name) for name in permitted if name in offer.servers or not known]
            if offer.workflow is not None and able:
                workflows[offer.name], self.able[offer.name] = offer.workflow, able
        self.workflows: Mapping[str, Workflow] = workflows

    def able_definitions(self, name: str) -> Sequence[Definitions]:
        """See `app.service.tasks.models.Offered`."""
        return [self._known[server] for server in self.able.get(name, ()) if server in self._known]


async def plan(request: TaskRequest, config: Config, servers: Mapping[ServerName, Comfy]) -> Planned:
    """Ask the servers what they have, and decide what the request means. Raises `WorkflowError`."""
    known = await ask(servers)
    here = _Servers(config, known, {server.label: server.workflows for server in config.servers})
    planner = TaskPlanner(TaskModels(here, config.tasks), available(config.presets))
    job = planner.plan(request, Person(user=""))
    workflow = here.workflows[job.workflow]
    # One picture for each job: the command line has its own count of jobs.
    values = {name: value for name, value in job.defaults.items() if name != COUNT} | job.values
    having = [
        name for name in here.able[job.workflow] if name not in known or lists_models(workflow, known[name], values)
    ]
    definitions = next((known[name] for name in having if name in known), None)
    return Planned(workflow=workflow, values=values, preset=job.preset, servers=tuple(having), definitions=definitions)
