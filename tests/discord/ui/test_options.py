"""Workflows as Discord's commands."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.discord.ui.options import LONGEST_DESCRIPTION, PRESET, command, commands, task_command
from app.workflows.manifest.slots import MOST_OPTIONS
from app.workflows.task import TASK_COMMANDS, Task
from tests.discord.flows import IMG2IMG, TXT2IMG, slot, workflow


def test_the_prompt_is_the_only_required_option_of_imagine() -> None:
    made = command(TXT2IMG)
    assert made.name == "txt2img"
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


def test_descriptions_fit() -> None:
    long = workflow(slot("a", "integer", description="d" * 300, default=7), slot("b", description="", title=""))
    assert all(1 <= len(option.description) <= 100 for option in command(long).options)


def test_files_are_attachments() -> None:
    flow = workflow(slot("a", "image"), slot("b", "video"), slot("c", "audio"), slot("d"))
    assert [option.kind for option in command(flow).options[:3]] == ["attachment"] * 3


def test_a_choice_without_choices_of_its_own_is_suggested_from_the_servers() -> None:
    option = command(workflow(slot("sampler", "choice"))).options[0]
    assert (option.suggest, option.choices) == (True, ())


@pytest.mark.parametrize("task", TASK_COMMANDS)
def test_the_command_of_a_task_is_one_that_discord_takes(task: Task) -> None:
    made = task_command(task)
    required = [option.required for option in made.options]
    assert required == sorted(required, reverse=True), "required options come first"
    assert len(made.options) <= MOST_OPTIONS
    assert len({option.name for option in made.options}) == len(made.options)
    assert all(
        0 < len(text) <= LONGEST_DESCRIPTION for text in (made.description, *(o.description for o in made.options))
    )
    assert {option.name for option in made.options if option.suggest} <= {"model", "preset"}


def test_of_two_commands_with_one_name_the_first_stays() -> None:
    found = commands([TXT2IMG, workflow(command="txt2img", name="other"), workflow(command="")])
    assert [(one.name, one.workflow) for one in found] == [("imagine", ""), ("txt2img", "txt2img")]


def test_the_bots_own_options_take_only_the_room_that_is_left() -> None:
    full = workflow(*(slot(f"s{n}", "integer") for n in range(25)))
    assert [option.name for option in command(full).options] == [f"s{n}" for n in range(25)]
