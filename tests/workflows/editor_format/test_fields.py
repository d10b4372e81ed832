"""Fields that only the editor shows or fills, on ComfyUI 0.33."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ports import Json
from app.simulator.http.job_routes import REPLACEMENTS as RECORDED
from app.workflows.editor_format.convert import convert
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.nodes.replacements import REPLACEMENTS, Replacement, read_replacements
from tests.refusals import refusal_of
from tests.workflows.editor_graphs import ANY_JSON, drawing, node, sent, socket
from tests.workflows.templates import definitions, object_info


def as_listed(listed: Mapping[str, Json]) -> dict[str, Replacement]:
    """What is read of a server's list."""
    return read_replacements({old: msgspec.Raw(msgspec.json.encode(entries)) for old, entries in listed.items()})


def alone(entry: Json) -> dict[str, Json]:
    [inputs] = sent(drawing([entry], []), definitions()).values()
    return inputs


def test_a_comparison_gets_the_value_that_the_editor_sends_but_does_not_save() -> None:
    saved: list[list[Json]] = [[], [{"before": "/api/view?a", "after": "/api/view?b"}]]
    for values in saved:
        assert alone(node(1, "ImageCompare", values=list(values))) == {"compare_view": {"__value__": ["", ""]}}


def test_values_of_fields_without_a_socket_are_taken_from_the_row() -> None:
    boxes: Json = [{"x": 1, "y": 2, "width": 3, "height": 4, "metadata": {"palette": []}}]
    row: list[Json] = [1024, 768, boxes]
    assert alone(node(1, "CreateBoundingBoxes", values=row)) == {
        "width": 1024,
        "height": 768,
        "editor_state": {"__value__": boxes},
        "last_incoming": {"__value__": []},
    }
    assert alone(node(1, "ImageCompositor", values=[{"canvas": {}}])) == {"compositor": {"canvas": {}}}
    crop: dict[str, Json] = {"x": 1, "y": 2, "width": 30, "height": 40}
    assert alone(node(1, "ImageCropV2", values=[crop, 1, 2, 30, 40])) == {"crop_region": crop}


def test_what_was_painted_is_the_name_of_a_file() -> None:
    painter = alone(node(1, "Painter", values=["painter-3.png [input]", 1024, 960, "#000000"]))
    assert painter == {"mask": "painter-3.png [input]", "width": 1024, "height": 960, "bg_color": "#000000"}


def test_the_number_of_a_choice_is_sent_with_it() -> None:
    combo = alone(node(1, "CustomCombo", values=["soft", 0, "hard", "soft", ""]))
    assert combo == {"choice": "soft", "index": 1, "option1": "hard", "option2": "soft", "option3": ""}


ROW: list[Json] = ["toy.glb", "upload3dmodel", "uploadExtraResources", "clear", "", 640, 480]
STATE: Json = {"position": {"x": 1, "y": 2, "z": 3}}


@pytest.mark.parametrize("row", [ROW, ["toy.glb", "", 640, 480], ["toy.glb", 640, 480]])
def test_a_3d_model_needs_no_browser_where_only_the_model_is_used(row: list[Json]) -> None:
    load = node(1, "Load3D", values=row, properties={"Camera Config": {"state": STATE}})
    inputs = sent(
        drawing([load, node(2, "SaveGLB", socket("mesh", "*", 1), values=["x", ""])], [[1, 1, 6, 2, 0]]), definitions()
    )
    view: Json = {
        "image": "example.png",
        "mask": "example.png",
        "normal": "example.png",
        "camera_info": STATE,
        "recording": "",
    }
    assert inputs["1"] == {"model_file": "toy.glb", "image": view, "width": 640, "height": 480}


def test_a_picture_that_the_browser_takes_of_a_3d_model_is_refused() -> None:
    load = node(1, "Load3D", values=ROW, title="The toy")
    shown = node(2, "PreviewImage", socket("images", "IMAGE", 1))
    with pytest.raises(WorkflowError) as caught:
        convert(drawing([load, shown], [[1, 1, 0, 2, 0]]), definitions())
    assert "“The toy”" in refusal_of(caught.value)


def test_a_recording_is_refused() -> None:
    with pytest.raises(WorkflowError) as caught:
        convert(drawing([node(1, "RecordAudio", values=["", ""])], []), definitions())
    assert "“RecordAudio”" in refusal_of(caught.value)


def test_values_saved_by_name_are_used_where_the_row_does_not_fit_the_server() -> None:
    named: Json = {"width": 640, "height": 480, "batch_size": 2, "color": 7, "gone": "x"}
    image = alone(node(1, "EmptyImage", values=["x", 640, 480, 2, 7], widgets_values_named=named))
    assert image.items() >= {"width": 640, "height": 480, "batch_size": 2, "color": 7}.items()


def test_a_replaced_class_becomes_the_new_one() -> None:
    image = node(1, "EmptyImage", outputs="IMAGE", values=[64, 64, 1, 0])
    smaller = node(
        2,
        "ResizeImagesByLongerEdge",
        socket("images", "IMAGE", 1),
        socket("longer_edge", "INT", None, field=True),
        outputs="IMAGE",
        values=[32],
    )
    loader = node(3, "T2IAdapterLoader", values=["style.safetensors"])
    scaled = node(4, "ImageScaleBy", socket("image", "IMAGE", 2), outputs="IMAGE", values=["area", 0.5])
    later = Definitions({name: entry for name, entry in object_info().items() if name not in REPLACEMENTS})
    graph = convert(drawing([image, smaller, loader, scaled], [[1, 1, 0, 2, 0], [2, 2, 0, 4, 0]]), later).graph
    assert graph["2"]["class_type"] == "ImageScaleToMaxDimension"
    assert graph["2"]["inputs"] == {"image": ["1", 0], "largest_size": 32, "upscale_method": "lanczos"}
    assert graph["3"]["class_type"] == "ControlNetLoader"
    assert graph["3"]["inputs"] == {"control_net_name": "style.safetensors"}
    assert graph["4"]["inputs"] == {
        "input": ["2", 0],
        "resize_type": "scale by multiplier",
        "resize_type.multiplier": 0.5,
        "scale_method": "area",
    }


def test_the_list_of_the_server_comes_before_what_is_known_of_it() -> None:
    listed: dict[str, Json] = {
        "Enlarge": [
            {
                "new_node_id": "ResizeImageMaskNode",
                "old_widget_ids": ["factor"],
                "input_mapping": [
                    {"new_id": "input", "old_id": "picture"},
                    {"new_id": "resize_type", "set_value": "scale by multiplier"},
                    {"new_id": "resize_type.multiplier", "old_id": "factor"},
                ],
            }
        ],
        "ImageScaleBy": [{"new_node_id": "ImageScale"}],
    }
    later = {name: entry for name, entry in object_info().items() if name != "ImageScaleBy"}
    server = Definitions(later, as_listed(listed))
    image = node(1, "EmptyImage", outputs="IMAGE", values=[64, 64, 1, 0])
    larger = node(2, "Enlarge", socket("picture", "IMAGE", 1), outputs="IMAGE", values=[2.0])
    graph = convert(drawing([image, larger], [[1, 1, 0, 2, 0]]), server).graph
    assert graph["2"]["class_type"] == "ResizeImageMaskNode"
    inputs = graph["2"]["inputs"]
    assert isinstance(inputs, dict)
    assert inputs["input"] == ["1", 0]
    assert (inputs["resize_type"], inputs["resize_type.multiplier"]) == ("scale by multiplier", 2.0)
    assert (known := server.replacement("ImageScaleBy")) is not None
    assert known.by == "ImageScale"
    assert server.replacement("ImageBatch") is not None, "not listed, but known of 0.33"


def test_what_a_real_server_lists_is_what_is_known_of_it() -> None:
    listed = as_listed(msgspec.json.decode(RECORDED.read_bytes(), type=dict[str, Json]))
    assert listed.keys() == REPLACEMENTS.keys()
    for old, new in REPLACEMENTS.items():
        assert (listed[old].by, listed[old].names, listed[old].added) == (new.by, new.names, new.added)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        3,
        [{"new_node_id": 3}],
        [{"old_node_id": "Old"}],
        [{"new_node_id": "New", "input_mapping": [{"new_id": "a"}]}],
        [{"new_node_id": "New", "output_mapping": [{"old_idx": 0, "new_idx": 1}]}],
    ],
)
def test_a_replacement_that_cannot_be_applied_is_left_out(entries: Json) -> None:
    assert as_listed({"Old": entries}) == {}


@given(st.dictionaries(st.text(), ANY_JSON))
def test_whatever_a_server_lists_is_read(listed: dict[str, Json]) -> None:
    assert as_listed(listed).keys() <= listed.keys()


def test_a_class_that_the_server_still_has_is_not_replaced() -> None:
    both = Definitions({name: {"input": {}} for name in ("ImageBatch", "BatchImagesNode")})
    graph = convert(drawing([node(1, "ImageBatch")], []), both).graph
    assert graph["1"]["class_type"] == "ImageBatch"
