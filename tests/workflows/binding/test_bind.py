"""Filling in, beyond what the shipped workflows need."""

from __future__ import annotations

import copy
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.jobs.job import JobRequest, Upload
from app.events import JobId, NodeId
from app.ports import Graph, Json
from app.texts.wording import LONGEST_SENTENCE
from app.workflows.api_graph import copied, inputs
from app.workflows.binding.bind import bind
from app.workflows.discovery.discover import discover
from app.workflows.load import Workflow
from app.workflows.model import LARGEST_SEED, Slot, Target, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.audit import audit
from app.workflows.reasons.discovery import InputPlace, SeveralCandidates
from tests.refusals import refusal_of, refused
from tests.workflows.discovery.test_discover import ANY_GRAPH, entry, shipped
from tests.workflows.editor_graphs import ANY_JSON, UNHURRIED, server, server_with

NOON = datetime(2026, 7, 6, 12, 30, 0)  # noqa: DTZ001
LOADER: Json = {
    "input": {
        "required": {
            "lora_name": [["sub/style.safetensors", "ink.safetensors", "a/x.safetensors", "b/x.safetensors"]],
            "strength_model": ["FLOAT", {}],
        }
    },
    "output": ["MODEL", "CLIP"],
}


def slot(name: str, kind: str, *targets: tuple[str, str], **more: object) -> Slot:
    places = tuple(Target(NodeId(node), field) for node, field in targets)
    return Slot(name=name, title=name, kind=kind, targets=places, **more)  # pyright: ignore[reportArgumentType]


def flow(*slots: Slot, graph: Graph | None = None, **more: object) -> Workflow:
    return Workflow(name="flow", graph=shipped() if graph is None else graph, slots=slots, **more)  # pyright: ignore[reportArgumentType]


def fill(
    workflow: Workflow, values: dict[str, Json], definitions: Definitions | None = None, preset: str = ""
) -> JobRequest:
    request = bind(
        workflow,
        JobId("j"),
        values,
        rng=Random(1),
        folder="out",
        preset=preset,
        definitions=definitions,
        now=NOON,
    )
    assert request.graph is not workflow.graph
    return request


SIZE = slot("size", "size", ("4", "width"), ("4", "height"))


def test_two_samplers_with_one_seed_slot_get_one_seed() -> None:
    graph = shipped()
    graph["8"] = copy.deepcopy(graph["5"])
    request = fill(flow(slot("seed", "seed", ("5", "seed"), ("8", "seed")), graph=graph), {})
    assert request.seed is not None
    assert inputs(request.graph, "5")["seed"] == inputs(request.graph, "8")["seed"] == request.seed


def test_a_seed_is_drawn_within_its_slots_limits() -> None:
    narrow = flow(slot("seed", "seed", ("5", "seed"), minimum=7, maximum=8))
    assert {fill(narrow, {}).seed, fill(narrow, {"seed": ""}).seed} <= {7, 8}
    wide = fill(flow(slot("seed", "seed", ("5", "seed"), minimum=0, maximum=2**64 - 1)), {})
    assert wide.seed is not None
    assert wide.seed <= LARGEST_SEED


def test_the_largest_seed_arrives_whole() -> None:
    request = fill(flow(slot("seed", "seed", ("5", "seed"), maximum=2**64 - 1)), {"seed": "18446744073709551615"})
    assert inputs(request.graph, "5")["seed"] == request.seed == 2**64 - 1


def test_a_size_fills_both_sides_in_the_nodes_steps() -> None:
    request = fill(flow(SIZE), {"size": "513x700"}, server())
    assert (inputs(request.graph, "4")["width"], inputs(request.graph, "4")["height"]) == (512, 704)


def test_a_slots_own_steps_need_no_server() -> None:
    stepped = slot("size", "size", ("4", "width"), ("4", "height"), step=64, minimum=64)
    request = fill(flow(stepped, slot("steps", "integer", ("5", "steps"), step=5)), {"size": "500x100", "steps": 8})
    assert inputs(request.graph, "4") == {**inputs(shipped(), "4"), "width": 512, "height": 128}
    assert inputs(request.graph, "5")["steps"] == 10


def test_a_preset_stands_below_what_is_said() -> None:
    slots = (slot("steps", "integer", ("5", "steps"), default=20), slot("cfg", "number", ("5", "cfg"), default=7))
    workflow = flow(*slots, presets={"quick": {"steps": 4, "cfg": 1}})
    request = fill(workflow, {"cfg": 2}, preset="quick")
    assert (inputs(request.graph, "5")["steps"], inputs(request.graph, "5")["cfg"]) == (4, 2)
    assert request.values == {"steps": 4, "cfg": 2}
    with refused("“flow” has no preset called “quik”; did you mean “quick”"):
        fill(workflow, {}, preset="quik")


def test_a_wish_knows_what_was_said_and_how_long_silence_may_last() -> None:
    request = fill(flow(slot("prompt", "text", ("2", "text")), SIZE, silence=300.0), {"prompt": "a mill"})
    assert (request.values, request.silence) == ({"prompt": "a mill"}, 300.0)


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
def test_files_are_uploaded_later(kind: str) -> None:
    graph: Graph = {"1": entry("LoadIt", file="old.bin")}
    workflow = flow(slot("it", kind, ("1", "file")), graph=graph)
    assert fill(workflow, {"it": __file__}).uploads == (Upload(NodeId("1"), "file", __file__),)
    assert fill(workflow, {"it": ""}).uploads == ()
    for path in ("nowhere.bin", "x" * 5000, "a\x00b"):
        with refused("it: there is no file"):
            fill(workflow, {"it": path})


def test_loras_are_put_into_the_row_that_their_slot_names() -> None:
    workflow = flow(slot("lora", "lora", ("1", "")))
    request = fill(workflow, {"lora": "style:0.5, ink.safetensors"}, server_with(LoraLoader=LOADER))
    rows = [inputs(request.graph, node) for node, entry in request.graph.items() if entry["class_type"] == "LoraLoader"]
    assert [(row["lora_name"], row["strength_model"]) for row in rows] == [
        ("sub/style.safetensors", 0.5),
        ("ink.safetensors", 1.0),
    ]
    assert inputs(request.graph, "5")["model"] != ["1", 0]
    assert fill(workflow, {}).graph == fill(workflow, {"lora": ""}).graph | {"5": fill(workflow, {}).graph["5"]}


def test_a_lora_needs_no_server_for_comfyuis_own_loaders() -> None:
    request = fill(flow(slot("lora", "lora", ("1", ""))), {"lora": "any.safetensors:0.5"})
    assert any(entry["class_type"] == "LoraLoader" for entry in request.graph.values())


@pytest.mark.parametrize(
    ("loras", "sentence"),
    [
        ("stile", "There is no LoRA called “stile”; did you mean “style”"),
        ("x", "There are 2 LoRAs called “x”: choose from a/x.safetensors, b/x.safetensors."),
        ("ink:much", "“ink:much” has no weight that is a number: write ink:0.8."),
    ],
)
def test_a_lora_that_is_not_clear_is_told(loras: str, sentence: str) -> None:
    with refused(sentence):
        fill(flow(slot("lora", "lora", ("1", ""))), {"lora": loras}, server_with(LoraLoader=LOADER))


def test_what_loras_take_out_of_the_graph_takes_nothing_else_with_it() -> None:
    graph = shipped()
    graph["9"] = entry("LoraLoader", model=["1", 0], clip=["1", 1], lora_name="a", strength_model=1, strength_clip=1)
    inputs(graph, "5")["model"] = ["9", 0]
    slots = (slot("lora", "lora", ("9", "")), slot("strength", "number", ("9", "strength_model")))
    which = slot("which", "model", ("9", "lora_name"))
    request = fill(flow(*slots, which, graph=graph), {"lora": "", "strength": 2})
    assert "9" not in request.graph
    assert request.choices == ()


def test_dates_are_resolved_in_prefixes_but_not_in_what_people_say() -> None:
    graph = shipped()
    graph["7"] = entry("SaveImage", "Save", filename_prefix="%date:yyyy-MM-dd%/%Sampler.seed%", images=["6", 0])
    name = slot("name", "text", ("7", "filename_prefix"))
    seed = slot("seed", "seed", ("5", "seed"))
    assert inputs(fill(flow(name, seed, graph=graph), {"seed": 5}).graph, "7")["filename_prefix"] == "2026-07-06/5"
    request = fill(flow(name, seed, graph=graph), {"name": "%date%"})
    assert inputs(request.graph, "7")["filename_prefix"] == "%date%"


def test_a_slot_that_is_not_clear_is_told_when_it_is_filled() -> None:
    places = ((InputPlace("A", "seed"),), (InputPlace("B", "seed"),))
    workflow = flow(notes=(SeveralCandidates("seed", places),))
    with refused(r"seed could be “A”\.seed or “B”\.seed"):
        fill(workflow, {"seed": 1})


NASTY = st.text(max_size=2000) | st.sampled_from(['"]}', '{"a": [', "\\", "🦊" * 1000, '"}, "9": {', "%date%", "a\nb"])


@given(NASTY)
def test_text_arrives_as_it_is_at_its_input_only(text: str) -> None:
    workflow = flow(slot("prompt", "text", ("2", "text")), slot("seed", "seed", ("5", "seed")))
    request = fill(workflow, {"prompt": text, "seed": 1}, server())
    expected = shipped()
    inputs(expected, "2")["text"] = text
    inputs(expected, "5")["seed"] = 1
    assert request.graph == expected
    assert workflow.graph == shipped()


@given(st.dictionaries(st.text(max_size=2), ANY_JSON, max_size=4))
def test_a_copy_shares_nothing_that_can_be_changed(value: dict[str, Json]) -> None:
    assert copied(value) == copy.deepcopy(value)
    assert _tables(copied(value)).isdisjoint(_tables(value))


def _tables(value: Json) -> set[int]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = {id(value)} if isinstance(value, (dict, list)) else set[int]()
    return own.union(*(_tables(element) for element in inner))


def test_a_picture_for_any_input_is_uploaded(tmp_path: Path) -> None:
    graph: Graph = {"1": entry("LoadVideo", "Clip", file="old.mp4")}
    (tmp_path / "new.mp4").write_bytes(b"")
    path = str(tmp_path / "new.mp4")
    request = bind(flow(graph=graph), JobId("j"), {}, [("Clip.file", path)], rng=Random(1), folder="out")
    assert request.uploads == (Upload(NodeId("1"), "file", path),)


@UNHURRIED
@given(ANY_GRAPH, st.dictionaries(st.sampled_from(["prompt", "seed", "steps", "image", "lora", "size"]), ANY_JSON))
def test_any_graph_is_filled_with_anything_or_it_is_a_sentence(graph: Graph, values: dict[str, Json]) -> None:
    known = {slot.name: slot for slot in discover(graph, server()).slots}
    for node in graph:
        known.setdefault("lora", slot("lora", "lora", (node, "")))
    before = copy.deepcopy(graph)
    with suppress(WorkflowError):
        fill(
            flow(*known.values(), graph=graph),
            {name: value for name, value in values.items() if name in known},
            server(),
        )
    assert graph == before
    audit(graph, list(known.values()), server())


@pytest.mark.parametrize("where", ["slot", "set"])
def test_half_characters_are_refused_because_nothing_can_store_them(where: str) -> None:
    workflow = flow(slot("prompt", "text", ("2", "text")), graph={"2": entry("Encode", "Prompt", text="a")})
    values: dict[str, Json] = {"prompt": "a\udcff"} if where == "slot" else {}
    sets = [("Prompt.text", "a\udcff")] if where == "set" else []
    with refused("contains invalid characters: type it again"):
        bind(workflow, JobId("j"), values, sets, rng=Random(1), folder=".")


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-that-name/x.png", "a\0b"])
def test_a_name_that_no_file_system_takes_is_no_file(name: str) -> None:
    graph: Graph = {"1": entry("Load", "Picture", image="old.png")}
    request = bind(flow(graph=graph), JobId("j"), {}, [("Picture.image", name)], rng=Random(1), folder=".")
    assert inputs(request.graph, "1")["image"] == name
    with refused("image: there is no file"):
        bind(
            flow(slot("image", "image", ("1", "image")), graph=graph),
            JobId("j"),
            {"image": name},
            rng=Random(1),
            folder=".",
        )


def test_a_sentence_stays_short_and_on_one_line_whatever_a_file_has() -> None:
    graph: Graph = {str(number): entry("Node", f"{number}\n{'x' * 5000}", a=1) for number in range(9)}
    with pytest.raises(WorkflowError) as raised:
        bind(flow(graph=graph), JobId("j"), {}, [("y.a", "1")], rng=Random(1), folder=".")
    assert len(refusal_of(raised.value)) <= LONGEST_SENTENCE
    assert "\n" not in refusal_of(raised.value)
    assert "choose from 0 x" in refusal_of(raised.value)


def test_a_seed_that_no_slot_names_is_one_that_its_node_takes() -> None:
    small: Json = {"input": {"required": {"seed": ["INT", {"min": 0, "max": 3}]}}}
    workflow = Workflow(name="x", graph={"1": {"class_type": "Small", "inputs": {"seed": 1}}})
    for number in range(20):
        known = Definitions({"Small": small})
        request = bind(workflow, JobId("j"), {}, rng=Random(number), folder="out", definitions=known)
        assert inputs(request.graph, "1")["seed"] in range(4)
