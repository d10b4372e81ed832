"""Writes a manifest from the slots that were found in a graph, for people to edit and for `load` to read."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from app.core.jobs.progress import title
from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from app.workflows.discovery.candidates import LONGEST, FoundBy, places
from app.workflows.discovery.discover import Discovery
from app.workflows.manifest.naming import command_name
from app.workflows.manifest.schema import BUILT_IN
from app.workflows.model import Slot
from app.workflows.task import TASK_COMMANDS, makes_model, task_of

WIDTH = 110
"""Characters. Lists on longer lines are written one value per line."""

WAYS = {
    "app_mode": "app mode",
    "title": "the node's title",
    "tool": "the input node",
    "links": "following the links from the sampler",
    "node_class": "the class of the node",
    "input_name": "the name of the input",
}

SHOWN = 60
"""Characters of a graph's value that a comment shows."""


MADE = {
    "image": "Create a picture",
    "video": "Create a video",
    "audio": "Create sound",
    "text": "Write a text",
}
"""What a workflow does, by the kind of its results."""

COUNTED = ("", "a picture", "two pictures", "several pictures")
"""How many pictures a workflow takes."""


def write(
    name: str,
    graph: Graph,
    discovery: Discovery,
    *,
    taken: Container[str] = (),
    problems: Sequence[str] = (),
    prices: Sequence[float | None] = (),
) -> str:
    """Return the text of `manifest.toml` for the workflow `name`; its command is none of those in `taken`.

    `problems` are the sentences for the problems of `discovery`, which become comments. `prices` are what its paid
    nodes cost, in US dollars, None where that is not known. Nodes are named by title where it is unique, because titles
    survive a new export and ids do not.
    """
    lines = [
        "# Written from the graph; every line may be changed. A slot that is left out keeps the graph's value.",
        f"title = {_text(name.replace('_', ' ').replace('-', ' ').strip().capitalize() or 'Workflow')}",
        f"description = {_text(description(graph, discovery))}",
        f"command = {_text(command)}"
        if (command := _command(command_name(name, discovery.result), taken))
        else '# command = "a-name"',
    ]
    if discovery.result:
        lines.append(f'result = "{discovery.result}"')
    if task := task_of(graph, discovery.result, discovery.slots):
        lines.append(f'task = "{task}"')
    if prices:
        known = [price for price in prices if price is not None]
        lines.append("# Services bill for each run: the most that it may cost, in US dollars.")
        lines.append(f"price = {sum(known):g}" if len(known) == len(prices) else "# price = 0.00")
    if discovery.outputs:
        lines += [
            "",
            f"# Meant as the result: {_comment(', '.join(f'“{title(graph, node)}”' for node in discovery.outputs))}.",
        ]
    for problem in problems:
        lines += ["", f"# Not clear, so left out: {_comment(problem)}"]
    if not discovery.slots:
        lines += ["", "# No slot was found. Give nodes titles such as @prompt, or write slots like this one:"]
        lines += ["# [slots.prompt]", '# kind = "text"', '# node = "Title of a node"', '# input = "text"']
    for slot in discovery.slots:
        lines += ["", *_slot(graph, slot, discovery.how.get(slot.name))]
    return "\n".join(lines) + "\n"


def description(graph: Graph, discovery: Discovery) -> str:
    """Return one sentence that says what a workflow makes, and from what."""
    names = {slot.name for slot in discovery.slots}
    kinds = [slot.kind for slot in discovery.slots if slot.name != "mask"]
    pictures = min(kinds.count("image"), len(COUNTED) - 1)
    sources = [
        *(["a description"] if "prompt" in names else []),
        *(["lyrics"] if "lyrics" in names else []),
        *([COUNTED[pictures]] if pictures else []),
        *(["a video"] if "video" in kinds else []),
        *(["a recording"] if "audio" in kinds else []),
    ]
    made = MADE.get(discovery.result) or ("Create a 3D model" if makes_model(graph) else "Create a result")
    if not sources:
        return f"{made}."
    listed = f"{', '.join(sources[:-1])} and {sources[-1]}" if len(sources) > 1 else sources[0]
    return f"{made} from {listed}."


def found_by(how: FoundBy) -> str:
    """Return how a slot was found, as the end of a sentence that begins with “Found by”."""
    return f"{WAYS[how.way]}{f' of {how.tool}' if how.tool else ''}"


def _slot(graph: Graph, slot: Slot, how: FoundBy | None) -> Iterator[str]:
    if how is not None:
        yield f"# Found by {_comment(found_by(how))}: {_comment(_where(graph, slot))}."
    yield f"[slots.{slot.name}]"
    yield f"title = {_text(slot.title)}"
    if slot.description:
        yield f"description = {_text(slot.description)}"
    yield f'kind = "{slot.kind}"'
    if len(slot.targets) == 1:
        yield f"node = {_text(_address(graph, slot.targets[0].node))}"
        yield f"input = {_text(slot.targets[0].input)}"
    else:
        yield "targets = ["
        for target in slot.targets:
            yield f"    {{ node = {_text(_address(graph, target.node))}, input = {_text(target.input)} }},"
        yield "]"
    if slot.required:
        yield "required = true"
    if slot.minimum is not None:
        yield f"minimum = {_number(slot.minimum)}"
    if slot.maximum is not None:
        yield f"maximum = {_number(slot.maximum)}"
    if slot.default is not None:
        yield f"default = {_value(slot.default)}"
    elif not slot.required:
        present = inputs(graph, slot.targets[0].node).get(slot.targets[0].input)
        if slot.kind == "seed":
            yield "# Left out, it is drawn anew each time."
        elif present is not None and present != "":
            yield f"# default = {_comment(_value(present))[:SHOWN]}  (what the graph has)"
    if slot.choices:
        yield from _choices(slot.choices)


def _where(graph: Graph, slot: Slot) -> str:
    addresses = (
        f"“{place.node}”.{place.input}{f' (node {place.node_id})' if place.node_id else ''}"
        for place in places(graph, slot.targets)
    )
    return " and ".join(addresses)


def _choices(choices: tuple[str, ...]) -> Iterator[str]:
    line = f"choices = [{', '.join(_text(choice) for choice in choices)}]"
    if len(line) <= WIDTH:
        yield line
        return
    yield "choices = ["
    yield from (f"    {_text(choice)}," for choice in choices)
    yield "]"


def _command(name: str, taken: Container[str]) -> str:
    """Return the name, else a similar one that is not taken; "" for no command."""
    ways = (name, f"make-{name}"[:LONGEST], *(f"{name[: LONGEST - 3]}-{number}" for number in range(2, 100)))
    reserved = {*BUILT_IN, *TASK_COMMANDS}
    return next((command for command in ways if command not in reserved and command not in taken), "") if name else ""


def _address(graph: Graph, node: str) -> str:
    """Return the node's title if it finds this node and no other; else its id."""
    name = title(graph, node)
    same = sum(title(graph, other).lower() == name.lower() for other in graph)
    return name if same == 1 and name not in graph and _is_encodable(name) else node


def _is_encodable(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _value(value: Json) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value)
        case _:
            return _text(str(value))


def _number(number: float) -> str:
    """Format a number. Limits come from JSON, so they are finite; an int is written without a fraction."""
    return str(int(number)) if isinstance(number, int) else repr(number)


def _text(text: str) -> str:
    """Format a TOML string on one line; escapes control characters and quotes, and replaces surrogates."""
    return f'"{"".join(_escaped(char) for char in text)}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char == "\n":
        return "\\n"
    if char < " " or char == "\x7f":
        return f"\\u{ord(char):04x}"
    return char if _is_encodable(char) else "\ufffd"


def _comment(text: str) -> str:
    """Return the text on one line, without the characters that TOML forbids in comments."""
    return "".join(char if char >= " " and char != "\x7f" and _is_encodable(char) else " " for char in text)
