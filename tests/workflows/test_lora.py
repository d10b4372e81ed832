"""LoRAs in a row, placeholders in file prefixes, sizes in steps: what filling in does beside values."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from app.workflows.binding.placeholders import resolve, resolve_text
from app.workflows.binding.rounding import round_sizes, to_step
from app.workflows.lora import Chain, Lora, fill_loras, find_chain, read_loras
from app.workflows.model import Target
from app.workflows.offers.audit import audit
from tests.refusals import refused
from tests.workflows.discovery.test_discover import entry, shipped
from tests.workflows.editor_graphs import UNHURRIED, server, server_with
from tests.workflows.offers.test_audit import MODEL

NOW = datetime(2026, 3, 7, 9, 5, 2, tzinfo=UTC)


def lora_row(*names: str) -> Graph:
    """The shipped text to image with loaders between the checkpoint and everything else."""
    graph = shipped()
    before = "1"
    for number, name in enumerate(names, 20):
        links: dict[str, Json] = {"model": [before, 0], "clip": [before, 1], "lora_name": name}
        graph[str(number)] = entry("LoraLoader", f"Style {number}", strength_model=1.0, strength_clip=1.0, **links)
        before = str(number)
    inputs(graph, "5")["model"] = [before, 0]
    for node in ("2", "3"):
        inputs(graph, node)["clip"] = [before, 1]
    return graph


def row(graph: Graph) -> list[tuple[Json, Json, Json]]:
    """The LoRAs that the sampler's model passes, from the checkpoint on."""
    loras: list[tuple[Json, Json, Json]] = []
    link = inputs(graph, "5")["model"]
    while isinstance(link, list) and link[0] != "1":
        node_inputs = inputs(graph, str(link[0]))
        loras.insert(0, (node_inputs["lora_name"], node_inputs["strength_model"], node_inputs.get("strength_clip")))
        link = node_inputs["model"]
    return loras


def fill(graph: Graph, node: str, *loras: Lora) -> Graph:
    return fill_loras(graph, find_chain(graph, node, server()), loras)


def test_a_chain_is_found_from_any_of_its_loaders_and_from_the_models_own() -> None:
    graph = lora_row("a", "b", "c")
    chain = Chain(model=("1", 0), clip=("1", 1), loaders=(NodeId("20"), NodeId("21"), NodeId("22")))
    assert [find_chain(graph, node, server()) for node in ("1", "20", "21", "22")] == [chain] * 4
    assert find_chain(shipped(), "1", server()) == Chain(model=("1", 0), clip=("1", 1))


def test_loras_are_put_in_after_a_model_that_has_none() -> None:
    filled = fill(shipped(), "1", Lora("a", 0.8), Lora("b", 0.5, 0.0))
    assert row(filled) == [("a", 0.8, 0.8), ("b", 0.5, 0.0)]
    assert inputs(filled, "2")["clip"] == inputs(filled, "3")["clip"] == ["9", 1]
    assert inputs(filled, "6")["vae"] == ["1", 2]


def test_fewer_loras_take_loaders_out_and_more_put_some_in() -> None:
    graph = lora_row("a", "b", "c")
    assert row(fill(graph, "21", Lora("x", 0.3))) == [("x", 0.3, 0.3)]
    more = fill(graph, "21", *(Lora(name) for name in "vwxyz"))
    assert [name for name, _, _ in row(more)] == list("vwxyz")
    none = fill(graph, "21")
    assert none == shipped()


def test_a_model_alone_gets_loaders_for_a_model_alone() -> None:
    graph: Graph = {
        "1": entry("UNETLoader", unet_name="m", weight_dtype="default"),
        "5": entry("KSampler", model=["1", 0]),
    }
    filled = fill(graph, "1", Lora("a", 0.4))
    assert row(filled) == [("a", 0.4, None)]
    assert filled["6"]["class_type"] == "LoraLoaderModelOnly"


def test_what_hung_on_a_loader_in_the_middle_hangs_on_the_end() -> None:
    graph = lora_row("a", "b")
    inputs(graph, "3")["clip"] = ["20", 1]
    assert inputs(fill(graph, "20", Lora("x")), "3")["clip"] == ["20", 1]
    assert inputs(fill(graph, "20"), "3")["clip"] == ["1", 1]


def test_a_filled_chain_is_sound_on_the_server() -> None:
    sockets: dict[str, Json] = {"model": ["MODEL"], "clip": ["CLIP"], "lora_name": [["a", "b"]]}
    required: Json = {**sockets, "strength_model": ["FLOAT"], "strength_clip": ["FLOAT"]}
    lora: Json = {"input": {"required": required}, "output": ["MODEL", "CLIP"]}
    definitions = server_with(CheckpointLoaderSimple=MODEL, LoraLoader=lora)
    assert audit(fill(shipped(), "1", Lora("a"), Lora("b")), (), definitions) == []


def test_a_node_without_a_model_has_no_chain() -> None:
    with refused("“Prompt” outputs no model"):
        find_chain(shipped(), "2", server())


@UNHURRIED
@given(st.lists(st.tuples(st.text(min_size=1), st.floats(-100, 100)), max_size=6), st.integers(0, 4))
def test_any_number_of_loras_stands_in_the_row_and_the_graph_stays_as_it_was(
    loras: list[tuple[str, float]], before: int
) -> None:
    graph = lora_row(*"abcd"[:before])
    whole = copy.deepcopy(graph)
    filled = fill(graph, "1", *(Lora(name, weight) for name, weight in loras))
    assert row(filled) == [(name, weight, weight) for name, weight in loras]
    assert graph == whole
    links = [value for node in filled for value in inputs(filled, node).values() if isinstance(value, list)]
    assert all(link[0] in filled for link in links)


def test_loras_are_read_from_one_line() -> None:
    assert read_loras("a.safetensors:0.8, sub/b , c:-1") == (Lora("a.safetensors", 0.8), Lora("sub/b"), Lora("c", -1))
    assert read_loras("") == ()
    with refused("“a:strong” has no weight that is a number: write a:0.8"):
        read_loras("a:strong")
    with refused("must be between -100 and 100"):
        fill(shipped(), "1", *read_loras("a:nan"))


def test_placeholders_are_resolved_as_the_editor_does() -> None:
    graph = shipped()
    for text, resolved in (
        ("%date:yyyy-MM-dd%/x", "2026-03-07/x"),
        ("%date:yy-M-d hh.mm.ss%", "26-3-7 09.05.02"),
        ("%date%", "2026-03-07"),
        ("%Sampler.steps%_%KSampler.cfg%", "24_6.5"),
        ("%year%_%width%", "%year%_%width%"),
        ("%Nobody.seed% 100%", "%Nobody.seed% 100%"),
        ("%Sampler.model%", "%Sampler.model%"),
    ):
        assert resolve_text(text, graph, NOW) == resolved


def test_what_a_person_wrote_cannot_leave_the_folder() -> None:
    graph = shipped()
    inputs(graph, "7")["filename_prefix"] = "%Prompt.text%/x"
    for text, prefix in (("../../etc", ".._.._etc/x"), ("..", "_/x"), ("a:b|c\n", "a_b_c_/x")):
        inputs(graph, "2")["text"] = text
        assert inputs(resolve(graph, NOW), "7")["filename_prefix"] == prefix
    assert inputs(graph, "7")["filename_prefix"] == "%Prompt.text%/x"


def test_sizes_are_rounded_to_the_steps_that_begin_at_the_minimum() -> None:
    assert [to_step(value, 8, 16, 16384) for value in (0, 515, 516, 99999)] == [16, 512, 520, 16384]
    assert [to_step(value, 4, 1) for value in (80, 81, 83)] == [81, 81, 85]


def test_only_the_numbers_that_were_filled_are_rounded() -> None:
    graph = shipped()
    inputs(graph, "4").update({"width": 515, "height": 515})
    rounded = round_sizes(graph, server(), [Target(NodeId("4"), "width"), Target(NodeId("5"), "steps")])
    assert (inputs(rounded, "4")["width"], inputs(rounded, "4")["height"]) == (512, 515)
    assert inputs(graph, "4")["width"] == 515


@UNHURRIED
@given(st.integers(-(10**6), 10**6), st.integers(1, 64), st.integers(-100, 100), st.integers(0, 10**4))
def test_a_rounded_size_is_within_its_limits_and_no_step_away(value: int, step: int, low: int, span: int) -> None:
    rounded = to_step(value, step, low, low + span)
    assert low <= rounded <= low + span
    assert (rounded - low) % step == 0
    if low <= value <= low + span:
        assert abs(rounded - value) < step
