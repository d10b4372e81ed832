"""Finds the inputs that are meant for people, by app mode, then titles, other tools' nodes, links, and input names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph
from app.workflows.api_graph import dependencies, inputs
from app.workflows.discovery.by_input_name import by_input_name
from app.workflows.discovery.by_lora import by_lora
from app.workflows.discovery.by_node_class import by_node_class
from app.workflows.discovery.by_sampler import by_sampler
from app.workflows.discovery.by_title import by_title, outputs
from app.workflows.discovery.candidates import Candidate, FoundBy, places, slot, slug
from app.workflows.discovery.disambiguate import separate
from app.workflows.discovery.result_kind import made
from app.workflows.discovery.uploads import uploads
from app.workflows.editor_format.convert import AppInput
from app.workflows.model import Result, Slot, Target, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.reasons.discovery import DiscoveryReason, SeveralCandidates


class Discovery(Struct, frozen=True, kw_only=True):
    """The slots of a graph, and how each was found.

    `problems` say why slots were left out: several candidates for one slot, or an unclear title.
    """

    slots: tuple[Slot, ...] = ()
    how: dict[str, FoundBy] = {}
    outputs: tuple[NodeId, ...] = ()
    """The nodes whose results are used; empty for all."""
    problems: tuple[DiscoveryReason, ...] = ()
    result: Result = ""
    """The kind of the graph's results; "" if it is not known."""

    def sure(self) -> tuple[Slot, ...]:
        """Return the slots. Raises `WorkflowError` with the first problem if there are any."""
        if self.problems:
            raise WorkflowError(self.problems[0])
        return self.slots


def discover(
    graph: Graph,
    definitions: Definitions,
    *,
    app_inputs: Sequence[AppInput] = (),
    app_outputs: Sequence[NodeId] = (),
    together: Sequence[tuple[Target, ...]] = (),
    apart: bool = False,
) -> Discovery:
    """Find the slots of a graph; for each slot, the first way that finds a candidate counts.

    A slot for one of the inputs that get a value `together` is for all of them. Several candidates of one name are a
    problem. With `apart`, those that links or input names lead to are separated
    instead, where it is certain that all are meant (see `separate`).
    """
    problems: list[DiscoveryReason] = []
    flow = dependencies(graph, definitions)
    named, other = list(by_title(graph, problems)), list(by_node_class(graph))
    guessed = [*by_sampler(graph, definitions, flow), *uploads(graph, definitions, flow), *by_lora(graph, flow)]
    by_name = list(by_input_name(graph, definitions, flow))
    sure = [group[0] for group in _grouped(by_name).values() if len(group) == 1]
    by_app = list(_app_candidates(graph, app_inputs, [*named, *other, *guessed, *sure]))
    chosen: dict[str, Candidate] = {}
    unclear: set[str] = set()
    taken: set[Target] = set()
    names = {candidate.name for way in (by_app, named, other, guessed, by_name) for candidate in way}
    for way in (by_app, named, other, guessed, by_name):
        for name, candidates in _grouped(way).items():
            free = [candidate for candidate in candidates if not taken.intersection(candidate.targets)]
            if name in chosen or name in unclear or not free:
                continue
            if len(free) > 1 and apart and (way is guessed or way is by_name):
                free = separate(graph, definitions, free, names - {name}) or free
            if len({candidate.name for candidate in free}) < len(free):
                unclear.add(name)
                problems.append(SeveralCandidates(name, tuple(places(graph, candidate.targets) for candidate in free)))
            else:
                chosen.update({candidate.name: candidate for candidate in free})
        taken.update(target for candidate in chosen.values() for target in candidate.targets)
    chosen = {name: _widened(candidate, together, taken) for name, candidate in chosen.items()}
    meant = tuple(app_outputs) or tuple(outputs(graph))
    return Discovery(
        slots=tuple(slot(graph, definitions, candidate) for candidate in chosen.values()),
        how={candidate.name: candidate.how for candidate in chosen.values()},
        outputs=meant,
        problems=tuple(problems),
        result=made(graph, definitions, meant),
    )


def _grouped(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    """Group candidates by name, each set of inputs once."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        group = groups.setdefault(candidate.name, [])
        if all(candidate.targets != other.targets for other in group):
            group.append(candidate)
    return groups


def _widened(candidate: Candidate, together: Sequence[tuple[Target, ...]], taken: Collection[Target]) -> Candidate:
    """Add the inputs that always have the same value as those of a candidate, unless they belong to another one."""
    added = [
        target
        for group in together
        if set(candidate.targets).intersection(group)
        for target in group
        if target not in taken
    ]
    return replace(candidate, targets=tuple(dict.fromkeys((*candidate.targets, *added)))) if added else candidate


def _app_candidates(graph: Graph, fields: Sequence[AppInput], known: Sequence[Candidate]) -> list[Candidate]:
    """Return a candidate for each field that app mode shows, with the name that other ways give to the same inputs."""
    names = {target: candidate.name for candidate in reversed(known) for target in candidate.targets}
    candidates: list[Candidate] = []
    for field in fields:
        targets = tuple(
            target for target in field.targets if target.node in graph and target.input in inputs(graph, target.node)
        )
        if not targets:
            continue
        name = names.get(targets[0], slug(field.name))
        if not name or any(candidate.name == name for candidate in candidates):
            name = slug(f"{title(graph, targets[0].node)}_{field.name}")
        if name:
            candidates.append(Candidate(name=name, targets=targets, how=FoundBy("app_mode")))
    return candidates
