"""Which workflow gets which slash command, beside the commands of the tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.workflows.discovery.candidates import LONGEST, slug
from app.workflows.load import Workflow
from app.workflows.manifest.schema import BUILT_IN
from app.workflows.task import TASK_COMMANDS


def own_commands(workflows: Sequence[Workflow]) -> dict[str, str]:
    """The command of each workflow that has one, by the workflow's name; of two with the same one, the first.

    A command that a task has is replaced by the workflow's name, or by a similar one if that is taken.
    """
    commands: dict[str, str] = {}
    taken = {*TASK_COMMANDS, *BUILT_IN}
    for workflow in workflows:
        if workflow.command and workflow.command not in taken:
            commands[workflow.name] = workflow.command
            taken.add(workflow.command)
    for workflow in workflows:
        if workflow.command in TASK_COMMANDS:
            commands[workflow.name] = command = next(name for name in _similar(workflow) if name not in taken)
            taken.add(command)
    # In the order of the workflows, whichever of the two loops found a name.
    return {workflow.name: commands[workflow.name] for workflow in workflows if workflow.name in commands}


def _similar(workflow: Workflow) -> Iterator[str]:
    """Names for the command of a workflow whose own one is taken."""
    if name := slug(workflow.name, LONGEST):
        yield name
    number = 2
    while True:
        yield f"{workflow.command}-{number}"
        number += 1
