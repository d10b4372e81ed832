"""Which inputs of a graph are meant for people."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import NodeId
from app.ports import Graph, Json
from app.texts.reasons.text import reason_text
from app.workflows.api_graph import inputs
from app.workflows.discovery.candidates import FoundBy
from app.workflows.discovery.discover import Discovery, discover
from app.workflows.editor_format.convert import AppInput, convert
from app.workflows.load import load
from app.workflows.model import Slot, Target
from tests.refusals import refused
from tests.workflows.editor_graphs import ANY_JSON, UNHURRIED, read, server, server_with
from tests.workflows.test_workflows import FOLDER


def entry(kind: str, name: str = "", **node_inputs: Json) -> dict[str, Json]:
    return {"class_type": kind, "inputs": dict(node_inputs), **({"_meta": {"title": name}} if name else {})}


def places(discovery: Discovery) -> dict[str, list[str]]:
    return {slot.name: [f"{target.node}.{target.input}" for target in slot.targets] for slot in discovery.slots}


def problems(discovery: Discovery) -> list[str]:
    return [reason_text(problem) for problem in discovery.problems]


def slot_named(discovery: Discovery, name: str) -> Slot:
    return next(slot for slot in discovery.slots if slot.name == name)


def shipped() -> Graph:
    return copy.deepcopy(load(FOLDER, "txt2img").graph)


def test_the_sampler_leads_to_everything_that_people_want_to_say() -> None:
    discovery = discover(shipped(), server())
    assert discovery.problems == ()
    assert places(discovery) == {
        "prompt": ["2.text"],
        "negative": ["3.text"],
        "seed": ["5.seed"],
        "steps": ["5.steps"],
        "cfg": ["5.cfg"],
        "sampler": ["5.sampler_name"],
        "scheduler": ["5.scheduler"],
        "width": ["4.width"],
        "height": ["4.height"],
        "count": ["4.batch_size"],
        "checkpoint": ["1.ckpt_name"],
    }
    assert discovery.how["prompt"] == FoundBy("links")


def test_slots_have_the_servers_types_limits_and_lists() -> None:
    discovery = discover(shipped(), server())
    prompt, steps, sampler, checkpoint = (
        slot_named(discovery, name) for name in ("prompt", "steps", "sampler", "checkpoint")
    )
    assert (prompt.kind, prompt.required, prompt.title) == ("text", True, "Prompt")
    assert (steps.kind, steps.minimum, steps.maximum) == ("integer", 1, 10000)
    assert (sampler.kind, sampler.choices[:2]) == ("choice", ("euler", "euler_cfg_pp"))
    assert (checkpoint.kind, checkpoint.default) == ("model", "model.safetensors")
    assert slot_named(discovery, "seed").kind == "seed"


def test_a_picture_to_start_from_gives_a_strength_and_no_size() -> None:
    discovery = discover(load(FOLDER, "img2img").graph, server())
    assert discovery.problems == ()
    assert {"image", "denoise"} <= places(discovery).keys()
    assert not {"width", "height"} & places(discovery).keys()
    assert (slot_named(discovery, "image").kind, slot_named(discovery, "image").required) == ("image", True)


def test_a_sampler_in_parts_is_walked_through_its_parts() -> None:
    graph: Graph = {
        "1": entry("UNETLoader", unet_name="flux.safetensors", weight_dtype="default"),
        "2": entry("DualCLIPLoader", clip_name1="a", clip_name2="b", type="flux"),
        "3": entry("CLIPTextEncodeFlux", clip=["2", 0], clip_l="x", t5xxl="x", guidance=3.5),
        "4": entry("BasicGuider", model=["1", 0], conditioning=["3", 0]),
        "5": entry("RandomNoise", noise_seed=1),
        "6": entry("KSamplerSelect", sampler_name="euler"),
        "7": entry("BasicScheduler", model=["1", 0], scheduler="simple", steps=20, denoise=1.0),
        "8": entry("EmptySD3LatentImage", width=["12", 0], height=1024, batch_size=1),
        "9": entry(
            "SamplerCustomAdvanced",
            noise=["5", 0],
            guider=["4", 0],
            sampler=["6", 0],
            sigmas=["7", 0],
            latent_image=["8", 0],
        ),
        "12": entry("PrimitiveInt", value=1024),
    }
    assert places(discover(graph, server())) == {
        "prompt": ["3.clip_l", "3.t5xxl"],
        "seed": ["5.noise_seed"],
        "steps": ["7.steps"],
        "sampler": ["6.sampler_name"],
        "scheduler": ["7.scheduler"],
        "width": ["12.value"],
        "height": ["8.height"],
        "count": ["8.batch_size"],
        "checkpoint": ["1.unet_name"],
    }


def test_conditionings_are_followed_to_the_side_they_came_from() -> None:
    graph = shipped()
    graph["8"] = entry("ControlNetApplyAdvanced", positive=["2", 0], negative=["3", 0], strength=1.0)
    inputs(graph, "5").update({"positive": ["8", 0], "negative": ["8", 1]})
    slots = places(discover(graph, server()))
    assert (slots["prompt"], slots["negative"]) == (["2.text"], ["3.text"])


def test_a_negative_that_is_the_emptied_prompt_is_no_slot() -> None:
    graph = shipped()
    graph["8"] = entry("ConditioningZeroOut", conditioning=["2", 0])
    inputs(graph, "5")["negative"] = ["8", 0]
    assert "negative" not in places(discover(graph, server()))


def test_titles_name_slots_and_count_more_than_guesses() -> None:
    graph = shipped()
    graph["3"]["_meta"] = {"title": "@prompt What to paint"}
    graph["2"]["_meta"] = {"title": "@mood"}
    graph["5"]["_meta"] = {"title": "@strength"}
    graph["4"]["_meta"] = {"title": "@breadth.width"}
    graph["7"]["_meta"] = {"title": "@output"}
    discovery = discover(graph, server())
    slots = places(discovery)
    assert (slots["prompt"], slots["mood"], slots["strength"], slots["breadth"]) == (
        ["3.text"],
        ["2.text"],
        ["5.denoise"],
        ["4.width"],
    )
    assert "width" not in slots
    assert "negative" not in slots
    assert slots["steps"] == ["5.steps"]
    assert (slot_named(discovery, "prompt").title, discovery.how["prompt"]) == ("What to paint", FoundBy("title"))
    assert discovery.outputs == ("7",)


def test_pictures_are_numbered_by_their_titles() -> None:
    graph: Graph = {
        "1": entry("LoadImage", "@image", image="a.png"),
        "2": entry("LoadImage", "@image:2", image="b.png"),
        "3": entry("LoadImage", "@image:3 Background", image="c.png"),
    }
    discovery = discover(graph, server())
    assert places(discovery) == {"image": ["1.image"], "image2": ["2.image"], "image3": ["3.image"]}
    assert discovery.problems == ()


def test_two_candidates_for_one_slot_are_named_and_none_is_taken() -> None:
    graph = shipped()
    graph["2"]["_meta"] = {"title": "@prompt"}
    graph["3"]["_meta"] = {"title": "@prompt "}
    graph["8"] = {**copy.deepcopy(graph["5"]), "_meta": {"title": "Second pass"}}
    graph["9"] = entry("SaveLatent", samples=["8", 0])
    discovery = discover(graph, server())
    assert not {"prompt", "seed", "steps"} & places(discovery).keys()
    assert (
        "seed could be “Sampler”.seed or “Second pass”.seed: give the right node the title @seed, "
        "or name it in the manifest."
    ) in problems(discovery)
    assert problems(discovery)[0].startswith("prompt could be “@prompt”.text or “@prompt ”.text")
    with refused("prompt could be"):
        discovery.sure()


def test_a_second_sampler_without_noise_of_its_own_has_no_seed() -> None:
    links: dict[str, Json] = {"positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0], "model": ["1", 0]}
    graph = shipped()
    graph["5"] = entry("KSamplerAdvanced", "First", add_noise="enable", noise_seed=1, **links)
    graph["8"] = entry("KSamplerAdvanced", "Second", add_noise="disable", noise_seed=2, **links)
    discovery = discover(graph, server())
    assert places(discovery)["seed"] == ["5.noise_seed"]
    assert discovery.problems == ()


def test_a_title_that_does_not_say_which_input_is_a_problem() -> None:
    graph = shipped()
    graph["4"]["_meta"] = {"title": "@size"}
    graph["5"]["_meta"] = {"title": "@x.nothing"}
    size, other = problems(discover(graph, server()))
    assert (
        size == "“@size” does not say which input is meant: call it @size.INPUT with one of width, height, batch_size."
    )
    assert other.startswith(
        "“@x.nothing” does not say which input is meant: call it @x.INPUT with one of seed, steps, cfg,"
    )


def test_app_mode_counts_most_and_its_fields_have_the_known_names() -> None:
    converted = convert(read("nested.ui.json"), server())
    graph = {id_: converted.graph[id_] for id_ in converted.graph if not id_.startswith("11")}
    discovery = discover(graph, server(), app_inputs=converted.app_inputs, app_outputs=converted.app_outputs)
    assert (places(discovery)["prompt"], discovery.how["prompt"]) == (["10:2.text"], FoundBy("app_mode"))
    assert (discovery.how["seed"], discovery.how["steps"]) == (FoundBy("app_mode"), FoundBy("links"))
    assert discovery.outputs == ("7",)


def test_two_fields_of_one_name_in_app_mode_are_told_apart_by_their_nodes() -> None:
    graph: Graph = {"1": entry("CLIPTextEncode", "Sky", text="a"), "2": entry("CLIPTextEncode", "Sea", text="b")}
    app_inputs = [AppInput("text", (Target(NodeId(node), "text"),)) for node in graph]
    assert places(discover(graph, server(), app_inputs=app_inputs)) == {"text": ["1.text"], "sea_text": ["2.text"]}


def test_input_nodes_of_other_tools_are_recognised_by_their_class() -> None:
    graph: Graph = {
        "1": entry("ComfyUIDeployExternalText", input_id="Scene Text", default_value="x", display_name="Scene"),
        "2": entry("SwarmInputInteger", title="How many", raw_id="", value=3, min=1, max=9, description="Pictures."),
        "3": entry("SwarmInputDropdown", title="Style", value="oil", values="oil, ink"),
        "4": entry("ETN_Parameter", name="Words", type="prompt (positive)", default="x", min=0.0, max=1.0),
        "5": entry("ServingInputNumber", argument="power", default=0.5, min_value=0.0, max_value=1.0),
        "6": entry("CPackInputInt", "Frames", value=16, min=1, max=81),
        "9": entry("CPackInputAny", "Way", upscale_method="area"),
        "7": entry("BentoInputImage", "Source", image="a.png"),
        "8": entry("ComfyUIDeployExternalText", input_id="linked", default_value=["1", 0]),
    }
    discovery = discover(graph, server())
    assert places(discovery) == {
        "scene_text": ["1.default_value"],
        "how_many": ["2.value"],
        "style": ["3.value"],
        "prompt": ["4.default"],
        "power": ["5.default"],
        "frames": ["6.value"],
        "way": ["9.upscale_method"],
        "source": ["7.image"],
    }
    kinds = [slot.kind for slot in discovery.slots]
    assert kinds == ["text", "integer", "choice", "text", "number", "integer", "text", "image"]
    assert (slot_named(discovery, "frames").minimum, slot_named(discovery, "frames").maximum) == (1, 81)
    assert (slot_named(discovery, "how_many").minimum, slot_named(discovery, "how_many").maximum) == (1, 9)
    assert (slot_named(discovery, "scene_text").title, discovery.how["power"]) == (
        "Scene",
        FoundBy("tool", "Serving Toolkit"),
    )


def test_a_graph_with_nothing_known_has_no_slots() -> None:
    assert discover({"1": entry("Odd", x=1)}, server()) == Discovery()


TITLES = st.sampled_from(["@prompt", "@seed.seed", "@image:2", "@output", "@", "@a.b.c", "x"]) | st.text(max_size=5)
ENTRIES: st.SearchStrategy[dict[str, Json]] = st.builds(
    entry,
    st.sampled_from(["KSampler", "CLIPTextEncode", "LoadImage", "EmptyLatentImage", "SwarmInputText", "ETN_Parameter"]),
    TITLES,
    positive=st.tuples(st.sampled_from(["1", "2", "9"]), st.integers(-1, 2)).map(list) | ANY_JSON,
    negative=st.tuples(st.sampled_from(["1", "2", "9"]), st.integers(-1, 2)).map(list) | ANY_JSON,
    latent_image=st.tuples(st.sampled_from(["1", "2"]), st.just(0)).map(list) | ANY_JSON,
    model=st.tuples(st.sampled_from(["1", "2"]), st.just(0)).map(list),
    seed=ANY_JSON,
    text=ANY_JSON,
    value=ANY_JSON,
    title=ANY_JSON,
)
ANY_GRAPH = st.dictionaries(st.sampled_from(["1", "2", "3"]), ENTRIES, min_size=1)


@UNHURRIED
@given(ANY_GRAPH, ANY_JSON)
def test_any_graph_has_slots_or_problems(graph: Graph, definition: Json) -> None:
    for definitions in (server(), server_with(KSampler=definition, LoadImage={"input": {"required": definition}})):
        discovery = discover(graph, definitions)
        assert all(target.node in graph for slot in discovery.slots for target in slot.targets)
        assert len({slot.name for slot in discovery.slots}) == len(discovery.slots)


LINES: Json = ["STRING", {"multiline": True}]
MAKER: Json = {
    "input": {
        "required": {"prompt": LINES, "system_prompt": LINES, "negative_prompt": LINES, "model": ["STRING", {}]},
        "optional": {"seed": ["INT", {"min": 0, "max": 99}], "aspect_ratio": [["1:1", "16:9"], {}], "image": ["IMAGE"]},
    },
    "output": ["IMAGE"],
}


def made(node: str, **more_inputs: Json) -> Graph:
    node_inputs: dict[str, Json] = {"prompt": "a fox", "negative_prompt": "", "system_prompt": "be kind", "model": "x"}
    return {node: entry("Maker", f"Maker {node}", **{**node_inputs, "seed": 3, "aspect_ratio": "1:1", **more_inputs})}


def test_a_node_that_does_everything_by_itself_is_understood_by_the_names_of_its_inputs() -> None:
    discovery = discover({**made("1"), "9": entry("SaveImage", images=["1", 0])}, server_with(Maker=MAKER))
    assert places(discovery) == {
        "prompt": ["1.prompt"],
        "negative": ["1.negative_prompt"],
        "seed": ["1.seed"],
        "aspect_ratio": ["1.aspect_ratio"],
    }
    assert (slot_named(discovery, "prompt").required, slot_named(discovery, "aspect_ratio").choices) == (
        True,
        ("1:1", "16:9"),
    )
    assert discovery.how["prompt"] == FoundBy("input_name")


def test_words_that_a_node_gets_from_one_that_only_holds_them_stand_there() -> None:
    graph: Graph = {"2": entry("PrimitiveStringMultiline", value="a fox"), **made("1", prompt=["2", 0])}
    assert places(discover(graph, server_with(Maker=MAKER)))["prompt"] == ["2.value"]


def test_two_nodes_with_words_are_an_error_that_names_both() -> None:
    discovery = discover({**made("1"), **made("2", image=["1", 0])}, server_with(Maker=MAKER))
    assert "prompt" not in places(discovery)
    assert problems(discovery)[0].startswith("prompt could be “Maker 1”.prompt or “Maker 2”.prompt")


def test_names_count_only_where_nothing_else_leads_to_a_slot() -> None:
    saved: Graph = {"91": entry("SaveImage", images=["90", 0])}
    discovery = discover({**shipped(), **made("90"), **saved}, server_with(Maker=MAKER))
    assert places(discovery)["prompt"] == ["2.text"]
    assert "aspect_ratio" in places(discovery)


def test_several_pictures_are_told_apart_by_title_or_by_where_they_go_or_by_number() -> None:
    first, second = entry("LoadImage", "Load first frame", image="a.png"), entry("LoadImage", "Person", image="b.png")
    assert places(discover({"1": first, "2": second}, server())) == {"first_frame": ["1.image"], "person": ["2.image"]}
    first, second = entry("LoadImage", image="a.png"), entry("LoadImage", image="b.png")
    leading: Graph = {"1": first, "2": second, "3": entry("Between", start=["1", 0], end=["2", 0], mask=["2", 1])}
    assert places(discover(leading, server())) == {"start": ["1.image"], "end": ["2.image"]}
    both: Graph = {"1": first, "2": second, "3": entry("Blend", image=["1", 0]), "4": entry("Blend", image=["2", 0])}
    assert places(discover(both, server())) == {"image": ["1.image"], "image2": ["2.image"]}


def test_a_picture_that_is_scaled_first_is_called_as_where_it_goes_then() -> None:
    graph: Graph = {
        "1": entry("LoadImage", image="a.png"),
        "2": entry("LoadImage", image="b.png"),
        "3": entry("ImageInvert", image=["1", 0]),
        "4": entry("Between", start=["3", 0], end=["2", 0]),
    }
    assert places(discover(graph, server())) == {"start": ["1.image"], "end": ["2.image"]}


def test_only_what_an_output_needs_is_looked_at() -> None:
    graph = shipped()
    graph["80"] = entry("LoadImage", "Left over", image="a.png")
    graph["81"] = {**copy.deepcopy(graph["5"]), "_meta": {"title": "Not connected"}}
    assert places(discover(graph, server())) == places(discover(shipped(), server()))


def twice(**second: Json) -> Graph:
    """The shipped graph with another pass after the first."""
    graph = shipped()
    again: dict[str, Json] = {**inputs(graph, "5"), "latent_image": ["5", 0], **second}
    decoded: dict[str, Json] = {**inputs(graph, "6"), "samples": ["8", 0]}
    graph["8"] = {"class_type": "KSampler", "inputs": again, "_meta": {"title": "Second pass"}}
    graph["6"] = {**graph["6"], "inputs": decoded}
    return graph


def test_for_a_new_manifest_the_seeds_of_several_samplers_are_one_slot() -> None:
    discovery = discover(twice(seed=7, steps=9), server(), apart=True)
    assert sorted(places(discovery)["seed"]) == ["5.seed", "8.seed"]
    assert "steps" not in places(discovery)


def test_for_a_new_manifest_words_that_are_the_same_twice_stay_the_same() -> None:
    graph = twice(positive=["9", 0])
    graph["9"] = copy.deepcopy(graph["2"])
    assert sorted(places(discover(graph, server(), apart=True))["prompt"]) == ["2.text", "9.text"]


def test_for_a_new_manifest_several_prompts_are_told_apart_by_title_or_by_number() -> None:
    graph: Graph = {
        **made("1", prompt="a"),
        **made("2", prompt="b"),
        **made("3", prompt="c"),
        "4": entry("SaveImage", images=["1", 0]),
        "5": entry("SaveImage", images=["2", 0]),
        "6": entry("SaveImage", images=["3", 0]),
    }
    graph["1"]["_meta"] = {"title": "Day"}
    graph["2"]["_meta"] = graph["3"]["_meta"] = {"title": "Maker"}
    discovery = discover(graph, server_with(Maker=MAKER), apart=True)
    prompts = {name: at for name, at in places(discovery).items() if at[0].endswith(".prompt")}
    assert prompts == {"day": ["1.prompt"], "prompt": ["2.prompt"], "prompt2": ["3.prompt"]}
    assert not any(slot_named(discovery, name).required for name in prompts)
    assert sorted(places(discovery)["seed"]) == ["1.seed", "2.seed", "3.seed"]


def test_of_a_text_that_is_put_together_the_part_is_meant_that_says_so() -> None:
    graph: Graph = {
        "1": entry("PrimitiveStringMultiline", "Style", value="as a woodcut"),
        "2": entry("PrimitiveStringMultiline", "Prompt", value="a fox"),
        "3": entry("StringConcatenate", string_a=["2", 0], string_b=["1", 0], delimiter=", "),
        **made("4", prompt=["3", 0]),
        "5": entry("SaveImage", images=["4", 0]),
    }
    assert places(discover(graph, server_with(Maker=MAKER)))["prompt"] == ["2.value"]


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (entry("SaveImage", images=["1", 0]), "image"),
        (entry("SaveAnimatedWEBP", images=["1", 0], fps=6.0), "video"),
        (entry("SaveLatent", samples=["3", 0]), ""),
    ],
)
def test_what_a_graph_makes_is_told_by_its_outputs(output: dict[str, Json], result: str) -> None:
    graph: Graph = {
        "1": entry("LoadImage", image="a.png"),
        "2": output,
        "3": entry("EmptyLatentImage", width=8, height=8),
    }
    assert discover(graph, server()).result == result


def test_one_number_for_two_inputs_has_the_limits_of_both() -> None:
    narrow: Json = {
        "input": {"required": {"prompt": LINES, "seed": ["INT", {"min": 5, "max": 200}]}},
        "output": ["IMAGE"],
    }
    graph: Graph = {
        **made("1"),
        "2": entry("Narrow", prompt="a fox", seed=7),
        "3": entry("SaveImage", images=["1", 0]),
        "4": entry("SaveImage", images=["2", 0]),
    }
    seed = slot_named(discover(graph, server_with(Maker=MAKER, Narrow=narrow), apart=True), "seed")
    assert (seed.minimum, seed.maximum, len(seed.targets)) == (5, 99, 2)


def test_a_file_that_no_server_has_must_be_told() -> None:
    here: Json = {"input": {"required": {"image": [["here.png"], {"image_upload": True}]}}, "output": ["IMAGE"]}
    graph: Graph = {"1": entry("LoadImage", "A", image="here.png"), "2": entry("LoadImage", "B", image="there.png")}
    discovery = discover(graph, server_with(LoadImage=here))
    assert [(slot.name, slot.required) for slot in discovery.slots] == [("a", False), ("b", True)]
