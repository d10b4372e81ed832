"""The command `generate`: makes pictures without Discord."""

from __future__ import annotations

import dataclasses
import random
import uuid
from functools import partial

from msgspec import structs
from rich.console import Console

from app.application import Services, comfies, open_clients, open_workers, run
from app.cli.arguments.commands import Generate
from app.cli.generate.frontend import draw, refusals, rows_of
from app.cli.generate.task import plan
from app.cli.output.folder import make_writable
from app.cli.output.renderers import choose
from app.cli.workflows.commands import open_filled
from app.cli.workflows.given import given_values
from app.config.settings import Config
from app.config.toml_table import ConfigError
from app.core.jobs.job import JobRequest
from app.events import JobId, ServerName
from app.ports import Json
from app.service.reasons import AllowedNowhere, PaidFromTerminal
from app.service.tasks.planner import TaskRequest
from app.system.standard_streams import complain
from app.workflows.binding.bind import bind
from app.workflows.model import WorkflowError


async def generate(command: Generate, config: Config, console: Console) -> int:
    """Run the command; return the exit code. Raises `ConfigError` and `WorkflowError`."""
    command = _with_task(command)
    given, sets = given_values(command)
    values: dict[str, Json] = dict(given)
    preset, named = command.preset, tuple[ServerName, ...]()
    configured = list(config.servers)
    async with open_workers(config, str(uuid.uuid4())) as workers, open_clients(config, workers=workers) as clients:
        servers = comfies(clients)
        configured += [offered.server for offered in workers.offered.values()] if workers is not None else ()
        if command.task is not None:
            request = TaskRequest(
                task=command.task, model=command.model, format=command.format, preset=preset, values=values
            )
            planned = await plan(request, config, servers)
            workflow, definitions, values = planned.workflow, planned.definitions, planned.values
            preset, named = planned.preset, planned.servers
        else:
            workflow, definitions = await open_filled(config.workflow_folders, command.workflow, values, servers)
    if not any(server.workflows is None or workflow.name in server.workflows for server in configured):
        raise WorkflowError(AllowedNowhere(workflow.name))
    if workflow.price is not None:
        raise WorkflowError(PaidFromTerminal(workflow.name))
    make_writable(command.out)
    fill = partial(bind, workflow, preset=preset, definitions=definitions)
    rng = random.SystemRandom()
    requests: list[JobRequest] = []
    for number in range(command.count):
        job = JobId(str(uuid.uuid4()))
        owner = f"#{number + 1}"
        filled = fill(job, values, sets, rng=rng, folder=str(command.out), owner=owner)
        requests.append(structs.replace(filled, servers=named))
    rows = rows_of(requests)

    async def frontend(services: Services) -> int:
        refused = await refusals(comfies(services.clients))
        for reason in refused.values():
            complain(f"{reason}")
        if len(refused) == len(services.clients):
            return 2
        show = choose(console, rows, json=command.json)
        return await draw(requests, rows, show, services.registry, services.shutdown, limit=command.timeout)

    return await run(_without_previews(config), frontend)


def _without_previews(config: Config) -> Config:
    """The configuration with servers that make no previews of our jobs: nobody sees them here, and they take time."""
    return structs.replace(config, servers=tuple(structs.replace(server, previews="off") for server in config.servers))


def _with_task(command: Generate) -> Generate:
    """The command with what was given for its task in the right places. Raises `ConfigError`."""
    if command.task is None:
        if not command.workflow:
            raise ConfigError("generate needs a WORKFLOW, or --task and what to make.")
        if command.model or command.format:
            raise ConfigError("--model and --format need --task, which says what to make.")
        return command
    # Without a WORKFLOW, the first SLOT=VALUE stands in its place.
    slots = tuple(filter(None, (command.workflow, *command.slots)))
    return dataclasses.replace(command, workflow="", slots=slots)
