"""Runs the commands of `workflows`.

What only some of them need is imported in the function: the clients take a third of the time in which `workflows list`
is done.
"""

from __future__ import annotations

import msgspec
from rich.console import Console

from app.cli.arguments.commands import (
    CheckWorkflows,
    FillWorkflow,
    ListWorkflows,
    NewWorkflow,
    PrintSchema,
    ShowWorkflow,
    WorkflowsCommand,
)
from app.cli.workflows.commands import check_workflows, fill_in, list_workflows, show_workflow
from app.cli.workflows.given import given_values
from app.config.settings import Config
from app.system.standard_streams import complain


async def execute(command: WorkflowsCommand, config: Config, console: Console) -> int:
    """Run a command of `workflows`; return the exit code. Raises `ConfigError` and `WorkflowError`."""
    folders = config.workflow_folders
    if isinstance(command, ListWorkflows):
        return list_workflows(console, folders)
    if isinstance(command, PrintSchema):
        from app.workflows.manifest.schema import schema

        print(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
        return 0
    from app.application import comfies, open_clients

    async with open_clients(config) as clients:
        servers = comfies(clients)
        match command:
            case ShowWorkflow():
                return await show_workflow(console, folders, command.workflow, servers)
            case NewWorkflow():
                from app.cli.workflows.new import new_workflow

                await new_workflow(console, folders, command.file, servers, config.paying_servers)
            case CheckWorkflows():
                return await check_workflows(console, folders, command.workflow, servers, config.paying_servers)
            case FillWorkflow():
                values, sets = given_values(command)
                graph, notes = await fill_in(folders, command.workflow, values, sets, command.preset, servers)
                print(graph)
                for note in notes:
                    complain(note)
    return 0
