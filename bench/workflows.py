"""Workflows: loading and auditing many, filling in a large one, and reading a server's node definitions."""

from __future__ import annotations

import gzip
import statistics
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec

from app.events import JobId, ServerName
from app.ports import Graph, Json
from app.workflows.binding.bind import bind
from app.workflows.discovery.discover import discover
from app.workflows.load import Workflow, load
from app.workflows.manifest.writer import write
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.availability import offers

RECORDED = Path(__file__).parent.parent / "app" / "simulator" / "nodes" / "object_info.json.gz"
WORKFLOWS, NODES = 200, 100
LARGE = 300
MEGABYTES = 3
LISTED = 50
"""Calls of `bind` per round: one alone is too short to measure."""


def _graph(nodes: int) -> Graph:
    """Return typical chains, each from a checkpoint to a file; nodes of the first have titles that name slots."""
    graph: Graph = {}

    def add(kind: str, **node_inputs: Json) -> str:
        node = str(len(graph) + 1)
        graph[node] = {"inputs": node_inputs, "class_type": kind, "_meta": {"title": f"{kind} {node}"}}
        return node

    while len(graph) < nodes:
        model = add("CheckpointLoaderSimple", ckpt_name="")
        words = [add("CLIPTextEncode", text="a harbour " * 8, clip=[model, 1]) for _ in range(2)]
        size = add("EmptyLatentImage", width=512, height=512, batch_size=1)
        latent: list[Json] = [size, 0]
        for number in range(3):
            sampled: dict[str, Json] = {"seed": number, "steps": 20, "cfg": 7.5, "denoise": 1.0}
            kinds: dict[str, Json] = {"sampler_name": "euler", "scheduler": "normal", "latent_image": latent}
            clients: dict[str, Json] = {"model": [model, 0], "positive": [words[0], 0], "negative": [words[1], 0]}
            latent = [add("KSampler", **sampled, **kinds, **clients), 0]
        decoded = add("VAEDecode", samples=latent, vae=[model, 2])
        scaled = add("ImageScaleBy", image=[decoded, 0], upscale_method="lanczos", scale_by=1.5)
        add("SaveImage", images=[scaled, 0], filename_prefix="bench/%date:yyyy-MM-dd%")
    graph["2"]["_meta"], graph["3"]["_meta"] = {"title": "@prompt"}, {"title": "@negative"}
    graph["5"]["_meta"] = {"title": "@seed"}
    return graph


def _store(folder: Path, name: str, graph: Graph, definitions: Definitions) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "workflow.json").write_bytes(msgspec.json.encode(graph))
    (folder / name / "manifest.toml").write_text(write(name, graph, discover(graph, definitions)))


def _load(folder: Path, definitions: Definitions) -> float:
    """Return the seconds to load and audit all workflows of a folder."""
    began = time.perf_counter()
    offered = offers(folder, {ServerName("bench"): definitions})
    spent = time.perf_counter() - began
    assert len(offered) == WORKFLOWS
    assert all(offer.workflow is not None and offer.workflow.slots for offer in offered)
    return spent


def _fill(workflow: Workflow, definitions: Definitions) -> float:
    """Return the milliseconds of one `bind` with text, seed, size and a date."""
    values: dict[str, Json] = {"prompt": "a mill " * 40, "seed": 7}
    began = time.perf_counter()
    for _ in range(LISTED):
        bind(workflow, JobId("bench"), values, rng=Random(1), folder=".", definitions=definitions)
    return (time.perf_counter() - began) / LISTED * 1000


def _object_info(recorded: dict[str, Json]) -> bytes:
    """Return the `/object_info` of a server with so many node packs that it has at least `MEGABYTES`."""
    grown = dict(recorded)
    while len(content := msgspec.json.encode(grown)) < MEGABYTES * 2**20:
        number = len(grown)
        grown.update({f"{name} {number}": entry for name, entry in recorded.items()})
    return content


def _read(content: bytes) -> tuple[float, float]:
    """Return the milliseconds to parse the definitions, and those to also read every class."""
    began = time.perf_counter()
    definitions = Definitions.parse(content)
    parsed = time.perf_counter()
    for name in definitions:
        definitions.get(name)
    return (parsed - began) * 1000, (time.perf_counter() - began) * 1000


def workflows(rounds: int) -> dict[str, object]:
    """Return medians of all figures."""
    recorded = msgspec.json.decode(gzip.decompress(RECORDED.read_bytes()), type=dict[str, Json])
    definitions = Definitions(recorded)
    with TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        for number in range(WORKFLOWS):
            _store(folder / "many", f"flow-{number:03}", _graph(NODES), definitions)
        _store(folder / "large", "large", _graph(LARGE), definitions)
        loads = [_load(folder / "many", Definitions(recorded)) for _ in range(rounds)]
        large = load(folder / "large", "large")
    fills = [_fill(large, definitions) for _ in range(rounds)]
    object_info = _object_info(recorded)
    reads = [_read(object_info) for _ in range(rounds)]
    return {
        "load_and_audit_200_of_100_nodes_s": round(statistics.median(loads), 3),
        "fill_300_nodes_ms": round(statistics.median(fills), 3),
        "object_info_mb": round(len(object_info) / 2**20, 1),
        "parse_object_info_ms": round(statistics.median(parse_ms for parse_ms, _ in reads), 1),
        "parse_and_read_every_class_ms": round(statistics.median(read_ms for _, read_ms in reads), 1),
    }
