"""The help page, the welcome, the hint and the page of models fit into a message, whatever there is."""

from __future__ import annotations

import pytest

from app.discord.custom_id import read
from app.discord.ui import help_page
from app.discord.ui.components import Card
from app.discord.ui.help_page import EXAMPLE, Commands, Help
from app.discord.ui.menus import menu_name, menus
from app.discord.ui.models_page import UsableWorkflow, models
from app.discord.ui.options import Command, commands
from app.texts.discord.commands import BUILT_IN, MODERATOR
from app.texts.discord.help import EXAMPLES
from app.workflows.load import load
from tests.discord.flows import FOLDER
from tests.discord.ui.test_lists import HOSTILE, buttons_of, check, text_of

INCLUDED = [load(FOLDER, path.parent.name) for path in sorted(FOLDER.glob("*/manifest.toml"))]
IDS = dict.fromkeys([*(each.command for each in INCLUDED), *BUILT_IN, *MODERATOR], 1234567890123456789)


def shown(made: list[Command], **more: object) -> Card:
    known: dict[str, object] = {"own": BUILT_IN, "moderator": MODERATOR, "menus": (), "example": "imagine"}
    known |= {"clickable": Commands(IDS), **more}
    return help_page.help_page(Help(commands=made, **known))  # pyright: ignore[reportArgumentType]


def test_help_has_every_included_workflow_and_every_command_to_be_clicked() -> None:
    card = shown(commands(INCLUDED), menus=[menu_name(workflow) for workflow in menus({w.name: w for w in INCLUDED})])
    check(card)
    text = text_of(card)
    for name, identifier in IDS.items():
        assert f"</{name}:{identifier}>" in text
    assert "… and more" not in text


@pytest.mark.parametrize("described", HOSTILE, ids=range(len(HOSTILE)))
def test_help_fits_however_many_workflows_there_are_and_says_that_there_are_more(described: str) -> None:
    made = [Command(name="x" * 32, workflow=f"w{number}", description=described, options=()) for number in range(100)]
    card = shown(made)
    check(card)
    assert "… and more: type / to see all." in text_of(card)
    assert all(f"</{name}:" in text_of(card) for name in BUILT_IN)


def test_examples_are_buttons_that_name_no_workflow() -> None:
    buttons = buttons_of(shown([]))
    presses = [read(button.custom_id) for button in buttons.values()]
    assert [(press.verb, press.workflow, press.result) for press in presses if press] == [
        (EXAMPLE, "", number) for number in range(1, len(EXAMPLES) + 1)
    ]
    assert buttons_of(shown([], example="")) == {}


def test_commands_whose_id_is_not_known_have_their_name() -> None:
    assert "**/jobs**" in text_of(shown([], clickable=Commands()))


def test_a_welcome_names_the_server_as_it_is_called() -> None:
    card = help_page.welcome("**evil** @everyone", Commands(IDS), "imagine")
    check(card)
    assert "\\*\\*evil\\*\\* \\@everyone" in text_of(card)
    assert not buttons_of(card), "the examples appear where they are pressed, so not in direct messages"
    check(help_page.welcome("", Commands(), ""))
    assert buttons_of(help_page.welcome("", Commands(IDS), "imagine"))
    check(help_page.hint(Commands(IDS)))


def usable(number: int, name: str, **more: object) -> UsableWorkflow:
    known: dict[str, object] = {"mention": "</imagine:1234567890123456789>", "result": "image", "description": name}
    return UsableWorkflow(title=f"{name} {number}", **known | more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("result", ["image", ""])
def test_models_fit_however_many_there_are(name: str, result: str) -> None:
    workflows = [usable(number, name, result=result, seconds=100.0, words=True) for number in range(100)]
    files = {f"{name} {slot}": {f"{name}{number}.safetensors": 1 for number in range(200)} for slot in range(5)}
    card = models(workflows, files, 7, 3)
    check(card)
    assert "… and more." in text_of(card)
    check(models(workflows, {}, 1, 0))


def test_models_have_human_names_and_say_on_how_many_servers_they_are() -> None:
    files = {"Checkpoint": {"sdxl/dream_scape-v1.safetensors": 2, "painterly.ckpt": 1}}
    workflows = [
        usable(1, "Portrait", words=True, servers=2, seconds=6.4),
        usable(2, "Film", result="video", sources=("image",), words=True, servers=1, seconds=150.0),
        usable(3, "Blend", sources=("image", "image"), servers=0),
        usable(4, "Odd", result="", servers=2),
    ]
    text = text_of(models(workflows, files, 2, 2))
    for part in (
        "🖼️ **Portrait 1** </imagine:1234567890123456789>\n-# pictures from words · usually 6 s · on 2 servers",
        "🎬 **Film 2** </imagine:1234567890123456789>\n-# videos from a picture and words · usually 2 min",
        "usually 2 min · on 1 server\n",
        "-# pictures from 2 pictures · its server does not answer now",
        "-# Odd · on 2 servers",
        "### Checkpoint\nDream scape v1 · Painterly (1 of 2 servers)",
    ):
        assert part in text
    assert "No image server answers now" not in text
    assert "No image server answers now" in text_of(models(workflows, files, 2, 0))
    assert "Nothing can be made here now" in text_of(models([], {}, 0, 0))
