"""The LoRA of a graph is offered where it is a matter of taste."""

from __future__ import annotations

from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.discovery.discover import discover
from app.workflows.model import Slot, Target
from tests.workflows.discovery.test_discover import entry, shipped
from tests.workflows.editor_graphs import server


def with_loras(*names: Json, **strengths: Json) -> Graph:
    """The shipped graph with a chain of LoRAs between its model and its sampler."""
    graph = shipped()
    model: list[Json] = ["1", 0]
    clip: list[Json] = ["1", 1]
    for number, name in enumerate(names, 20):
        given: dict[str, Json] = {"strength_model": 0.8, "strength_clip": 0.8, **strengths}
        graph[str(number)] = entry("LoraLoader", f"LoRA {number}", model=model, clip=clip, lora_name=name, **given)
        model, clip = [str(number), 0], [str(number), 1]
    for node in graph.values():
        if node["class_type"] == "KSampler" and isinstance(inputs := node["inputs"], dict):
            inputs["model"] = model
    return graph


def lora_slots(graph: Graph) -> dict[str, Slot]:
    return {slot.name: slot for slot in discover(graph, server()).slots if slot.name.startswith("lora")}


def test_the_name_and_both_strengths_of_the_only_lora_are_offered() -> None:
    slots = lora_slots(with_loras("ink-lines.safetensors"))
    name, strength = slots["lora"], slots["lora_strength"]
    assert (name.title, name.kind, name.default) == ("LoRA", "model", "ink-lines.safetensors")
    assert name.targets == (Target(NodeId("20"), "lora_name"),), "people choose from the files of the servers"
    assert (strength.kind, len(strength.targets)) == ("number", 2)


def test_strengths_that_differ_are_left_alone() -> None:
    assert lora_slots(with_loras("ink-lines.safetensors", strength_clip=0.2)).keys() == {"lora"}


def test_of_several_loras_none_is_offered() -> None:
    assert not lora_slots(with_loras("ink-lines.safetensors", "soft-light.safetensors"))


def test_a_lora_for_fewer_steps_and_one_that_is_computed_are_not_offered() -> None:
    assert not lora_slots(with_loras("flux/Lightning-8steps.safetensors"))
    assert not lora_slots(with_loras(["1", 2]))
