"""Forms, and what a filled-in one says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from app.discord.ui.components import Choice
from app.discord.ui.forms import MOST_FIELDS, ChoiceField, FileField, Form, SwitchField, TextField, only_texts
from app.discord.ui.modals import FORMAT, OFFERED, RESULT, SETTINGS, answers, form, refilled, unasked
from app.events import NodeId
from app.ports import Json
from app.workflows.load import Workflow, load
from app.workflows.model import Target
from tests.discord.flows import FOLDER, IMG2IMG, TXT2IMG, slot, workflow
from tests.refusals import refused

MODELS = {"checkpoint": ("dreamscape-v1.safetensors", "other_xl.safetensors")}
"""What the servers have."""


def filled(flow: Workflow, values: dict[str, Json], **more: object) -> tuple[Form, dict[str, str]]:
    made = form(flow, "vary:x", values, **more)  # pyright: ignore[reportArgumentType]
    assert made is not None
    return made, {field.name: field.value for field in made.fields}


def field_of(made: Form, name: str) -> object:
    return next(field for field in made.fields if field.name == name)


def test_a_form_asks_for_what_people_change_most() -> None:
    made, told = filled(TXT2IMG, {"prompt": "a cat", "steps": 7, "seed": 12}, offered=MODELS)
    assert told == {"prompt": "a cat", "negative": "", "checkpoint": "automatic", FORMAT: "768x768", "seed": "12"}
    prompt = field_of(made, "prompt")
    assert isinstance(prompt, TextField)
    assert (prompt.long, prompt.required) == (True, True)
    model = field_of(made, "checkpoint")
    assert isinstance(model, ChoiceField)
    assert model.choices[:2] == (
        Choice("The server's first one", "automatic"),
        Choice("Dreamscape v1", "dreamscape-v1.safetensors"),
    )


def test_a_form_for_a_picture_asks_for_another_one_and_for_how_much_to_change() -> None:
    made, _ = filled(IMG2IMG, {"prompt": "x", "image": "/kept.png"}, files=["image"])
    assert [field.name for field in made.fields] == ["prompt", "negative", "image", "denoise", "checkpoint"]
    assert field_of(made, "image") == FileField(
        name="image", label="Picture", description="Leave it empty to keep the present one."
    )
    made, _ = filled(IMG2IMG, {"prompt": "x"}, files=["image"])
    picture = field_of(made, "image")
    assert isinstance(picture, FileField)
    assert picture.required


def test_what_a_form_does_not_ask_keeps_its_value() -> None:
    made, told = filled(TXT2IMG, {"prompt": "a cat", "steps": 7, "width": 512, "height": 768, "seed": 3})
    values, _ = answers(TXT2IMG, told | {"prompt": "a dog", "seed": ""}, made)
    given: dict[str, Json] = {"prompt": "a cat", "steps": 7, "width": 512, "height": 768, "seed": 3}
    assert unasked(given, told) == {"steps": 7}
    assert {**unasked(given, told), **values} == {"prompt": "a dog", "steps": 7, "width": 512, "height": 768}


def test_a_form_of_an_earlier_version_says_everything() -> None:
    fields = {"prompt": "a dog", SETTINGS: "steps = 9\nseed =\n\nGuidance = 3"}
    made, _ = filled(TXT2IMG, {"prompt": "a cat", "steps": 7})
    assert answers(TXT2IMG, fields, made)[0] == {"prompt": "a dog", "steps": 9, "cfg": 3.0}
    assert unasked({"steps": 7, "sampler": "euler"}, fields) == {}


def test_there_are_never_more_than_five_fields() -> None:
    many = workflow(*(slot(f"t{n}") for n in range(9)), slot("n", "integer"))
    made = form(many, "vary:x", {}, results=3)
    assert made is not None
    assert [field.name for field in made.fields] == [RESULT, "t0", "t1", "t2", "t3"]


def test_what_must_be_given_has_the_first_fields() -> None:
    flow = workflow(*(slot(f"t{n}") for n in range(6)), slot("style", "integer", required=True))
    assert filled(flow, {})[0].fields[0].name == "style"


def test_nothing_is_asked_where_there_is_nothing_to_say() -> None:
    upscale = workflow(slot("image", "image", required=True), slot("seed", "seed"))
    assert form(upscale, "use:x", {}) is None
    assert form(upscale, "use:x", {"image": "/kept.png"}, files=["image"]) is None
    assert form(upscale, "use:x", {}, files=["image"]) is not None, "a picture is missing"
    made = form(upscale, "use:x", {}, results=2)
    assert made is not None
    assert made.fields[0] == ChoiceField(
        name=RESULT,
        label="Which result",
        choices=(Choice("Result 1", "1"), Choice("Result 2", "2")),
        value="1",
        required=True,
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"steps": "9000"}, "between 1 and 150"),
        ({"stepz": "3"}, "did you mean “steps”"),
        ({SETTINGS: "steps = 9000"}, "between 1 and 150"),
        ({SETTINGS: "just words"}, "name = value"),
        ({"sampler": "magic"}, "sampler cannot be"),
        ({FORMAT: "large"}, "a size such as 1024x768"),
        ({FORMAT: "9000x64"}, "between 64 and 2048"),
    ],
)
def test_what_is_wrong_is_a_sentence(fields: dict[str, str], sentence: str) -> None:
    with refused(sentence):
        answers(TXT2IMG, {"prompt": "x", **fields})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": " "}, "needs Prompt"),
        ({"checkpoint": "gone.safetensors"}, "Checkpoint cannot be “gone.safetensors”"),
    ],
)
def test_what_the_form_does_not_let_anybody_send_is_a_sentence(fields: dict[str, str], sentence: str) -> None:
    made, told = filled(TXT2IMG, {"prompt": "a cat"}, offered=MODELS)
    with refused(sentence):
        answers(TXT2IMG, told | fields, made)
    del told["prompt"]
    with refused("needs Prompt"):
        answers(TXT2IMG, told, made)


@pytest.mark.parametrize("number", ["0", "-1", "two", ""])
def test_a_result_is_chosen_by_a_number_from_one(number: str) -> None:
    with refused("not the number of a result"):
        answers(IMG2IMG, {RESULT: number})


def test_a_model_that_has_disappeared_is_named_and_another_one_can_be_chosen() -> None:
    made, told = filled(TXT2IMG, {"prompt": "x", "checkpoint": "gone.safetensors"}, offered=MODELS)
    field = field_of(made, "checkpoint")
    assert isinstance(field, ChoiceField)
    assert field.description == "gone.safetensors is no longer there. Choose another one."
    assert (field.value, field.required) == ("", False)
    assert "checkpoint" not in answers(TXT2IMG, told, made)[0]


def test_only_a_model_is_left_to_the_server_by_the_word_for_it() -> None:
    made, told = filled(TXT2IMG, {"prompt": "x", "checkpoint": "other_xl.safetensors"}, offered=MODELS)
    fields = told | {"prompt": "automatic", "checkpoint": "automatic"}
    values, _ = answers(TXT2IMG, fields, made)
    assert values["prompt"] == "automatic"
    assert "checkpoint" not in values


def test_a_long_list_is_a_field_to_type_the_name_in() -> None:
    made, _ = filled(TXT2IMG, {}, offered={"checkpoint": [f"model {number}" for number in range(26)]})
    assert isinstance(field_of(made, "checkpoint"), TextField)


SIZE = slot("size", "size", targets=(Target(NodeId("1"), "width"), Target(NodeId("1"), "height")))
PRESETS: dict[str, dict[str, Json]] = {"quick": {"steps": 4, "cfg": 2.0}}
PRESET_FLOW = replace(
    workflow(slot("prompt"), slot("steps", "integer", default=24), slot("cfg", "number", default=6.5)), presets=PRESETS
)


def test_a_size_that_stands_in_the_graph_is_shown_whole_and_can_be_sent_back() -> None:
    flow = workflow(SIZE, slot("n", "integer"))
    flow.graph["1"]["inputs"] = {"width": 640, "height": 448}
    made, told = filled(flow, {})
    assert told == {"size": "640x448", "n": ""}
    assert answers(flow, told, made)[0] == {"size": [640, 448]}


def test_the_shapes_of_a_picture_have_about_as_many_pixels_and_the_present_one_is_among_them() -> None:
    made, _ = filled(TXT2IMG, {"width": 1000, "height": 64})
    field = field_of(made, FORMAT)
    assert isinstance(field, ChoiceField)
    assert [choice.label for choice in field.choices] == [
        "As now · 1000 × 64",
        "Square 1:1 · 768 × 768",
        "Portrait 3:4 · 640 × 896",
        "Landscape 4:3 · 896 × 640",
        "Tall 9:16 · 576 × 1024",
        "Wide 16:9 · 1024 × 576",
    ]
    assert answers(TXT2IMG, {"prompt": "x", FORMAT: "1024x576"})[0] == {"prompt": "x", "width": 1024, "height": 576}


def test_a_preset_fills_what_was_not_changed_in_the_form() -> None:
    made, told = filled(PRESET_FLOW, {"prompt": "a cat"})
    assert told["preset"] == ""
    assert answers(PRESET_FLOW, told | {"preset": "quick", "cfg": "9"}, made)[0] == {
        "prompt": "a cat",
        "steps": 4,
        "cfg": 9.0,
    }


def test_a_preset_overrides_the_shape_that_was_not_changed() -> None:
    flow = load(FOLDER, "z-image")
    made, told = filled(flow, {"prompt": "x"})
    values, _ = answers(flow, told | {"preset": "wide"}, made)
    assert values["width"] != values["height"]


def test_a_preset_of_the_command_counts_in_the_form_that_follows() -> None:
    made, told = filled(PRESET_FLOW, {})
    assert answers(PRESET_FLOW, told, made, chosen="quick")[0]["steps"] == 4


def test_a_preset_that_is_none_is_a_sentence() -> None:
    with refused("no preset called “slow”"):
        answers(PRESET_FLOW, {SETTINGS: "preset = slow"})


def test_a_slot_that_is_called_preset_is_a_slot() -> None:
    flow = replace(workflow(slot("preset", "integer")), presets={"quick": {"preset": 1}})
    assert answers(flow, {"preset": "3"})[0] == {"preset": 3}


def test_what_is_only_among_the_settings_is_asked_where_all_is_shown_or_nothing_else_helps() -> None:
    hidden = slot("cfg", "number", show="settings", default=1.0)
    must = slot("style", "integer", show="settings", required=True)
    flow = workflow(slot("steps", "integer"), hidden, must)
    assert filled(flow, {})[1] == {"style": "", "steps": "as it is", "cfg": "1.0"}
    assert "cfg" not in filled(flow, {}, show=OFFERED)[1]
    assert "style" in filled(flow, {}, show=OFFERED)[1]
    assert "style" not in filled(flow, {"style": 3}, show=OFFERED)[1]


def test_a_switch_is_on_or_off() -> None:
    flow = workflow(slot("tiled", "boolean", default=True))
    made, told = filled(flow, {})
    assert made.fields == (SwitchField(name="tiled", label="Tiled", value="true"),)
    assert answers(flow, told | {"tiled": "false"}, made)[0] == {"tiled": False}


def test_a_form_is_filled_in_again_as_far_as_the_choices_are_still_there() -> None:
    made, _ = filled(TXT2IMG, {"prompt": "a cat"}, offered=MODELS)
    again = refilled(made, {"prompt": "a dog", "checkpoint": "gone", FORMAT: "1024x576", "unknown": "x"})
    assert {field.name: field.value for field in again.fields} == {
        "prompt": "a dog",
        "negative": "",
        "checkpoint": "automatic",
        FORMAT: "1024x576",
        "seed": "",
    }


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir() if (path / "manifest.toml").exists()))
def test_the_form_of_every_shipped_workflow_can_be_sent_and_says_nothing_new_unchanged(name: str) -> None:
    flow = load(FOLDER, name)
    values: dict[str, Json] = {slot.name: "a prompt" for slot in flow.slots if slot.kind == "text" and slot.required}
    files = [slot.name for slot in flow.slots if slot.kind in {"image", "audio"}]
    made = form(flow, "vary:x", values, files=files)
    assert made is not None
    for each in (made, only_texts(made)):
        assert 1 <= len(each.fields) <= MOST_FIELDS
        assert len({field.name for field in each.fields}) == len(each.fields)
        assert all(0 < len(field.label) <= 45 and len(field.description) <= 100 for field in each.fields)
        read, _ = answers(flow, fields_of(each), each)
        defaults = {slot.name: slot.default for slot in flow.slots}
        assert {key: value for key, value in read.items() if value != defaults[key]} == values


def fields_of(made: Form) -> Mapping[str, str]:
    return {field.name: field.value for field in made.fields}


def test_a_discord_that_takes_only_texts_gets_the_choices_as_a_hint() -> None:
    made, _ = filled(TXT2IMG, {"prompt": "a cat"}, offered=MODELS)
    texts = only_texts(made)
    assert all(isinstance(field, TextField) for field in texts.fields)
    model = field_of(texts, "checkpoint")
    assert isinstance(model, TextField)
    assert model.hint == "automatic, dreamscape-v1.safetensors, other_xl.safetensors"
    assert not only_texts(Form("x", "X", (FileField(name="image", label="Picture"),))).fields
