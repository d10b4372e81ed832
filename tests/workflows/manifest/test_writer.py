"""A manifest that is written is a manifest that is read."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.events import JobId, NodeId
from app.ports import Graph, Json
from app.simulator.nodes.definitions import MODELS
from app.texts.reasons.text import reason_text
from app.workflows.binding.bind import bind
from app.workflows.discovery.candidates import FoundBy
from app.workflows.discovery.discover import Discovery, discover
from app.workflows.editor_format.convert import convert
from app.workflows.load import Workflow, load
from app.workflows.manifest.naming import command_name
from app.workflows.manifest.writer import description, write
from app.workflows.model import Kind, Result, Slot, Target
from tests.workflows.discovery.test_discover import ANY_GRAPH, entry, shipped
from tests.workflows.editor_graphs import UNHURRIED, read, server


def stored(folder: Path, graph: Graph, text: str) -> Workflow:
    (folder / "one").mkdir(exist_ok=True)
    (folder / "one" / "workflow.json").write_bytes(msgspec.json.encode(graph))
    (folder / "one" / "manifest.toml").write_text(text, encoding="utf-8")
    return load(folder, "one")


def test_what_was_found_is_what_is_read_again(tmp_path: Path) -> None:
    graph = shipped()
    discovery = discover(graph, server())
    workflow = stored(tmp_path, graph, write("night-harbour", graph, discovery))
    assert (workflow.title, workflow.command, workflow.task) == ("Night harbour", "night-harbour", "imagine")
    assert '\ntask = "imagine"\n' in (tmp_path / "one" / "manifest.toml").read_text()
    assert workflow.slots == discovery.slots


def test_a_file_of_the_editor_becomes_a_command_that_fills_in(tmp_path: Path) -> None:
    converted = convert(read("harbour.ui.json"), server())
    discovery = discover(converted.graph, server(), app_inputs=converted.app_inputs, app_outputs=converted.app_outputs)
    workflow = stored(tmp_path, converted.graph, write("harbour", converted.graph, discovery))
    values: dict[str, Json] = {"prompt": "a mill", "seed": 0, "negative": "fog"}
    request = bind(workflow, JobId("j"), values, rng=Random(1), folder="out")
    assert request.graph["2"]["inputs"] == {"text": "a mill", "clip": ["1", 1]}
    assert request.graph["12"]["inputs"] == {"value": "fog"}
    assert (request.seed, request.choices) == (0, ())
    assert request.graph["1"]["inputs"] == {"ckpt_name": MODELS["checkpoints"][0]}


def test_the_comments_say_what_was_found_and_how() -> None:
    graph = shipped()
    graph["8"] = entry("KSampler", "Again", positive=["2", 0], latent_image=["4", 0], seed=1)
    graph["9"] = entry("SaveLatent", samples=["8", 0])
    discovery = discover(graph, server())
    text = write("x", graph, discovery, problems=[reason_text(problem) for problem in discovery.problems])
    assert "# Found by following the links from the sampler: “Prompt”.text." in text
    assert "# Not clear, so left out: seed could be “Sampler”.seed or “Again”.seed" in text
    assert "# default = 24  (what the graph has)" in text


def test_nodes_are_named_by_title_unless_two_have_it() -> None:
    graph = shipped()
    graph["3"]["_meta"] = {"title": "prompt"}
    slots = tomllib.loads(write("x", graph, discover(graph, server())))["slots"]
    assert (slots["prompt"]["node"], slots["negative"]["node"], slots["steps"]["node"]) == ("2", "3", "Sampler")


def test_a_graph_without_slots_gets_an_example_in_comments(tmp_path: Path) -> None:
    graph: Graph = {"1": entry("Odd", x=1)}
    text = write("!!", graph, Discovery())
    assert "# [slots.prompt]" in text
    assert stored(tmp_path, graph, text).slots == ()


@UNHURRIED
@given(ANY_GRAPH, st.text())
def test_any_discovery_is_written_so_that_it_can_be_read(graph: Graph, name: str) -> None:
    discovery = discover(graph, server())
    manifest = tomllib.loads(write(name, graph, discovery))
    assert set(manifest.get("slots", {})) == {slot.name for slot in discovery.slots}


@UNHURRIED
@given(st.text(), st.text(), st.text(), st.tuples(st.text(), st.text()))
def test_any_text_arrives_in_the_manifest_as_it_is(
    title: str, described: str, named: str, choices: tuple[str, str]
) -> None:
    graph: Graph = {"1": entry("Odd", named, x="a"), "2": entry("Odd", "other", x="a")}
    slot = Slot(
        name="x",
        title=title or "x",
        kind="choice",
        targets=(Target(NodeId("1"), "x"),),
        description=described,
        choices=choices,
    )
    discovery = Discovery(slots=(slot,), how={"x": FoundBy("tool", described)})
    manifest = tomllib.loads(write("w", graph, discovery, problems=(title,)))
    assert manifest["slots"]["x"]["title"] == (title or "x")
    assert manifest["slots"]["x"]["choices"] == list(choices)
    with tempfile.TemporaryDirectory() as folder:
        workflow = stored(Path(folder), graph, write("w", graph, Discovery(slots=(slot,))))
        assert workflow.slots == (slot,)


def test_a_command_can_be_pronounced() -> None:
    commands = {
        "night-harbour": "night-harbour",
        "old_harbour": "old_harbour",
        "image_flux2_klein_image_edit_9b_base": "flux2-klein-image-edit",
        "video_wan2_2_14B_i2v": "wan2-animate",
        "video_wan2_2_14B_flf2v": "wan2-between",
        "api_bria_remove_video_background": "bria-remove-video-background",
        "api_wan_text_to_image": "wan-picture",
        "image_z_image_int8": "z-image",
        "sdxl_simple_example": "sdxl-simple",
        "SD3.5 large (final) v2": "sd3-large",
        "20261129_143005": "picture",
        "untitled (3)": "picture",
        "": "",
    }
    assert {name: command_name(name, "image") for name in commands} == commands
    assert command_name("7f3a9c1e", "video") == "video"
    assert command_name("7f3a9c1e", "") == ""


def test_the_description_says_what_is_made_from_what() -> None:
    def said(result: Result, *slots: tuple[str, Kind], saver: str = "SaveImage") -> str:
        graph: Graph = {"1": entry(saver)}
        target = (Target(NodeId("1"), "x"),)
        made = tuple(Slot(name=name, title=name, kind=kind, targets=target) for name, kind in slots)
        return description(graph, Discovery(slots=made, result=result))

    prompt: tuple[str, Kind] = ("prompt", "text")
    picture: tuple[str, Kind] = ("image", "image")
    second: tuple[str, Kind] = ("image2", "image")
    assert said("image", prompt, ("seed", "seed")) == "Create a picture from a description."
    assert said("video", prompt, picture, ("audio", "audio")) == (
        "Create a video from a description, a picture and a recording."
    )
    assert said("image", picture, ("mask", "image")) == "Create a picture from a picture."
    assert said("audio", prompt, ("lyrics", "text")) == "Create sound from a description and lyrics."
    assert said("text", picture, second) == "Write a text from two pictures."
    assert said("", picture, second, ("image3", "image"), saver="SaveGLB") == (
        "Create a 3D model from several pictures."
    )
    assert said("image") == "Create a picture."


def test_a_price_is_written_if_it_is_the_same_for_every_run(tmp_path: Path) -> None:
    graph = shipped()
    discovery = discover(graph, server())
    assert "price" not in write("one", graph, discovery)
    assert stored(tmp_path, graph, write("one", graph, discovery, prices=(0.06, 0.04))).price == 0.1
    unknown = write("one", graph, discovery, prices=(0.06, None))
    assert "# price = 0.00" in unknown.splitlines()
    assert stored(tmp_path, graph, unknown).price is None
