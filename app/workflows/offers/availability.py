"""Determines which workflows of a folder people can use, and which servers can run each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from app.events import ServerName
from app.reasons import Reason
from app.workflows.files import Folders
from app.workflows.load import NeedsServer, Workflow, list_names, load
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.audit import Finding, audit
from app.workflows.offers.command_names import own_commands
from app.workflows.reasons.availability import MissingFollowUps, SameCommand, TaskHasCommand, UnknownFollowUpSlot
from app.workflows.reasons.wrapped import RunsOnNoServer
from app.workflows.task import TASK_COMMANDS


class Offer(Struct, frozen=True, kw_only=True):
    """One workflow of the folder. `problem` is why its files cannot be read, None if they can.

    If there is a problem, `workflow` is the last version that could be read, or None.
    """

    name: str
    workflow: Workflow | None = None
    problem: Reason | None = None
    findings: dict[ServerName, tuple[Finding, ...]] = {}
    """The audit findings, warnings included, for each server whose node definitions are known."""

    @property
    def servers(self) -> frozenset[ServerName]:
        """The servers that can run the workflow: those without an error among their findings."""
        return frozenset(
            server
            for server, findings in self.findings.items()
            if not any(finding.severity == "error" for finding in findings)
        )

    @property
    def refusal(self) -> Reason | None:
        """Why nobody can use the workflow, None if people can.

        As long as no server's node definitions are known, every server is assumed to have all nodes and models.
        """
        if self.workflow is None:
            return self.problem
        if not self.findings or self.servers:
            return None
        errors = (
            (server, next(finding.reason for finding in findings if finding.severity == "error"))
            for server, findings in self.findings.items()
        )
        return RunsOnNoServer(self.name, tuple(errors))


def offer(
    folders: Folders,
    name: str,
    known: Mapping[ServerName, Definitions],
    last_good: Workflow | None = None,
    paying: Collection[ServerName] = (),
) -> Offer:
    """Load a workflow, or use `last_good` if its files cannot be read, and audit it against each server.

    `paying` are the servers on which workflows may cost money.
    """
    problem = None
    try:
        workflow = _first(folders, name, list(known.values()))
    except WorkflowError as error:
        if last_good is None:
            return Offer(name=name, problem=error.reason)
        workflow, problem = last_good, error.reason
    findings = {
        server: tuple(audit(workflow.graph, workflow.slots, definitions, pays=server in paying, price=workflow.price))
        for server, definitions in known.items()
    }
    return Offer(name=name, workflow=workflow, problem=problem, findings=findings)


def offers(
    folders: Folders,
    known: Mapping[ServerName, Definitions],
    last_good: Mapping[str, Workflow] | None = None,
    paying: Collection[ServerName] = (),
) -> list[Offer]:
    """Return an `Offer` for every workflow, in the order of `list_names`; the arguments are those of `offer`."""
    return [offer(folders, name, known, (last_good or {}).get(name), paying) for name in list_names(folders)]


def _first(folders: Folders, name: str, known: Sequence[Definitions]) -> Workflow:
    """Load a workflow, converted by the first server that can convert it; most files need no server's definitions."""
    try:
        return load(folders, name)
    except NeedsServer:
        for number, definitions in enumerate(known, 1):
            try:
                return load(folders, name, definitions)
            except WorkflowError:
                if number == len(known):
                    raise
        raise


def conflicts(workflows: Sequence[Workflow]) -> Iterator[Reason]:
    """Yield a reason for each conflict between workflows.

    Conflicts are a command or menu entry that two workflows share, and a follow-up that fills a slot which its
    workflow does not have.
    """
    by_name = {workflow.name: workflow for workflow in workflows}
    kinds: tuple[Literal["command", "menu"], ...] = ("command", "menu")
    for what in kinds:
        owners: dict[str, str] = {}
        for workflow in workflows:
            value = workflow.command if what == "command" else workflow.menu
            if value and value in owners and value not in TASK_COMMANDS:
                yield SameCommand((owners[value], workflow.name), what, value)
            owners.setdefault(value, workflow.name)
    for workflow in workflows:
        for follow_up in workflow.follow_ups:
            if (other := by_name.get(follow_up.workflow)) is None:
                continue
            known = tuple(slot.name for slot in other.slots)
            for name in (follow_up.slot, *follow_up.values):
                if name not in known:
                    yield UnknownFollowUpSlot(workflow.name, other.name, name, known)


def warnings(offered: Sequence[Offer]) -> Iterator[Reason]:
    """Yield a reason for each workflow that is not quite as its manifest says.

    Follow-ups that the folder lacks have no button, and a command that a task has is replaced by another one.
    """
    names, workflows = {offer.name for offer in offered}, [offer.workflow for offer in offered if offer.workflow]
    commands = own_commands(workflows)
    for workflow in workflows:
        if workflow.command in TASK_COMMANDS:
            yield TaskHasCommand(workflow.name, workflow.command, commands[workflow.name])
    for workflow in workflows:
        missing = dict.fromkeys(
            follow_up.workflow for follow_up in workflow.follow_ups if follow_up.workflow not in names
        )
        if missing:
            yield MissingFollowUps(workflow.name, tuple(missing), tuple(sorted(names - {workflow.name})))
