"""Forms, and what a filled-in one says."""

from __future__ import annotations

import pytest

from app.discord.form import RESULT, SETTINGS, answers, form
from app.workflows.slots import WorkflowError
from tests.discord.flows import IMG2IMG, TXT2IMG, slot, workflow


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
        ("steps = 9000", "1 to 150"),
        ("stepz = 3", "did you mean “steps”"),
        ("just words", "name = value"),
        ("sampler = magic", "sampler cannot be"),
    ],
)
def test_what_is_wrong_is_a_sentence(settings: str, sentence: str) -> None:
    with pytest.raises(WorkflowError, match=sentence):
        answers(TXT2IMG, {"prompt": "x", SETTINGS: settings})


def test_settings_may_be_called_by_their_titles() -> None:
    assert answers(IMG2IMG, {SETTINGS: "Strength = 0.3\n\n"})[0] == {"denoise": 0.3}


@pytest.mark.parametrize("number", ["0", "-1", "two", ""])
def test_a_result_is_chosen_by_a_number_from_one(number: str) -> None:
    with pytest.raises(WorkflowError, match="result's number"):
        answers(IMG2IMG, {RESULT: number})


def test_a_form_with_very_many_settings_still_fits() -> None:
    made = form(workflow(*(slot(f"slot-number-{n}", "integer", default=n) for n in range(400))), "vary:x", {})
    assert made is not None
    assert all(len(field.value) <= 4000 for field in made.fields)
