"""What can be offered to people: the workflows of a folder, and the servers that can run each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from app.events import ServerName
from app.workflows.audit import Finding, audit
from app.workflows.load import NeedsServer, Workflow, list_names, load
from app.workflows.model import WorkflowError, suggest
from app.workflows.node_definitions import Definitions


class Offer(Struct, frozen=True, kw_only=True):
    """One workflow of the folder. `problem` is the sentence why its files cannot be read, else "".

    With a problem, `workflow` is the last version that could be read, or None.
    """

    name: str
    workflow: Workflow | None = None
    problem: str = ""
    findings: dict[ServerName, tuple[Finding, ...]] = {}
    """What each server that was asked has against it, also what does no harm."""

    @property
    def servers(self) -> frozenset[ServerName]:
        """The servers that can run it."""
        return frozenset(
            server
            for server, found in self.findings.items()
            if not any(finding.severity == "error" for finding in found)
        )

    @property
    def refusal(self) -> str:
        """Why nobody can use it, "" if people can. As long as no server was asked, each is believed to have all."""
        if self.workflow is None:
            return self.problem
        if not self.findings or self.servers:
            return ""
        errors = (
            f"{server}: {next(one.sentence for one in found if one.severity == 'error')}"
            for server, found in self.findings.items()
        )
        return f"{self.name} can run on no server. {' '.join(errors)}"


def offer(folder: Path, name: str, known: Mapping[ServerName, Definitions], last_good: Workflow | None = None) -> Offer:
    """Load a workflow, or else take its last good version, and audit it against each server."""
    problem = ""
    try:
        workflow = _first(folder, name, list(known.values()))
    except WorkflowError as error:
        if last_good is None:
            return Offer(name=name, problem=str(error))
        workflow, problem = last_good, str(error)
    findings = {
        server: tuple(audit(workflow.graph, workflow.slots, definitions)) for server, definitions in known.items()
    }
    return Offer(name=name, workflow=workflow, problem=problem, findings=findings)


def offers(
    folder: Path, known: Mapping[ServerName, Definitions], last_good: Mapping[str, Workflow] | None = None
) -> list[Offer]:
    """All workflows of a folder, by name."""
    return [offer(folder, name, known, (last_good or {}).get(name)) for name in list_names(folder)]


def _first(folder: Path, name: str, known: Sequence[Definitions]) -> Workflow:
    """The workflow as the first server has it that can make sense of it; most files need none."""
    try:
        return load(folder, name)
    except NeedsServer:
        for number, definitions in enumerate(known, 1):
            try:
                return load(folder, name, definitions)
            except WorkflowError:
                if number == len(known):
                    raise
        raise


def conflicts(workflows: Sequence[Workflow]) -> Iterator[str]:
    """Sentences on what is wrong only between workflows: one command for two, a follow-up's slot that is not there."""
    by_name = {one.name: one for one in workflows}
    for what in ("command", "menu"):
        owners: dict[str, str] = {}
        for one in workflows:
            word = one.command if what == "command" else one.menu
            if word and word in owners:
                yield f"The workflows {owners[word]} and {one.name} have the same {what} “{word}”: change one."
            owners.setdefault(word, one.name)
    for one in workflows:
        for follow_up in one.follow_ups:
            if (other := by_name.get(follow_up.workflow)) is None:
                continue
            known = [slot.name for slot in other.slots]
            for name in (follow_up.slot, *follow_up.values):
                if name not in known:
                    yield f"{one.name} fills {name} of {other.name}, which is no slot there{suggest(name, known)}"


def warnings(found: Sequence[Offer]) -> Iterator[str]:
    """A sentence for each workflow whose follow-ups are not in the folder: their buttons are left out."""
    names = {one.name for one in found}
    for workflow in (one.workflow for one in found if one.workflow is not None):
        missing = dict.fromkeys(one.workflow for one in workflow.follow_ups if one.workflow not in names)
        if missing:
            told = " and ".join(f"“{name}”" for name in missing)
            hint = suggest(next(iter(missing)), names - {workflow.name}) if len(missing) == 1 else "."
            yield f"{workflow.name} is to be followed by {told}, which this folder does not have{hint}"
