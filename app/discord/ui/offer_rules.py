"""What Discord demands of the workflows that are offered in it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from app.discord.ui.menus import unlisted
from app.reasons import Reason
from app.service.reasons import CommandNotOffered, NameTooLong, NoRoomForCommand, NotAnId
from app.texts.discord.commands import BUILT_IN, MODERATOR
from app.workflows.load import Workflow
from app.workflows.offers.command_names import own_commands
from app.workflows.task import TASK_COMMANDS

LONGEST_WORKFLOW = 52
"""Characters. With a verb, two numbers and a job's id the name must fit into a custom id's hundred characters."""


MOST_COMMANDS = 100
"""Slash commands that one application may have (Discord's limit)."""

MOST_WORKFLOW_COMMANDS = MOST_COMMANDS - len(BUILT_IN) - len(MODERATOR) - len(TASK_COMMANDS)


def name_problem(name: str) -> Reason | None:
    """Why a workflow of this name cannot be offered in Discord; None if it can."""
    return NameTooLong(name, LONGEST_WORKFLOW) if len(name) > LONGEST_WORKFLOW else None


def with_commands(workflows: Mapping[str, Workflow], wanted: Collection[str] | None = None) -> dict[str, Workflow]:
    """The workflows with the commands that Discord gets, "" for none: at most `MOST_WORKFLOW_COMMANDS`.

    `wanted` are the names of the workflows that the operator wants commands for, None for all.
    """
    commands = own_commands(list(workflows.values()))
    names = [name for name in commands if wanted is None or name in wanted][:MOST_WORKFLOW_COMMANDS]
    return {
        name: replace(workflow, command=commands[name] if name in names else "") for name, workflow in workflows.items()
    }


def warnings(workflows: Sequence[Workflow], wanted: Collection[str] | None = None) -> Iterator[Reason]:
    """Yield a reason for each thing in the manifests that Discord cannot show or understand.

    `wanted` is as in `with_commands`.
    """
    yield from unlisted(workflows)
    by_name = {workflow.name: workflow for workflow in workflows}
    for name in wanted or ():
        if name not in by_name:
            yield CommandNotOffered(name, tuple(by_name))
    names = [name for name in own_commands(workflows) if wanted is None or name in wanted]
    if len(names) > MOST_WORKFLOW_COMMANDS:
        yield NoRoomForCommand(tuple(names[MOST_WORKFLOW_COMMANDS:]), MOST_WORKFLOW_COMMANDS)
    for workflow in workflows:
        for person in (*workflow.users, *workflow.roles):
            if not person.isdecimal():
                yield NotAnId(workflow.name, person)
