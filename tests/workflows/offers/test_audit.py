"""What a server says against a workflow, before it is asked."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ports import Graph, Json
from app.texts.reasons.text import reason_text
from app.workflows.api_graph import find_target, inputs
from app.workflows.load import load
from app.workflows.model import Slot
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.audit import Finding, audit
from tests.workflows.editor_graphs import ANY_JSON, UNHURRIED, object_info, server, server_with
from tests.workflows.test_workflows import FOLDER

MODEL: Json = {
    "input": {"required": {"ckpt_name": [["model.safetensors"], {}]}},
    "output": ["MODEL", "CLIP", "VAE"],
}


def equipped() -> Definitions:
    """The recorded server with the checkpoint that the shipped workflows name."""
    return server_with(CheckpointLoaderSimple=MODEL)


def graph(**changes: Json) -> Graph:
    """The shipped text to image; changes are `Title__input`, None removes."""
    changed = copy.deepcopy(load(FOLDER, "txt2img").graph)
    for where, value in changes.items():
        node, name = where.split("__")
        target = next(id_ for id_, entry in changed.items() if entry["_meta"] == {"title": node})
        if value is None:
            del inputs(changed, target)[name]
        else:
            inputs(changed, target)[name] = value
    return changed


def problems_of(checked: Graph, *slots: Slot, definitions: Definitions | None = None) -> list[tuple[str, str]]:
    return [
        (finding.severity, reason_text(finding.reason)) for finding in audit(checked, slots, definitions or equipped())
    ]


@pytest.mark.parametrize("name", ["txt2img", "img2img"])
def test_the_shipped_workflows_are_sound(name: str) -> None:
    workflow = load(FOLDER, name)
    assert audit(workflow.graph, workflow.slots, server()) == []


def test_a_sound_graph_without_slots_has_no_findings() -> None:
    assert problems_of(graph()) == []


def test_a_class_that_the_server_lacks_is_an_error() -> None:
    broken = graph()
    broken["5"]["class_type"] = "KSampeler"
    assert problems_of(broken) == [
        ("error", "“Sampler” is of class KSampeler, which the server does not have; did you mean “KSampler”?")
    ]


def test_an_input_that_the_class_does_not_know_is_ignored_by_the_server_and_told_here() -> None:
    assert problems_of(graph(Sampler__stepps=9)) == [
        ("warning", "“Sampler” has no input “stepps”, so the server ignores it; did you mean “steps”?")
    ]


def test_a_connection_that_is_missing_is_an_error() -> None:
    assert problems_of(graph(Sampler__positive=None)) == [
        ("error", "“positive” of “Sampler” needs a connection of type CONDITIONING."),
    ]


def test_a_value_that_newer_nodes_want_is_the_servers_own() -> None:
    assert problems_of(graph(Sampler__steps=None)) == [
        ("warning", "“steps” of “Sampler” has no value, so the bot sends the default of the server, “20”.")
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Sampler__steps": 0}, "“steps” of “Sampler” is 0, but must be between 1 and 10000."),
        ({"Sampler__steps": "x"}, "“steps” of “Sampler” must be a whole number, not “x”."),
        ({"Sampler__cfg": 101.5}, "“cfg” of “Sampler” is 101.5, but must be between 0 and 100."),
        ({"Sampler__seed": -1}, "“seed” of “Sampler” is -1, but must be between 0 and 18446744073709551615."),
    ],
)
def test_a_value_out_of_range_is_an_error(changes: dict[str, Json], sentence: str) -> None:
    assert problems_of(graph(**changes)) == [("error", sentence)]


def test_what_no_output_needs_is_only_a_warning_as_the_server_never_looks_at_it() -> None:
    broken = graph()
    broken["8"] = {
        "class_type": "ConditioningCombine",
        "inputs": {"conditioning_1": ["2", 0]},
        "_meta": {"title": "Rest"},
    }
    assert problems_of(broken) == [("warning", "“conditioning_2” of “Rest” needs a connection of type CONDITIONING.")]


def test_a_text_that_is_a_number_passes_as_on_the_server() -> None:
    assert problems_of(graph(Sampler__steps="12", Sampler__cfg="3.5")) == []


def test_a_value_that_is_not_in_the_list_is_told_with_the_list() -> None:
    [(severity, sentence)] = problems_of(graph(Sampler__scheduler="carrot"))
    assert severity == "error"
    assert sentence.startswith(
        "“scheduler” of “Sampler” cannot be “carrot”; the server has simple, sgm_uniform, karras"
    )


def test_a_model_that_is_missing_is_named_with_its_folder() -> None:
    [(severity, sentence)] = problems_of(graph(Checkpoint__ckpt_name="other.safetensors"))
    assert severity == "error"
    assert sentence == (
        "“ckpt_name” of “Checkpoint” is other.safetensors, a model that the server does not have: "
        "put its file in models/checkpoints."
    )


def test_the_newer_form_of_lists_is_read_too() -> None:
    newer: Json = {
        "input": {"required": {"ckpt_name": ["COMBO", {"options": ["a.safetensors"]}]}},
        "output": ["MODEL", "CLIP", "VAE"],
    }
    definitions = server_with(CheckpointLoaderSimple=newer)
    assert problems_of(graph(Checkpoint__ckpt_name="a.safetensors"), definitions=definitions) == []
    assert len(problems_of(graph(Checkpoint__ckpt_name="b.safetensors"), definitions=definitions)) == 1


def test_links_must_lead_to_an_output_of_the_right_type() -> None:
    assert problems_of(graph(Sampler__positive=["77", 0], Sampler__negative=["3", 1], Sampler__model=["1", 1])) == [
        ("error", "“model” of “Sampler” needs MODEL, but output 1 of “Checkpoint” gives CLIP."),
        (
            "error",
            "“positive” of “Sampler” comes from node 77, which does not exist: export the workflow again.",
        ),
        ("error", "“negative” of “Sampler” takes output 1 of “Negative prompt”, which has only 1, counted from 0."),
    ]
    assert problems_of(graph(Sampler__model=["1"])) == [
        ("error", "“model” of “Sampler” is a list, but not a connection [node, output].")
    ]
    assert problems_of(graph(Sampler__model="sdxl")) == [
        ("error", "“model” of “Sampler” needs a connection of type MODEL, not a value.")
    ]


def test_a_graph_without_an_output_is_an_error() -> None:
    broken = graph()
    del broken["7"]
    assert problems_of(broken) == [("error", "The workflow has no output: add a node such as Save Image.")]


def test_a_circle_is_an_error_that_names_its_nodes() -> None:
    circular = graph(Size__width=["8", 0])
    circular["8"] = {"class_type": "PrimitiveInt", "inputs": {"value": ["9", 0]}, "_meta": {"title": "A"}}
    circular["9"] = {"class_type": "PrimitiveInt", "inputs": {"value": ["8", 0]}, "_meta": {"title": "B"}}
    [(severity, sentence)] = problems_of(circular)
    assert severity == "error"
    assert sentence in {f"The nodes {circle} depend on each other in a loop." for circle in ("“A” → “B”", "“B” → “A”")}


def test_a_long_chain_is_no_circle() -> None:
    chain: Graph = {
        str(number): {"class_type": "PrimitiveInt", "inputs": {"value": [str(number + 1), 0]}} for number in range(5000)
    }
    chain["5000"] = {"class_type": "PrimitiveInt", "inputs": {"value": 1}}
    assert problems_of(chain) == [("error", "The workflow has no output: add a node such as Save Image.")]


def slot(checked: Graph, node: str, name: str, **more: Json) -> Slot:
    kind = more.pop("kind", "integer")
    assert kind in {"integer", "model", "choice"}
    return Slot(name=name, title=name, kind=kind, targets=(find_target(checked, node, name),), **more)  # pyright: ignore[reportArgumentType]


def test_two_nodes_with_the_title_that_a_slot_means_are_told() -> None:
    ambiguous = graph()
    steps = slot(ambiguous, "Sampler", "steps")
    ambiguous["3"]["_meta"] = {"title": "Sampler"}
    [(severity, sentence)] = problems_of(ambiguous, steps)
    assert severity == "warning"
    assert sentence.startswith("steps goes to “Sampler”, but 2 nodes have that title (3, 5)")


def test_a_slot_may_not_promise_more_than_its_node_takes() -> None:
    valid = graph()
    assert problems_of(valid, slot(valid, "Sampler", "steps", minimum=0, maximum=20000)) == [
        ("warning", "steps allows 0, but “steps” of “Sampler” must be at least 1."),
        ("warning", "steps allows 20000, but “steps” of “Sampler” must be at most 10000."),
    ]
    assert problems_of(valid, slot(valid, "Sampler", "scheduler", kind="choice", choices=["karras", "carrot"])) == [
        ("warning", "scheduler offers carrot, which “scheduler” of “Sampler” does not have on this server.")
    ]


def test_a_slots_default_counts_instead_of_the_graphs_value() -> None:
    changed = graph(Sampler__steps=0)
    assert problems_of(changed, slot(changed, "Sampler", "steps", default=20)) == []
    assert problems_of(changed, slot(changed, "Sampler", "steps", default=-2)) == [
        ("error", "“steps” of “Sampler” is -2, but must be between 1 and 10000.")
    ]


def test_a_model_slot_without_a_default_needs_any_model_at_all() -> None:
    changed = graph(Checkpoint__ckpt_name="whatever")
    model = slot(changed, "Checkpoint", "ckpt_name", kind="model")
    assert problems_of(changed, model) == []
    empty: Json = {"input": {"required": {"ckpt_name": [[], {}]}}, "output": ["MODEL", "CLIP", "VAE"]}
    assert len(problems_of(changed, model, definitions=server_with(CheckpointLoaderSimple=empty))) == 1


LINKS: st.SearchStrategy[Json] = st.sampled_from([[node, output] for node in "129" for output in (-1, 0, 1, 3)])
GIVEN = st.dictionaries(st.sampled_from(["seed", "images", "image", "model", "scheduler", "cfg"]), LINKS | ANY_JSON)
KINDS = st.sampled_from(["KSampler", "SaveImage", "LoadImage", "?"])


def _entry(kind: str, node_inputs: dict[str, Json], meta: Json) -> dict[str, Json]:
    return {"class_type": kind, "inputs": node_inputs, "_meta": meta}


@UNHURRIED
@given(st.dictionaries(st.sampled_from("123"), st.builds(_entry, KINDS, GIVEN, ANY_JSON), min_size=1), ANY_JSON)
def test_any_graph_and_any_server_lead_to_findings_only(checked: Graph, definition: Json) -> None:
    for definitions in (
        server(),
        Definitions({**object_info(), "KSampler": definition, "SaveImage": {"input": definition}}),
    ):
        assert all(isinstance(finding, Finding) for finding in audit(checked, (), definitions))


PAID: dict[str, Json] = {
    "input": {"required": {"images": ["IMAGE"]}},
    "output": [],
    "output_node": True,
    "api_node": True,
}
REMOVE = "remove it, or set a key, a budget and a server for it ([paid_nodes] in atelier.toml)."
ADD_PRICE = "add price = the most that a run costs in US dollars to the manifest."
BILLS = "“Upscale elsewhere” calls a service that bills for each run: "


@pytest.mark.parametrize(
    ("pays", "price", "expr", "sentence"),
    [
        (False, 0.1, None, f"{BILLS}{REMOVE}"),
        (False, None, None, f"{BILLS}{REMOVE}"),
        (True, None, None, f"{BILLS}{ADD_PRICE}"),
        (True, None, '{"type":"usd","usd":0.06}', f"{BILLS}add price = 0.06 to the manifest."),
        (True, 0.1, None, None),
        (True, 0.0, None, None),
    ],
)
def test_a_node_that_somebody_bills_for_needs_a_budget_and_a_price(
    pays: bool, price: float | None, expr: str | None, sentence: str | None
) -> None:
    checked = graph()
    source = next(id_ for id_, entry in checked.items() if entry["class_type"] == "VAEDecode")
    checked["99"] = {"class_type": "Paid", "inputs": {"images": [source, 0]}, "_meta": {"title": "Upscale elsewhere"}}
    definitions = server_with(CheckpointLoaderSimple=MODEL, Paid={**PAID, "price_badge": {"expr": expr}})
    findings = audit(checked, (), definitions, pays=pays, price=price)
    assert [(finding.severity, reason_text(finding.reason)) for finding in findings] == (
        [] if sentence is None else [("error", sentence)]
    )


@pytest.mark.parametrize(
    ("badge", "price"),
    [
        ({"expr": '{"type":"usd","usd":0.06}'}, 0.06),
        ({"expr": '{"type":"range_usd","min_usd":0.03,"max_usd":0.06,"format":{"approximate":true}}'}, 0.06),
        ({"expr": '{"type":"usd","usd":0.06,"format":{"suffix":"/second"}}'}, None),
        ({"expr": '{"type":"usd","usd":1e999}'}, None),
        ({"expr": '{"type":"usd","usd":true}'}, None),
        ({"expr": '{"type":"text","text":"Free"}'}, None),
        ({"expr": "($rate := widgets.size; {'type':'usd','usd': $rate})"}, None),
        ({"expr": 3}, None),
        (None, None),
    ],
)
def test_a_price_that_is_the_same_for_every_run_is_read_from_the_badge(badge: Json, price: float | None) -> None:
    definition = server_with(Paid={**PAID, "price_badge": badge}).get("Paid")
    assert definition is not None
    assert definition.price == price
