"""Workflows as Discord's commands."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.discord.ui.options import LONGEST_TEXT, PRESET, command, commands, missing, preset, uploads, verify
from tests.discord.flows import IMG2IMG, TXT2IMG, slot, workflow
from tests.reasons import refused


def test_the_prompt_is_the_only_required_option_of_imagine() -> None:
    made = command(TXT2IMG)
    assert made.name == "imagine"
    assert [option.name for option in made.options if option.required] == ["prompt"]
    assert made.options[0].name == "prompt"


def test_required_options_come_first_and_the_prompt_before_all() -> None:
    made = command(
        workflow(slot("steps", "integer"), slot("image", "image", required=True), slot("prompt", required=True))
    )
    assert [option.name for option in made.options] == ["prompt", "image", "steps", "spoiler"]


def test_kinds_become_discords_types() -> None:
    kinds = {option.name: option.kind for option in command(IMG2IMG).options}
    assert (kinds["image"], kinds["denoise"], kinds["seed"], kinds["checkpoint"]) == (
        "attachment",
        "number",
        "integer",
        "string",
    )


def test_limits_stay_within_what_discord_can_count() -> None:
    seed = next(option for option in command(TXT2IMG).options if option.name == "seed")
    assert seed.maximum == 2**53 - 1


@pytest.mark.parametrize(("count", "suggested"), [(25, False), (26, True)])
def test_up_to_25_choices_are_listed_and_more_are_suggested(count: int, suggested: bool) -> None:
    few = slot("style", "choice", choices=tuple(f"s{n}" for n in range(count)))
    option = command(workflow(few)).options[0]
    assert option.suggest == suggested
    assert bool(option.choices) != suggested


def test_models_are_suggested_from_the_servers() -> None:
    assert command(workflow(slot("checkpoint", "model"))).options[0].suggest


def test_what_is_for_the_form_alone_is_no_option() -> None:
    made = command(workflow(slot("prompt"), slot("steps", "integer", show="modal"), slot("cfg", show="settings")))
    assert [option.name for option in made.options] == ["prompt", "spoiler"]


def test_presets_are_a_choice() -> None:
    made = command(replace(workflow(slot("steps", "integer")), presets={"quick": {"steps": 4}, "fine": {"steps": 40}}))
    (option,) = (one for one in made.options if one.name == PRESET)
    assert (option.choices, option.suggest, option.required) == (("quick", "fine"), False, False)


def test_more_than_25_presets_are_completed() -> None:
    many = replace(workflow(slot("steps", "integer")), presets={f"p{n}": {"steps": n} for n in range(30)})
    (option,) = (one for one in command(many).options if one.name == PRESET)
    assert (option.choices, option.suggest) == ((), True)
    assert preset(many, "p7") == {"steps": 7}
    with refused("no preset “p77”"):
        preset(many, "p77")


def test_descriptions_fit() -> None:
    long = workflow(slot("a", "integer", description="d" * 300, default=7), slot("b", description="", title=""))
    assert all(1 <= len(option.description) <= 100 for option in command(long).options)


def test_files_are_slots_of_three_kinds() -> None:
    flow = workflow(slot("a", "image"), slot("b", "video"), slot("c", "audio"), slot("d"))
    assert [one.name for one in uploads(flow)] == ["a", "b", "c"]
    assert [option.kind for option in command(flow).options[:3]] == ["attachment"] * 3


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"prompt": "x" * (LONGEST_TEXT + 1)}, "4000 are the most"),
        ({"prompt": "x", "steps": 9000}, "between 1 and 150"),
        ({"prompt": "  "}, "needs Prompt"),
        ({"prompt": "x", "sampler": "eulr"}, "did you mean “euler”"),
        ({"prompt": "x", "gone": 1}, "has no gone any more"),
    ],
)
def test_what_would_be_refused_later_is_refused_at_once(values: dict[str, str | int], sentence: str) -> None:
    with refused(sentence):
        verify(TXT2IMG, dict(values))


def test_a_choice_without_choices_of_its_own_is_suggested_from_the_servers() -> None:
    option = command(workflow(slot("sampler", "choice"))).options[0]
    assert (option.suggest, option.choices) == (True, ())


def test_of_two_commands_with_one_name_the_first_stays() -> None:
    found = commands([TXT2IMG, workflow(command="imagine", name="other"), workflow(command="")])
    assert [(one.name, one.workflow) for one in found] == [("imagine", "txt2img")]


def test_what_must_be_told_and_was_not_is_named_but_for_files() -> None:
    flow = workflow(slot("prompt", required=True), slot("n", "integer", required=True, default=3))
    assert [one.name for one in missing(flow, {"prompt": "  "})] == ["prompt"]
    assert not missing(IMG2IMG, {"prompt": "x"})
    verify(flow, {}, whole=False)


def test_the_bots_own_options_take_only_the_room_that_is_left() -> None:
    full = workflow(*(slot(f"s{n}", "integer") for n in range(25)))
    assert [option.name for option in command(full).options] == [f"s{n}" for n in range(25)]
