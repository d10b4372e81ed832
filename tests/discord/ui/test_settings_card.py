"""The card of settings: every slot can be set there, and every form of it can be sent."""

from __future__ import annotations

import pytest

from app.discord.gateway.rest.component_builders import build
from app.discord.ui.components import MOST_CHOICES, MOST_COMPONENTS, MOST_TEXT, Card, Line, Row, Select, Text, weight
from app.discord.ui.forms import MOST_FIELDS, ChoiceField, FileField, Form
from app.discord.ui.modals import FORMAT
from app.discord.ui.settings_card import (
    GROUP,
    MOST_GROUPS,
    PICK,
    filled,
    group_form,
    groups,
    picked,
    settings_card,
)
from app.discord.ui.slot_fields import AUTOMATIC, Offered
from app.ports import Json
from app.service.requests import AttachedFile
from app.workflows.load import Workflow, load
from tests.discord.flows import FOLDER, IMG2IMG, TXT2IMG, slot, workflow
from tests.refusals import refused

DRAFT = "00000000-0000-4000-8000-000000000000"

SHIPPED = sorted(path.name for path in FOLDER.iterdir() if (path / "manifest.toml").exists())

FEW: Offered = {"checkpoint": ("dreamscape-v1.safetensors", "other_xl.safetensors")}


def card_of(flow: Workflow, values: dict[str, Json], offered: Offered = FEW, *, edits: bool = False) -> Card:
    return settings_card(flow, DRAFT, values, (), offered, edits=edits)


def texts_of(card: Card) -> str:
    return "\n".join(block.text for block in card.blocks if isinstance(block, Line))


def selects_of(card: Card) -> dict[str, Select]:
    return {block.custom_id: block for block in card.blocks if isinstance(block, Select)}


def form_of(flow: Workflow, number: int, values: dict[str, Json], offered: Offered = FEW) -> Form:
    form = group_form(flow, DRAFT, number, values, offered)
    assert form is not None
    return form


def fields_of(form: Form) -> dict[str, str]:
    return {field.name: field.value for field in form.fields}


def number_of(flow: Workflow, title: str, offered: Offered = FEW) -> int:
    return next(number for number, group in enumerate(groups(flow, offered), 1) if group.title == title)


@pytest.mark.parametrize("count", [0, 2, 26, 90, 200])
@pytest.mark.parametrize("name", SHIPPED)
def test_every_slot_of_every_shipped_workflow_can_be_set(name: str, count: int) -> None:
    flow = load(FOLDER, name)
    models = [f"model-{number:03}.safetensors" for number in range(count)]
    offered = {each.name: each.choices or models for each in flow.slots if each.kind in {"model", "lora"}}
    values: dict[str, Json] = {each.name: "a prompt" for each in flow.slots if each.kind == "text" and each.required}
    card = card_of(flow, values, offered)
    assert weight(card) <= MOST_COMPONENTS
    assert build(card) is not None
    settable = {custom_id.partition(".")[2].partition(":")[0] for custom_id in selects_of(card)}
    settable |= {"width", "height"} if FORMAT in settable else set()
    for number, group in enumerate(groups(flow, offered), 1):
        form = form_of(flow, number, values, offered)
        assert 1 <= len(form.fields) <= MOST_FIELDS
        assert all(len(field.label) <= 45 and len(field.description) <= 100 for field in form.fields)
        settable |= {field.name.rpartition(".")[2] for field in form.fields}
        before = {key: value for key, value in values.items() if key in {each.name for each in group.slots}}
        after = filled(flow, form, fields_of(form), before)
        defaults = {each.name: each.default for each in flow.slots}
        assert {key: value for key, value in after.items() if value != defaults[key]} == before
    assert {each.name for each in flow.slots} <= settable
    assert all(len(select.choices) <= MOST_CHOICES for select in selects_of(card).values())


def test_the_card_says_what_applies() -> None:
    values: dict[str, Json] = {"prompt": "a *cat*", "steps": 7, "checkpoint": "other_xl.safetensors"}
    card = card_of(TXT2IMG, values)
    assert "**Prompt** a \\*cat\\*" in texts_of(card)
    assert "**Steps** 7" in texts_of(card)
    assert "**Seed** a new one" in texts_of(card)
    selects = selects_of(card)
    model = selects[f"{PICK}.checkpoint:{DRAFT}"]
    assert model.chosen == "other_xl.safetensors"
    assert [choice.label for choice in model.choices] == [
        "Checkpoint: The server's first one",
        "Checkpoint: Dreamscape v1",
        "Checkpoint: Other XL",
    ]
    assert selects[f"{PICK}.{FORMAT}:{DRAFT}"].chosen == "768x768"
    (last,) = [block for block in card.blocks if isinstance(block, Row)]
    assert [button.label for button in last.buttons] == ["Run", "Discard"]
    (last,) = [block for block in card_of(TXT2IMG, values, edits=True).blocks if isinstance(block, Row)]
    assert [button.label for button in last.buttons] == ["Save", "Discard"]


def test_files_are_kept_or_replaced() -> None:
    file = AttachedFile("image", "https://cdn.discordapp.com/x.png", "holiday_1.png", 3)
    assert "**Picture** none" in texts_of(card_of(IMG2IMG, {}))
    assert "**Picture** as before" in texts_of(card_of(IMG2IMG, {"image": "/kept.png"}))
    card = settings_card(IMG2IMG, DRAFT, {"image": "/kept.png"}, [file], FEW, edits=False)
    assert "**Picture** holiday\\_1.png" in texts_of(card)
    form = form_of(IMG2IMG, number_of(IMG2IMG, "Files"), {"image": "/kept.png"})
    assert [field.name for field in form.fields] == ["image"]
    assert isinstance(form.fields[0], FileField)
    assert filled(IMG2IMG, form, {"image": ""}, {"image": "/kept.png", "prompt": "x"}) == {
        "image": "/kept.png",
        "prompt": "x",
    }


def test_a_long_list_has_several_fields_and_one_choice() -> None:
    number = number_of(TXT2IMG, "Sampler")
    form = form_of(TXT2IMG, number, {"sampler": "euler"})
    first, second = form.fields
    assert isinstance(first, ChoiceField)
    assert isinstance(second, ChoiceField)
    assert (len(first.choices), len(second.choices)) == (25, 17)
    assert (first.label, second.label) == ("Sampler (1 of 2)", "Sampler (2 of 2)")
    chosen = fields_of(form)
    assert list(chosen.values()).count("euler") == 1
    values: dict[str, Json] = {"sampler": "euler", "steps": 3}
    assert filled(TXT2IMG, form, chosen, values) == values
    other = {**chosen, second.name: second.choices[0].value}
    assert filled(TXT2IMG, form, other, values) == {"sampler": second.choices[0].value, "steps": 3}
    with refused("more than one Sampler"):
        filled(TXT2IMG, form, {first.name: first.choices[1].value, second.name: second.choices[1].value}, values)
    with refused("Sampler cannot be “magic”"):
        filled(TXT2IMG, form, {**chosen, second.name: "magic"}, values)
    assert filled(TXT2IMG, form, {first.name: "", second.name: ""}, values) == {"steps": 3}


def test_a_lora_is_added_from_a_list() -> None:
    flow = load(FOLDER, "z-image")
    offered = {"lora": ("ink.safetensors", "grain.safetensors")}
    form = form_of(flow, number_of(flow, "LoRA", offered), {"lora": "ink:0.8"}, offered)
    text, added = form.fields
    assert (text.value, added.value) == ("ink:0.8", "")
    fields = {text.name: "ink:0.5", added.name: "grain.safetensors"}
    assert filled(flow, form, fields, {"lora": "ink:0.8"}) == {"lora": "ink:0.5, grain.safetensors"}
    assert filled(flow, form, {text.name: "", added.name: ""}, {"lora": "ink:0.8"}) == {}
    with refused("cannot be “gone”"):
        filled(flow, form, {text.name: "", added.name: "gone"}, {})


def test_what_is_chosen_on_the_card_changes_the_values() -> None:
    values: dict[str, Json] = {"prompt": "x", "checkpoint": "other_xl.safetensors"}
    assert picked(TXT2IMG, FORMAT, "1024x576", values, FEW) == {**values, "width": 1024, "height": 576}
    assert picked(TXT2IMG, "checkpoint", AUTOMATIC, values, FEW) == {"prompt": "x"}
    changed = picked(TXT2IMG, "checkpoint", "dreamscape-v1.safetensors", values, FEW)
    assert changed["checkpoint"] == "dreamscape-v1.safetensors"
    flow = load(FOLDER, "z-image")
    assert picked(flow, "preset", "wide", {"prompt": "x"}, {})["prompt"] == "x"
    assert picked(flow, "preset", "wide", {"prompt": "x"}, {}).keys() >= {"width", "height"}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("checkpoint", "gone.safetensors", "Checkpoint cannot be “gone.safetensors”"),
        ("gone", "x", "has no setting “gone”"),
        (FORMAT, "huge", "a size such as"),
        ("sampler", "magic", "Sampler cannot be “magic”"),
    ],
)
def test_what_is_not_offered_is_a_sentence(name: str, value: str, sentence: str) -> None:
    with refused(sentence):
        picked(TXT2IMG, name, value, {}, FEW)


def test_what_is_wrong_in_a_form_is_a_sentence() -> None:
    form = form_of(TXT2IMG, number_of(TXT2IMG, "Details"), {})
    with refused("between 1 and 150"):
        filled(TXT2IMG, form, {**fields_of(form), "steps": "9000"}, {})
    form = form_of(TXT2IMG, number_of(TXT2IMG, "Texts"), {"prompt": "x"})
    with refused("needs Prompt"):
        filled(TXT2IMG, form, {**fields_of(form), "prompt": " "}, {})


def test_a_workflow_with_very_many_slots_has_a_card_too() -> None:
    flow = workflow(*(slot(f"t{number}") for number in range(60)), *(slot(f"n{n}", "integer") for n in range(80)))
    card = card_of(flow, {})
    assert weight(card) <= MOST_COMPONENTS
    assert len(groups(flow, {})) == MOST_GROUPS
    assert group_form(flow, DRAFT, MOST_GROUPS + 1, {}, {}) is None
    assert group_form(flow, DRAFT, 0, {}, {}) is None
    buttons = [button for row in card.blocks if isinstance(row, Row) for button in row.buttons]
    assert len([button for button in buttons if button.custom_id.startswith(GROUP)]) == MOST_GROUPS


def test_long_values_are_cut_until_discord_takes_the_card() -> None:
    flow = workflow(*(slot(f"t{number}") for number in range(40)))
    values: dict[str, Json] = {f"t{number}": "*" * 4000 for number in range(40)}
    card = card_of(flow, values)
    assert weight(card) <= MOST_COMPONENTS
    assert sum(len(block.text) for block in card.blocks if isinstance(block, Line | Text)) <= MOST_TEXT
    assert len(groups(flow, {})) == 8
