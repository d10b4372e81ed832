"""Damaged workflows and manifests, through everything that reads them: only `WorkflowError` may come out.

`python -m tests.workflows.fuzz --minutes 10` tries until something breaks or the time is over.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rich.console import Console

from app.cli.workflows.commands import slots_table, verdict_table, verdicts
from app.cli.workflows.definitions import Known
from app.events import JobId, ServerName
from app.ports import Json
from app.texts.reasons.text import reason_text
from app.texts.wording import LONGEST_SENTENCE
from app.workflows.api_graph import inputs
from app.workflows.binding.bind import bind
from app.workflows.discovery.discover import discover
from app.workflows.files import GRAPHS, MANIFEST, find
from app.workflows.load import Workflow, load, read_converted
from app.workflows.manifest.writer import write
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.audit import audit
from app.workflows.offers.availability import conflicts, offers, warnings
from tests.mutate import ODD, damage_bytes, damage_json, damage_lines
from tests.workflows.editor_graphs import DATA, server

ROOT = Path(__file__).parents[2]

VALUES = [
    *("0", "-1", "2.5", "1e400", "nan", "-inf", "true", "2024-05-27", "07:32:00", "[]", "{}", '["x"]', '""', '"x"'),
    *(
        "9" * 30,
        "[[[1]]]",
        "{ a = { b = 1 } }",
        '"\\u0000"',
        f'"{"x" * 200}"',
        '"@prompt"',
        '"1"',
        "18446744073709551616",
    ),
    *(
        '"text"',
        '"integer"',
        '"size"',
        '"lora"',
        '"seed"',
        '"image"',
        '"model"',
        '"choice"',
        '"1024x768"',
        '"a:1, b:x"',
    ),
    *('[{ node = "1", input = "x" }]', '[{ node = "1" }, { node = "2" }]', '"Sampler"', '"modal"', "[1, 2]"),
]

TOLD: list[Json] = [
    *ODD,
    "1024x768",
    "style:0.8",
    "a:nan",
    ":",
    "a:1e999",
    "/etc/passwd",
    "x" * 300,
    [1024, 768],
    [[1]],
    "٣",
]
"""What a person, a preset or a button may give for a slot."""

NOW = datetime(2024, 5, 27, 12, tzinfo=UTC)


@cache
def seeds() -> list[tuple[str, str]]:
    """Graphs in both formats, each with a manifest or ""."""
    graphs = [
        ((folder / GRAPHS[0]).read_text(), (folder / MANIFEST).read_text())
        for folder in sorted((ROOT / "workflows").iterdir())
        if (folder / GRAPHS[0]).is_file()
    ]
    # Few files are in the editor's format, which has most of the rules: they come more often.
    return graphs + 3 * [(path.read_text(), "") for path in sorted(DATA.glob("*.json"))]


def case(number: int) -> tuple[bytes, bytes]:
    """The graph and the manifest of one try; no manifest is b""."""
    rng = random.Random(number)
    graph, manifest = rng.choice(seeds())
    content = graph.encode()
    if rng.random() < 0.75:
        content = dumped(damage_json(json.loads(graph), rng))
    if rng.random() < 0.1:
        content = damage_bytes(content, rng)
    if manifest and rng.random() < 0.5:
        manifest = damage_lines(manifest, VALUES, rng)
    text = manifest.encode()
    if text and rng.random() < 0.1:
        text = damage_bytes(text, rng)
    return content, b"" if rng.random() < 0.2 else text


def dumped(value: Json) -> bytes:
    """As JSON, with everything that Python writes beyond the standard: NaN, half characters, endless digits."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"[" * 2000 + b"]" * 2000


def attempt(number: int, folder: Path) -> bool:
    """Take one try through everything; whether it was a workflow. Raises whatever is not a `WorkflowError`."""
    content, manifest = case(number)
    home = folder / "one"
    home.mkdir(exist_ok=True)
    (home / GRAPHS[0]).write_bytes(content)
    (home / MANIFEST).unlink(missing_ok=True)
    if manifest:
        (home / MANIFEST).write_bytes(manifest)
    rng = random.Random(number)
    definitions = server() if rng.random() < 0.7 else Definitions({})
    with suppress(WorkflowError):
        find(folder, str(rng.choice(TOLD)))
    listed(folder, definitions)
    with suppress(WorkflowError):
        adopted(folder, definitions)
    try:
        workflow = load(folder, "one", definitions if rng.random() < 0.7 else None)
    except WorkflowError as error:
        check_sentence(reason_text(error.reason))
        return False
    check_tables(workflow)
    filled(workflow, definitions, rng)
    return True


def check_sentence(sentence: str) -> None:
    """Whether a person can use a sentence. Raises `AssertionError`."""
    assert "\n" not in sentence, sentence
    assert "- at `" not in sentence, sentence
    assert len(sentence) <= LONGEST_SENTENCE, sentence


def listed(folder: Path, definitions: Definitions) -> None:
    """As `/status` and `workflows check` see it."""
    known = Known()
    known[ServerName("one")] = definitions
    offered = offers(folder, known)
    whole = [offer.workflow for offer in offered if offer.workflow is not None]
    reasons = [
        *conflicts(whole),
        *warnings(offered),
        *(offer.refusal for offer in offered if offer.refusal is not None),
    ]
    for reason in reasons:
        check_sentence(reason_text(reason))
    Console(file=io.StringIO()).print(verdict_table(verdicts(offered, known)))


def adopted(folder: Path, definitions: Definitions) -> None:
    """As `workflows new` does it: what it writes can be read again."""
    converted = read_converted(find(folder, "one"), definitions)
    graph = converted.graph
    msgspec.json.encode(graph)
    audit(graph, (), definitions)
    discovery = discover(
        graph,
        definitions,
        app_inputs=converted.app_inputs,
        app_outputs=converted.app_outputs,
        together=converted.together,
        apart=True,
    )
    problems = [reason_text(problem) for problem in discovery.problems]
    text = write("one", graph, discovery, problems=problems)
    with TemporaryDirectory() as other:
        home = Path(other) / "two"
        home.mkdir()
        (home / GRAPHS[0]).write_bytes(msgspec.json.encode(graph))
        (home / MANIFEST).write_text(text, encoding="utf-8")
        again = load(Path(other), "two", definitions)
        assert {slot.name for slot in again.slots} == {slot.name for slot in discovery.slots}


def check_tables(workflow: Workflow) -> None:
    """As a terminal and the journal have it."""
    Console(file=io.StringIO()).print(slots_table(workflow))
    msgspec.json.encode(workflow.presets)


def filled(workflow: Workflow, definitions: Definitions, rng: random.Random) -> None:
    """As people fill it in, with the strangest values; what comes out can be sent and written down."""
    for turn in range(4):
        values: dict[str, Json] = {}
        for slot in workflow.slots:
            if rng.random() < 0.5:
                values[slot.name] = rng.choice(TOLD)
            elif slot.required:
                values[slot.name] = str(Path(__file__)) if slot.kind in {"image", "video", "audio"} else "x"
        sets = [("1.seed", "7"), (rng.choice(["", ".", "Sampler.cfg", "1.", ".x"]), "x")] if rng.random() < 0.2 else []
        if rng.random() < 0.3 and workflow.graph:
            node = rng.choice(list(workflow.graph))
            sets += [
                (f"{node}.{name}", rng.choice(["1", "x", "nan", "9" * 5000])) for name in inputs(workflow.graph, node)
            ]
        preset = rng.choice(["", "", *workflow.presets, "none"])
        known = definitions if turn % 2 else None
        try:
            request = bind(
                workflow, JobId("j"), values, sets, rng=rng, folder=".", preset=preset, definitions=known, now=NOW
            )
        except WorkflowError as error:
            check_sentence(reason_text(error.reason))
            continue
        # The journal keeps it, and the server gets it.
        msgspec.json.encode(request)


def main() -> None:
    """Try until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--first", type=int, default=None, help="the number of the first try")
    arguments = parser.parse_args()
    number = arguments.first if arguments.first is not None else random.SystemRandom().randrange(2**40)
    end, good, count = time.monotonic() + arguments.minutes * 60, 0, 0
    with TemporaryDirectory() as folder:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                good += attempt(number, Path(folder))
            except BaseException:
                print(f"try {number} broke: python -m tests.workflows.fuzz --first {number}")
                raise
            if (took := time.monotonic() - began) > 5:
                print(f"try {number} took {took:.1f} s")
            number, count = number + 1, count + 1
    print(f"{count} tries, {good} of them workflows, nothing broke")


if __name__ == "__main__":
    main()
