"""From the editor's format to API format, against pairs drawn and exported by hand."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.editor_format.convert import AppInput, convert
from app.workflows.model import Target, WorkflowError
from app.workflows.nodes.definitions import Definitions
from tests.refusals import refusal_of, refused
from tests.workflows.editor_graphs import (
    ANY_DRAWING,
    ANY_JSON,
    UNHURRIED,
    drawing,
    node,
    object_info,
    read,
    sent,
    server,
    server_with,
    socket,
)


@pytest.mark.parametrize("name", ["harbour", "nested"])
def test_a_drawn_workflow_becomes_what_the_editor_exports(name: str) -> None:
    assert convert(read(f"{name}.ui.json"), server()).graph == read(f"{name}.api.json")


def test_app_mode_is_told_in_the_ids_of_the_export() -> None:
    flat, nested = (convert(read(f"{name}.ui.json"), server()) for name in ("harbour", "nested"))
    assert flat.app_inputs == (
        AppInput("text", (Target(NodeId("2"), "text"),)),
        AppInput("seed", (Target(NodeId("5"), "seed"),)),
    )
    assert nested.app_inputs == (
        AppInput("text", (Target(NodeId("10:2"), "text"),)),
        AppInput("seed", (Target(NodeId("10:5"), "seed"),)),
    )
    assert nested.app_outputs == ("7",)


SAVE = node(9, "SaveImage", socket("images", "IMAGE", 9), values=["x"])


def image(*, mode: int = 0, values: Json = None) -> Json:
    return node(1, "LoadImage", outputs="IMAGE MASK", values=values or ["a.png", "image"], mode=mode)


def test_the_upload_button_is_no_input() -> None:
    assert sent(drawing([image(), SAVE], [[9, 1, 0, 9, 0]]))["1"] == {"image": "a.png"}


def test_values_may_be_a_table() -> None:
    values: Json = {"image": "b.png", "upload": "image", "crf": 19, "videopreview": {"hidden": False}}
    assert sent(drawing([image(values=values), SAVE], [[9, 1, 0, 9, 0]]))["1"] == {"image": "b.png", "crf": 19}


def test_a_missing_value_is_the_servers_default() -> None:
    sampler = sent(drawing([node(1, "KSampler", outputs="LATENT", values=[5, "fixed", 30])], []))["1"]
    assert (sampler["seed"], sampler["steps"], sampler["cfg"], sampler["sampler_name"]) == (5, 30, 8.0, "euler")


def test_the_oldest_editors_saved_yes_or_no_behind_the_seed() -> None:
    sampler = sent(drawing([node(1, "KSampler", values=[5, True, 30, 7.5, "heun", "karras", 0.5])], []))["1"]
    assert (sampler["seed"], sampler["steps"], sampler["denoise"]) == (5, 30, 0.5)


def test_a_seed_without_a_control_field_is_followed_by_the_next_value() -> None:
    sampler = sent(drawing([node(1, "KSampler", values=[5, 30, 7.5, "heun", "karras", 0.5])], []))["1"]
    assert (sampler["seed"], sampler["steps"], sampler["denoise"]) == (5, 30, 0.5)


def test_a_field_that_is_connected_keeps_its_place_among_the_values() -> None:
    row: Json = [5, "randomize", 30, 7, "heun", "karras", 1]
    number = node(1, "PrimitiveInt", outputs="INT", values=[77, "fixed"])
    sampler = node(2, "KSampler", socket("seed", "INT", 1, field=True), values=row)
    nodes = sent(drawing([number, sampler], [[1, 1, 0, 2, 0]]))
    assert nodes["1"] == {"value": 77}
    assert (nodes["2"]["seed"], nodes["2"]["steps"], nodes["2"]["scheduler"]) == (["1", 0], 30, "karras")


def test_an_input_that_is_always_a_socket_has_no_value() -> None:
    definitions = server_with(
        Frames={
            "input": {
                "required": {"fps": ["FLOAT", {"forceInput": True}], "name": ["STRING", {}], "n": ["INT", {}]},
            },
            "output": [],
            "output_node": True,
        }
    )
    rows: list[Json] = [["clip", 4], [24.0, "clip", 4]]
    for values in rows:
        assert sent(drawing([node(1, "Frames", values=values)], []), definitions)["1"] == {"name": "clip", "n": 4}


def test_a_choice_decides_which_fields_follow() -> None:
    branches: Json = [
        {"key": "mp4", "inputs": {"required": {"codec": ["COMBO", {"options": ["h264", "av1"]}], "crf": ["INT", {}]}}},
        {"key": "gif", "inputs": {}},
    ]
    definitions = server_with(
        Film={"input": {"required": {"format": ["COMFY_DYNAMICCOMBO_V3", {"options": branches}], "fps": ["INT", {}]}}}
    )
    film = sent(drawing([node(1, "Film", values=["mp4", "av1", 19, 24])], []), definitions)["1"]
    assert film == {"format": "mp4", "format.codec": "av1", "format.crf": 19, "fps": 24}
    assert sent(drawing([node(1, "Film", values=["gif", 12])], []), definitions)["1"] == {"format": "gif", "fps": 12}


def test_a_list_value_is_wrapped_so_that_it_is_no_connection() -> None:
    definitions = server_with(Many={"input": {"required": {"names": ["COMBO", {"options": ["a", "b"]}]}}})
    assert sent(drawing([node(1, "Many", values=[["a", "b"]])], []), definitions)["1"] == {
        "names": {"__value__": ["a", "b"]}
    }


def test_a_title_falls_back_to_what_the_server_calls_the_class() -> None:
    definitions = server_with(Odd={"input": {}, "display_name": "An odd node"})
    assert convert(drawing([node(1, "Odd")], []), definitions).graph["1"]["_meta"] == {"title": "An odd node"}


def test_reroutes_are_followed_to_their_source_however_many_there_are() -> None:
    bends = [node(id_, "Reroute", socket("", "*", id_ - 1), outputs="*") for id_ in range(100, 3000)]
    links = [[id_, id_, 0, id_ + 1, 0] for id_ in range(100, 2999)]
    content = drawing([image(), *bends, SAVE], [[99, 1, 0, 100, 0], *links, [9, 2999, 0, 9, 0]])
    assert sent(content)["9"]["images"] == ["1", 0]


def test_a_getter_takes_what_its_setter_is_given() -> None:
    content = drawing(
        [
            image(),
            node(2, "SetNode", socket("IMAGE", "IMAGE", 1), outputs="*", values=["picture"]),
            node(3, "GetNode", outputs="IMAGE", values=["picture"]),
            SAVE,
        ],
        [[1, 1, 0, 2, 0], [9, 3, 0, 9, 0]],
    )
    assert sent(content) == {"1": {"image": "a.png"}, "9": {"filename_prefix": "x", "images": ["1", 0]}}


def scaled(mode: int) -> dict[str, Json]:
    scale = node(
        2,
        "ImageScaleBy",
        socket("image", "IMAGE", 1),
        outputs="IMAGE",
        values=["lanczos", 2.0],
        mode=mode,
        title="Twice",
    )
    return drawing([image(), scale, SAVE], [[1, 1, 0, 2, 0], [9, 2, 0, 9, 0]])


def test_a_bypassed_node_passes_on_the_input_of_the_same_type() -> None:
    assert sent(scaled(4)) == {"1": {"image": "a.png"}, "9": {"filename_prefix": "x", "images": ["1", 0]}}


def test_a_bypassed_lora_loader_passes_on_model_and_clip_each() -> None:
    lora = node(
        2,
        "LoraLoader",
        socket("model", "MODEL", 1),
        socket("clip", "CLIP", 2),
        outputs="MODEL CLIP",
        mode=4,
        values=["l"],
    )
    content = drawing(
        [
            node(1, "CheckpointLoaderSimple", outputs="MODEL CLIP VAE", values=["m"]),
            lora,
            node(3, "CLIPTextEncode", socket("clip", "CLIP", 3), values=["t"], outputs="CONDITIONING"),
            node(4, "KSampler", socket("model", "MODEL", 4), values=[]),
        ],
        [[1, 1, 0, 2, 0], [2, 1, 1, 2, 1], [3, 2, 1, 3, 0], [4, 2, 0, 4, 0]],
    )
    nodes = sent(content)
    assert (nodes["3"]["clip"], nodes["4"]["model"]) == (["1", 1], ["1", 0])
    assert "2" not in nodes


def test_a_bypassed_node_without_such_an_input_passes_on_nothing() -> None:
    content = drawing([image(mode=4), SAVE], [[9, 1, 0, 9, 0]])
    assert sent(content) == {"9": {"filename_prefix": "x"}}


def test_a_muted_node_is_dropped_and_all_that_need_it() -> None:
    with refused("no node that would run"):
        convert(drawing([image(mode=2), SAVE], [[9, 1, 0, 9, 0]]), server())
    nodes = sent(scaled(2))
    assert nodes == {"1": {"image": "a.png"}}


def test_without_pruning_the_export_is_the_editors_own() -> None:
    assert sent(scaled(2), prune=False) == {"1": {"image": "a.png"}, "9": {"filename_prefix": "x"}}


INNER: Json = {
    "id": "S",
    "name": "Inner",
    "inputs": [{"name": "image", "type": "IMAGE"}, {"name": "upscale_method", "type": "COMBO"}],
    "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
    "nodes": [
        node(
            1,
            "ImageScaleBy",
            socket("image", "IMAGE", 1),
            socket("upscale_method", "COMBO", 2, field=True),
            outputs="IMAGE",
            values=["bicubic", 3.0],
        )
    ],
    "links": [
        {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0},
        {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 1, "target_slot": 1},
        {"id": 3, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0},
    ],
}


def with_subgraph(values: Json = None, mode: int = 0, properties: Json = None) -> dict[str, Json]:
    host = node(10, "S", socket("image", "IMAGE", 1), outputs="IMAGE", values=values, mode=mode, properties=properties)
    return drawing([image(), host, SAVE], [[1, 1, 0, 10, 0], [9, 10, 0, 9, 0]], definitions={"subgraphs": [INNER]})


def test_a_subgraphs_own_value_stands_for_the_field_inside() -> None:
    assert sent(with_subgraph(["area"]))["10:1"] == {"image": ["1", 0], "upscale_method": "area", "scale_by": 3.0}


def test_without_a_value_on_the_subgraph_the_field_inside_keeps_its_own() -> None:
    assert sent(with_subgraph())["10:1"]["upscale_method"] == "bicubic"
    assert sent(with_subgraph([None]))["10:1"]["upscale_method"] == "bicubic"


def test_a_field_inside_that_was_put_on_the_subgraph_has_the_value_from_there() -> None:
    properties: Json = {"proxyWidgets": [["1", "scale_by"], ["-1", "upscale_method"]]}
    scaler = sent(with_subgraph([1.5, "area"], properties=properties))["10:1"]
    assert (scaler["scale_by"], scaler["upscale_method"]) == (1.5, "area")


def test_a_primitive_inside_has_the_value_that_was_put_on_the_subgraph() -> None:
    inner: Json = {
        "id": "S",
        "nodes": [
            node(1, "PrimitiveString", socket("value", "STRING", 1, field=True), outputs="STRING", values=["own"]),
            node(2, "PrimitiveNode", outputs="STRING", values=["inside"]),
        ],
        "links": [{"id": 1, "origin_id": 2, "origin_slot": 0, "target_id": 1, "target_slot": 0}],
    }
    around: Json = {
        "id": "T",
        "nodes": [node(4, "S", values=["between"], properties={"proxyWidgets": [["2", "value"]]})],
    }
    subgraphs: Json = {"subgraphs": [inner, around]}
    outside = node(9, "T", values=["outside"], properties={"proxyWidgets": [["4", "value"]]})
    assert sent(drawing([outside], [], definitions=subgraphs))["9:4:1"] == {"value": "outside"}
    silent = node(9, "T", values=[], properties={"proxyWidgets": [["4", "value"]]})
    assert sent(drawing([silent], [], definitions=subgraphs))["9:4:1"] == {"value": "between"}


def test_a_bypassed_subgraph_passes_on_its_input_and_runs_nothing() -> None:
    assert sent(with_subgraph(mode=4)) == {"1": {"image": "a.png"}, "9": {"filename_prefix": "x", "images": ["1", 0]}}


def test_a_muted_subgraph_runs_nothing() -> None:
    assert list(sent(with_subgraph(mode=2))) == ["1"]


def wrong(content: Json) -> str:
    with pytest.raises(WorkflowError) as caught:
        convert(content, server())
    return refusal_of(caught.value)


def test_what_cannot_be_converted_names_the_node_and_the_way_around() -> None:
    group = drawing([node(1, "workflow>Upscaling", title="Twice")], [])
    nowhere = drawing([node(9, "SaveImage", socket("images", "IMAGE", 9), title="Keep")], [[9, 1, 0, 9, 0]])
    no_link = drawing([node(9, "SaveImage", socket("images", "IMAGE", 9), title="Keep")], [])
    slipped = drawing([node(1, "KSampler", values=["euler", 5, 20], title="Sampler")], [])
    unset = drawing([node(3, "GetNode", values=["p"], title="Get p"), SAVE], [[9, 3, 0, 9, 0]])
    circle = drawing([node(2, "Reroute", socket("", "*", 1)), SAVE], [[1, 2, 0, 2, 0], [9, 2, 0, 9, 0]])
    camera = drawing([node(1, "WebcamCapture", title="Camera")], [])
    for content, title in (
        (group, "Twice"),
        (nowhere, "Keep"),
        (no_link, "Keep"),
        (slipped, "Sampler"),
        (unset, "Get p"),
        (camera, "Camera"),
    ):
        sentence = wrong(content)
        assert f"“{title}”" in sentence
        assert "Export (API)" in sentence
        assert "Save (API Format)" in sentence
    assert "form a loop" in wrong(circle)


def test_a_class_that_the_server_lacks_is_named_with_what_was_perhaps_meant() -> None:
    assert "did you mean “KSampler”?" in wrong(drawing([node(1, "KSamplr", title="Sampler")], []))
    assert "does not have" in wrong(drawing([node(1, "Zzqx", title="Sampler")], []))
    assert sent(drawing([node(2, "Zzqx", mode=2), image()], [])) == {"1": {"image": "a.png"}}


def test_a_subgraph_that_holds_itself_is_told() -> None:
    content = drawing([node(1, "S")], [], definitions={"subgraphs": [{"id": "S", "nodes": [node(1, "S", title="Me")]}]})
    assert "“Me” contains itself" in wrong(content)


def test_two_nodes_with_one_id_are_told() -> None:
    assert "the same id 1" in wrong(drawing([image(), node(1, "SaveImage")], []))


@UNHURRIED
@given(ANY_JSON)
def test_any_json_becomes_a_workflow_or_a_sentence(content: Json) -> None:
    is_converted_or_told(content)


@UNHURRIED
@given(ANY_DRAWING)
def test_any_drawing_becomes_a_workflow_or_a_sentence(content: Json) -> None:
    is_converted_or_told(content)


@UNHURRIED
@given(ANY_DRAWING, ANY_JSON)
def test_any_server_leads_to_a_workflow_or_a_sentence(content: Json, definition: Json) -> None:
    odd = server_with(KSampler=definition, SaveImage={"input": {"required": definition}}, Reroute=definition)
    is_converted_or_told(content, odd)


def is_converted_or_told(content: Json, definitions: Definitions | None = None) -> None:
    sentences: list[str] = []
    graph: Graph = {}
    try:
        graph = convert(content, definitions or server()).graph
    except WorkflowError as error:
        sentences.append(refusal_of(error))
    assert graph or sentences[0].endswith((".", "?"))
    assert all(isinstance(entry["class_type"], str) for entry in graph.values())


def test_a_servers_answer_is_read_class_by_class() -> None:
    parsed = Definitions.parse(msgspec.json.encode(object_info()))
    assert list(parsed) == list(server())
    assert all(parsed.get(name) == server().get(name) for name in parsed)
    assert parsed.get("Nothing") is None
