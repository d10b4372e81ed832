"""Slots behind the nodes of ComfyUI 0.33: choices with fields of their own, switches, joined texts, calculations."""

from __future__ import annotations

from random import Random

from app.events import JobId
from app.ports import Graph, Json
from app.workflows.binding.bind import bind
from app.workflows.discovery.discover import discover
from app.workflows.load import Workflow
from app.workflows.nodes.definitions import Definitions
from tests.workflows.templates import definitions


def entry(
    node_class: str, name: str = "", fields: dict[str, Json] | None = None, **node_inputs: Json
) -> dict[str, Json]:
    """A node; `fields` are those whose names have a dot."""
    title = {"title": name or node_class}
    return {"class_type": node_class, "inputs": {**node_inputs, **(fields or {})}, "_meta": {**title}}


def slots(graph: Graph, *, apart: bool = True) -> dict[str, list[str]]:
    found = discover(graph, definitions(), apart=apart)
    return {slot.name: [f"{target.node}.{target.input}" for target in slot.targets] for slot in found.slots}


def sampled(prompt: Json, **more: Json) -> Graph:
    """A sampler whose positive text is `prompt`."""
    return {
        "1": entry("CLIPTextEncode", text=prompt, clip=["9", 1]),
        "2": entry("CLIPTextEncode", text="ugly", clip=["9", 1]),
        "3": entry("EmptyLatentImage", width=512, height=768, batch_size=1),
        "4": entry("KSampler", model=["9", 0], positive=["1", 0], negative=["2", 0], latent_image=["3", 0], seed=1),
        "5": entry("VAEDecode", samples=["4", 0], vae=["9", 2]),
        "6": entry("SaveImage", images=["5", 0]),
        "9": entry("CheckpointLoaderSimple", ckpt_name="m.safetensors"),
        **{name.removeprefix("n"): node for name, node in more.items() if isinstance(node, dict)},
    }


def text(name: str, value: Json = "a cat") -> dict[str, Json]:
    return entry("PrimitiveStringMultiline", name, value=value)


def test_a_field_that_a_choice_brings_counts_by_the_last_part_of_its_name() -> None:
    fields: dict[str, Json] = {
        "model.prompt": "a cat",
        "model.resolution": "720p",
        "model.ratio": "16:9",
        "model.duration": 5,
    }
    graph: Graph = {
        "1": entry("ByteDance2TextToVideoNode", fields=fields, model="Seedance 2.0", seed=1),
        "2": entry("SaveVideo", video=["1", 0]),
    }
    assert slots(graph) == {
        "prompt": ["1.model.prompt"],
        "seed": ["1.seed"],
        "aspect_ratio": ["1.model.ratio"],
        "resolution": ["1.model.resolution"],
        "duration": ["1.model.duration"],
    }
    duration = next(slot for slot in discover(graph, definitions()).slots if slot.name == "duration")
    assert (duration.kind, duration.minimum, duration.maximum) == ("integer", 4, 15)


def test_a_switch_has_the_text_that_it_passes_on() -> None:
    for value, expected in ((True, "12.value"), (False, "11.value")):
        switch = entry("ComfySwitchNode", switch=["13", 0], on_false=["11", 0], on_true=["12", 0])
        setting = entry("PrimitiveBoolean", value=value)
        graph = sampled(["10", 0], n10=switch, n11=text("Plain"), n12=text("Fancy"), n13=setting)
        assert slots(graph)["prompt"] == [expected]


def test_what_instructs_a_language_model_is_not_for_people() -> None:
    join = entry("StringConcatenate", string_a=["11", 0], string_b=["12", 0], delimiter="")
    graph = sampled(["10", 0], n10=join, n11=text("System Prompt", "You are…"), n12=text("What to paint"))
    assert slots(graph)["prompt"] == ["12.value"]
    assert not any("11.value" in places for places in slots(graph).values())


def test_a_template_around_the_prompt_is_not_the_prompt() -> None:
    join = entry("StringReplace", string=["11", 0], find="{}", replace=["12", 0])
    graph = sampled(["10", 0], n10=join, n11=text("Prompt Template", "A picture of {}"), n12=text("Your words"))
    assert slots(graph)["prompt"] == ["12.value"]


def test_a_text_that_only_a_joining_node_holds_is_found() -> None:
    join = entry("StringReplace", string="a <style> cat", find="<style>", replace=["11", 0])
    pattern = entry("StringReplace", string="(.*)", find="x", replace="y")
    search = entry("RegexExtract", string="oil\nink", regex_pattern=["12", 0])
    assert slots(sampled(["10", 0], n10=join, n11=search, n12=pattern))["prompt"] == ["10.string"]


def test_positive_and_negative_follow_the_order_of_the_conditionings() -> None:
    graph = sampled("a cat")
    graph["8"] = entry("LTXVReferenceAudio", model=["9", 0], positive=["1", 0], negative=["2", 0])
    graph["4"]["inputs"] = {"positive": ["8", 1], "negative": ["8", 2], "latent_image": ["3", 0], "seed": 1}
    assert (slots(graph)["prompt"], slots(graph)["negative"]) == (["1.text"], ["2.text"])


def test_sizes_and_lengths_are_found_through_calculations() -> None:
    graph = sampled("a cat")
    graph |= {
        "3": entry("EmptyLTXVLatentVideo", width=["10", 1], height=["11", 0], length=["12", 1], batch_size=1),
        "10": entry("ComfyMathExpression", fields={"values.a": ["20", 0]}, expression="a / 2"),
        "11": entry("PrimitiveInt", "Height", value=704),
        "12": entry("ComfyMathExpression", fields={"values.a": ["22", 0], "values.b": ["23", 0]}, expression="a * b"),
        "20": entry("PrimitiveInt", "Width", value=1280),
        "22": entry("PrimitiveFloat", "Frame rate", value=24),
        "23": entry("PrimitiveFloat", "Duration", value=5),
    }
    found = slots(graph)
    assert (found["width"], found["height"], found["seconds"]) == (["20.value"], ["11.value"], ["23.value"])


def test_the_size_of_a_resized_picture_is_found() -> None:
    graph = sampled("a cat")
    resize: dict[str, Json] = {"resize_type": "scale dimensions", "resize_type.width": 640, "resize_type.height": 480}
    graph |= {
        "3": entry("EmptyLatentImage", width=["10", 0], height=["10", 1], batch_size=1),
        "10": entry("GetImageSize", image=["11", 0]),
        "11": entry("ResizeImageMaskNode", fields=resize, input=["12", 0]),
        "12": entry("LoadImage", image="a.png"),
    }
    found = slots(graph)
    assert (found["width"], found["height"]) == (["11.resize_type.width"], ["11.resize_type.height"])


def test_a_choice_of_shapes_stands_for_width_and_height() -> None:
    graph = sampled("a cat")
    graph["3"] = entry("EmptyLatentImage", width=["10", 0], height=["10", 1], batch_size=1)
    graph["10"] = entry("ResolutionSelector", aspect_ratio="1:1 (Square)", megapixels=1.0)
    found = slots(graph)
    assert (found["aspect_ratio"], found["megapixels"]) == (["10.aspect_ratio"], ["10.megapixels"])
    assert "width" not in found


def test_settings_that_are_equal_in_several_samplers_become_one_slot() -> None:
    graph = sampled("a cat")
    again: dict[str, Json] = {"model": ["9", 0], "positive": ["1", 0], "negative": ["2", 0], "latent_image": ["4", 0]}
    for cfg, expected in ((7, ["4.cfg", "7.cfg"]), (8, None)):
        graph["4"]["inputs"] = {**again, "latent_image": ["3", 0], "seed": 1, "cfg": 7}
        graph["7"] = entry("KSampler", fields={**again, "seed": 2, "cfg": cfg})
        graph["5"]["inputs"] = {"samples": ["7", 0], "vae": ["9", 2]}
        found = slots(graph).get("cfg")
        assert (sorted(found) if found else None) == expected


def test_a_painted_mask_is_a_file_that_may_be_left_out_where_nothing_was_painted() -> None:
    for value, required in (("painter-1.png [input]", True), ("", False)):
        graph: Graph = {
            "1": entry("Painter", mask=value, width=512, height=512, bg_color="#000000"),
            "2": entry("SaveImage", images=["1", 0]),
        }
        [mask] = discover(graph, definitions()).slots
        assert (mask.name, mask.kind, mask.required) == ("mask", "image", required)


def test_a_list_of_numbers_is_a_choice_and_the_node_gets_a_number() -> None:
    graph: Graph = {
        "1": entry("KlingImageToVideoWithAudio", prompt="a cat", duration=5, start_frame=["2", 0]),
        "2": entry("LoadImage", image="a.png"),
        "3": entry("SaveVideo", video=["1", 0]),
    }
    discovery = discover(graph, definitions())
    duration = next(slot for slot in discovery.slots if slot.name == "duration")
    assert (duration.kind, duration.choices) == ("choice", ("5", "10"))
    workflow = Workflow(name="cat", graph=graph, slots=(duration,))
    request = bind(workflow, JobId("j"), {"duration": "10"}, rng=Random(1), folder="out")
    assert request.graph["1"]["inputs"] == {"prompt": "a cat", "duration": 10, "start_frame": ["2", 0]}


def test_a_slot_for_several_lists_offers_what_all_of_them_have() -> None:
    maker: Json = {"input": {"required": {"prompt": ["STRING", {"multiline": True}], "resolution": [["1K", "2K"], {}]}}}
    other: Json = {
        "input": {"required": {"prompt": ["STRING", {"multiline": True}], "resolution": [["2K", "1K", "4K"], {}]}}
    }
    graph: Graph = {
        "1": entry("Maker", prompt="a cat", resolution="1K"),
        "2": entry("Other", prompt="a cat", resolution="1K"),
    }
    found = discover(graph, Definitions({"Maker": maker, "Other": other}), apart=True)
    [resolution] = [slot for slot in found.slots if slot.name == "resolution"]
    assert (len(resolution.targets), resolution.choices) == (2, ("1K", "2K"))
