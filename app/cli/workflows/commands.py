"""Lists, shows, fills in and checks workflows."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.workflows.definitions import Known, ask, open_workflow
from app.core.jobs.job import JobRequest
from app.core.jobs.progress import title
from app.events import JobId, ServerName
from app.ports import Comfy, Graph, Json
from app.texts.reasons.text import reason_text
from app.texts.wording import inputs_text, number_text
from app.workflows.api_graph import inputs
from app.workflows.binding.bind import bind
from app.workflows.discovery.candidates import places
from app.workflows.files import Folders, as_folders, list_names
from app.workflows.load import NeedsServer, Workflow, load
from app.workflows.model import Slot, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.availability import Offer, conflicts, offer, warnings
from app.workflows.variations.derive import Change, problem

SHOWN = 60
"""Characters of a value in a table."""

CHECKED_CHANGES: tuple[Change, Change] = ("subtle", "zoom")
"""One change of each kind: the others of that kind need the same."""

NEEDING_NAMES = frozenset({"lora", "size"})
"""Kinds of slots whose values are parsed better if a server's lists and steps are known."""


def list_workflows(console: Console, folders: Folders) -> int:
    """Print a line for each workflow, with the error for each that cannot be loaded; return the exit code."""
    table = _table("name", "command", "title", "slots")
    for name in list_names(folders):
        try:
            workflow = load(folders, name)
        except NeedsServer:
            table.add_row(Text(name), "", Text("in the editor's own format; show and check ask a server", "dim"), "")
        except WorkflowError as error:
            table.add_row(Text(name), "", Text(reason_text(error.reason), "red"), "")
        else:
            table.add_row(Text(name), Text(_called(workflow)), Text(workflow.title), str(len(workflow.slots)))
    if not table.row_count:
        console.print(Text(f"There are no workflows in {as_folders(folders)[0]}; see workflows new."))
        return 0
    console.print(table)
    return 0


async def show_workflow(
    console: Console, folders: Folders, name_or_path: str, servers: Mapping[ServerName, Comfy]
) -> int:
    """Print a workflow's slots as a table; return the exit code. Raises `WorkflowError`."""
    workflow, definitions = await open_workflow(folders, name_or_path, servers)
    head = " · ".join(filter(None, (workflow.title, _called(workflow), workflow.result)))
    console.print(Text(head, "bold"))
    if workflow.description:
        console.print(Text(workflow.description))
    console.print(slots_table(workflow))
    for name, values in workflow.presets.items():
        console.print(Text(f"preset {name}: {', '.join(f'{key}={value}' for key, value in values.items())}"))
    for follow_up in workflow.follow_ups:
        console.print(Text(f"then {follow_up.workflow}, which gets the result as its {follow_up.slot}"))
    console.print(Text(_changes(workflow.graph, definitions)))
    for note in workflow.notes:
        console.print(Text(reason_text(note), "yellow"))
    return 0


def _changes(graph: Graph, definitions: Definitions | None) -> str:
    """What can be done to the pictures of a workflow, or why nothing can be."""
    varied, extended = (problem(graph, change, definitions) for change in CHECKED_CHANGES)
    if varied is not None:
        return f"not varied: {reason_text(varied)}"
    if extended is not None:
        return f"then varied, but not extended: {reason_text(extended)}"
    return "then varied (Vary) and extended (Zoom out, Pan)"


def slots_table(workflow: Workflow) -> Table:
    """A table with one line for each slot."""
    table = _table("slot", "kind", "what it fills", "unless told", "limits", "shown in")
    for slot in workflow.slots:
        table.add_row(
            Text(f"{slot.name}{' (required)' if slot.required else ''}"),
            slot.kind,
            Text(_filled(workflow.graph, slot)),
            Text(_present(workflow.graph, slot)),
            Text(_limits(slot)),
            slot.show,
        )
    return table


async def fill_in(
    folders: Folders,
    name_or_path: str,
    values: Mapping[str, Json],
    sets: Sequence[tuple[str, str]],
    preset: str,
    servers: Mapping[ServerName, Comfy],
) -> tuple[str, list[str]]:
    """The graph that would be sent, as JSON, and sentences on what only the chosen server adds.

    Raises `WorkflowError`.
    """
    workflow, definitions = await open_filled(folders, name_or_path, values, servers)
    rng = random.SystemRandom()
    request = bind(workflow, JobId("fill"), values, sets, rng=rng, folder=".", preset=preset, definitions=definitions)
    return msgspec.json.format(msgspec.json.encode(request.graph), indent=2).decode(), list(_later(request))


async def open_filled(
    folders: Folders, name_or_path: str, values: Mapping[str, Json], servers: Mapping[ServerName, Comfy]
) -> tuple[Workflow, Definitions | None]:
    """Load a workflow to fill in with these values; asks the first server only if that helps.

    Raises `WorkflowError`.
    """
    workflow, definitions = await open_workflow(folders, name_or_path, servers)
    filled_names = {*values, *(name for preset in workflow.presets.values() for name in preset)}
    if definitions is None and any(slot.kind in NEEDING_NAMES and slot.name in filled_names for slot in workflow.slots):
        known = await ask(dict([next(iter(servers.items()))]))
        definitions = next(iter(known.values()), None)
    return workflow, definitions


async def check_workflows(
    console: Console,
    folders: Folders,
    name_or_path: str,
    servers: Mapping[ServerName, Comfy],
    paying: Collection[ServerName] = (),
) -> int:
    """Audit one workflow, or all, against each server; return 0 if each can run on a server.

    `paying` are the servers on which workflows may cost money.
    """
    known = await ask(servers)
    names = [name_or_path] if name_or_path else list_names(folders)
    offered = [offer(folders, name, known, paying=paying) for name in names]
    silent = [(False, str(server), reason) for server, reason in known.silent.items()]
    console.print(verdict_table([*silent, *verdicts(offered, known)]))
    bad = known.silent or any(entry.problem or not entry.servers for entry in offered)
    return 1 if bad or (not name_or_path and _contradict(offered)) else 0


Verdict: TypeAlias = tuple[bool | None, str, str]
"""Whether a check passed (None: something is missing that nobody needs yet), its name, and the details."""


def verdicts(offered: Sequence[Offer], known: Known, *, brief: bool = False) -> list[Verdict]:
    """The verdicts of each workflow: whether it can run anywhere, its name, and the findings for each server.

    If `brief`, a workflow that no server can run gets only one line.
    """
    lines: list[Verdict] = []
    for entry in offered:
        what = f"workflow {entry.name}"
        if entry.workflow is None:
            lines.append((False, what, reason_text(entry.problem, operator=True) if entry.problem is not None else ""))
            continue
        good = bool(entry.servers) or not known
        if brief and not good:
            lines.append((None, what, _wanting(entry, entry.workflow)))
            continue
        lines.append((good, what, _summary(entry, entry.workflow, known)))
        for server, findings in entry.findings.items():
            lines += [
                (
                    finding.severity == "warning" or (good and len(known) > 1),
                    "",
                    f"{server}: {reason_text(finding.reason)}",
                )
                for finding in findings
            ]
        lines += [(True, "", reason_text(note)) for note in entry.workflow.notes]
    lines += [(False, "", sentence) for sentence in _contradict(offered)]
    lines += [(True, "", reason_text(reason)) for reason in warnings(offered)] if len(offered) > 1 else []
    return lines


def verdict_table(lines: Sequence[Verdict]) -> Table:
    """Format verdicts as a table; a line without a name continues the one above."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for good, what, details in lines:
        mark = {True: Text("✔", "green") if what else Text("!", "yellow"), False: Text("✘", "red"), None: Text("–")}
        style = {True: "", False: "red", None: "dim"}[good]
        table.add_row(mark[good], Text(what, style if good is None else "bold"), Text(details, style))
    return table


def _contradict(offered: Sequence[Offer]) -> list[str]:
    if len(offered) < 2:
        return []
    return [
        reason_text(reason) for reason in conflicts([entry.workflow for entry in offered if entry.workflow is not None])
    ]


def _summary(offered: Offer, workflow: Workflow, known: Known) -> str:
    summary = f"{workflow.title}, {len(workflow.slots)} slots"
    if not known or len(offered.servers) == len(known):
        return summary
    return (
        f"{summary}; runs on {', '.join(sorted(offered.servers))} only"
        if offered.servers
        else f"{summary}; no server can run it"
    )


def _wanting(offered: Offer, workflow: Workflow) -> str:
    """Why no server can run the workflow: the first reason, and how many more there are."""
    reasons = [
        f"{server}: {reason_text(finding.reason)}"
        for server, findings in offered.findings.items()
        for finding in findings
        if finding.severity == "error"
    ]
    more = f" And {len(reasons) - 1} more: workflows check {offered.name}." if len(reasons) > 1 else ""
    return f"{workflow.title}, not offered. {reasons[0]}{more}"


def _later(request: JobRequest) -> list[str]:
    graph = request.graph
    sent = [
        f"{upload.input} of “{title(graph, upload.node)}” becomes {upload.path}, uploaded."
        for upload in request.uploads
    ]
    return sent + [
        f"{choice.input} of “{title(graph, choice.node)}” becomes the server's first." for choice in request.choices
    ]


def _called(workflow: Workflow) -> str:
    if workflow.command:
        return f"/{workflow.command}"
    return workflow.menu or ("follow-up" if workflow.follow_up else "")


def _filled(graph: Graph, slot: Slot) -> str:
    if slot.kind == "lora":
        return f"the row of LoRAs at “{title(graph, slot.targets[0].node)}”"
    return inputs_text(places(graph, slot.targets))


def _present(graph: Graph, slot: Slot) -> str:
    if slot.default is not None:
        return _short(slot.default)
    if slot.required:
        return ""
    if slot.kind == "seed":
        return "drawn"
    if slot.kind == "model":
        return "the server's first"
    values = [
        inputs(graph, target.node).get(target.input) for target in slot.targets[: 2 if slot.kind == "size" else 1]
    ]
    return "x".join(_short(value) for value in values if value is not None)


def _limits(slot: Slot) -> str:
    if slot.choices:
        return f"{len(slot.choices)} choices"
    low, high = slot.minimum, slot.maximum
    if low is None and high is None:
        return ""
    return f"{number_text(low) if low is not None else '…'} to {number_text(high) if high is not None else '…'}"


def _short(value: Json) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name)
    return table
