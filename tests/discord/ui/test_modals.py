"""Forms, and what a filled-in one says."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.discord.ui.components import Form
from app.discord.ui.modals import OFFERED, RESULT, SETTINGS, answers, form
from app.events import NodeId
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.model import Target
from tests.discord.flows import IMG2IMG, TXT2IMG, slot, workflow
from tests.refusals import refused


def test_a_form_is_filled_in_with_what_was_given_and_with_defaults() -> None:
    made = form(TXT2IMG, "vary:x", {"prompt": "a cat", "steps": 7})
    assert made is not None
    told = {field.name: field.value for field in made.fields}
    assert told["prompt"] == "a cat"
    assert "steps = 7" in told[SETTINGS].splitlines()
    assert "cfg = 6.5" in told[SETTINGS].splitlines()


def test_an_unchanged_form_says_what_was_given() -> None:
    made = form(TXT2IMG, "vary:x", {"prompt": "a cat", "steps": 7, "seed": 12})
    assert made is not None
    values, _ = answers(TXT2IMG, {field.name: field.value for field in made.fields})
    assert (values["prompt"], values["steps"], values["seed"]) == ("a cat", 7, 12)
    assert "checkpoint" not in values


def test_there_are_never_more_than_five_fields() -> None:
    many = workflow(*(slot(f"t{n}") for n in range(9)), slot("n", "integer"))
    made = form(many, "vary:x", {}, results=3)
    assert made is not None
    assert [field.name for field in made.fields] == [RESULT, "t0", "t1", "t2", SETTINGS]


def test_nothing_is_asked_where_there_is_nothing_to_say() -> None:
    upscale = workflow(slot("image", "image", required=True), slot("seed", "seed"))
    assert form(upscale, "use:x", {}) is None
    assert form(upscale, "use:x", {}, results=2) is not None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("steps = 9000", "between 1 and 150"),
        ("stepz = 3", "did you mean “steps”"),
        ("just words", "name = value"),
        ("sampler = magic", "sampler cannot be"),
    ],
)
def test_what_is_wrong_is_a_sentence(settings: str, sentence: str) -> None:
    with refused(sentence):
        answers(TXT2IMG, {"prompt": "x", SETTINGS: settings})


def test_settings_may_be_called_by_their_titles() -> None:
    assert answers(IMG2IMG, {SETTINGS: "Strength = 0.3\n\n"})[0] == {"denoise": 0.3}


@pytest.mark.parametrize("number", ["0", "-1", "two", ""])
def test_a_result_is_chosen_by_a_number_from_one(number: str) -> None:
    with refused("not the number of a result"):
        answers(IMG2IMG, {RESULT: number})


def test_a_form_with_very_many_settings_still_fits() -> None:
    made = form(workflow(*(slot(f"slot-number-{n}", "integer", default=n) for n in range(400))), "vary:x", {})
    assert made is not None
    assert all(len(field.value) <= 4000 for field in made.fields)


SIZE = slot("size", "size", targets=(Target(NodeId("1"), "width"), Target(NodeId("1"), "height")))
PRESETS: dict[str, dict[str, Json]] = {"quick": {"steps": 4, "cfg": 2.0}}
PRESET_FLOW = replace(
    workflow(slot("prompt"), slot("steps", "integer", default=24), slot("cfg", "number", default=6.5)), presets=PRESETS
)


def filled(flow: Workflow, values: dict[str, Json], **more: object) -> tuple[Form, dict[str, str]]:
    made = form(flow, "vary:x", values, **more)  # pyright: ignore[reportArgumentType]
    assert made is not None
    return made, {field.name: field.value for field in made.fields}


def test_a_size_that_stands_in_the_graph_is_shown_whole_and_can_be_sent_back() -> None:
    flow = workflow(SIZE)
    flow.graph["1"]["inputs"] = {"width": 640, "height": 448}
    made, told = filled(flow, {})
    assert told[SETTINGS] == "size = 640x448"
    assert answers(flow, told, made)[0] == {"size": [640, 448]}


def test_a_preset_fills_what_was_not_changed_in_the_form() -> None:
    made, told = filled(PRESET_FLOW, {"prompt": "a cat"})
    assert told[SETTINGS].splitlines()[0] == "preset ="
    told[SETTINGS] = "preset = quick\nsteps = 24\ncfg = 9"
    assert answers(PRESET_FLOW, told, made)[0] == {"prompt": "a cat", "steps": 4, "cfg": 9.0}


def test_a_preset_of_the_command_counts_in_the_form_that_follows() -> None:
    made, told = filled(PRESET_FLOW, {})
    assert answers(PRESET_FLOW, told, made, chosen="quick")[0]["steps"] == 4


def test_a_preset_that_is_none_is_a_sentence() -> None:
    with refused("no preset called “slow”"):
        answers(PRESET_FLOW, {SETTINGS: "preset = slow"})


def test_a_slot_that_is_called_preset_is_a_slot() -> None:
    flow = replace(workflow(slot("preset", "integer")), presets={"quick": {"preset": 1}})
    assert answers(flow, {SETTINGS: "preset = 3"})[0] == {"preset": 3}


def test_what_is_only_among_the_settings_is_asked_where_all_is_shown_or_nothing_else_helps() -> None:
    hidden = slot("cfg", "number", show="settings", default=1.0)
    must = slot("style", "integer", show="settings", required=True)
    flow = workflow(slot("steps", "integer"), hidden, must)
    assert filled(flow, {})[1][SETTINGS].splitlines() == ["steps = as it is", "cfg = 1.0", "style = "]
    assert "cfg" not in filled(flow, {}, show=OFFERED)[1][SETTINGS]
    assert "style" in filled(flow, {}, show=OFFERED)[1][SETTINGS]
    assert "style" not in filled(flow, {"style": 3}, show=OFFERED)[1][SETTINGS]
