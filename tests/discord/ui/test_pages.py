"""The pages of built-in commands keep to what one message can hold."""

from __future__ import annotations

import pytest

from app.core.servers.power import PowerView
from app.discord.ui.components import MOST_CHOICES, Card, Row, Select, Text
from app.discord.ui.pages import LONGEST_REASON, MOST_REASONS, more, picture, status
from app.events import JobId, ServerName
from app.ports import Stats
from app.service.server_monitor import ServerStatus
from app.service.statistics import Accuracy
from app.texts.server_names import public_names
from app.workflows.reasons.wrapped import PlainText, RunsOnNoServer
from app.workflows.variations.derive import CHANGES, STRENGTHS

NEVER = Accuracy(0, 0, 0)
"""No start was expected and measured."""


def told(refused: int) -> str:
    """The page of /status with so many workflows that are not offered."""
    reasons = {f"workflow{number}": PlainText(f"reason {number} " + "long " * 100) for number in range(refused)}
    (text,) = status([], {}, 0.1, 0, reasons, NEVER).blocks
    assert isinstance(text, Text)
    return text.text


def test_status_gives_few_reasons_and_only_names_of_many() -> None:
    assert "Not offered" not in told(0)
    for few in range(1, MOST_REASONS + 1):
        assert told(few).count("Not offered: reason") == few
    many = told(MOST_REASONS + 1)
    assert "reason" not in many
    assert f"workflow{MOST_REASONS}" in many


def test_a_long_reason_is_shortened() -> None:
    (line,) = [line for line in told(1).splitlines() if line.startswith("Not offered")]
    assert len(line) <= LONGEST_REASON + len("Not offered: ")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ({"studio": "studio"}, ["studio"]),
        ({"10.0.0.7:8188": ""}, ["the image server"]),
        ({"10.0.0.7:8188": "", "attic": "attic", "gpu.local": ""}, ["image server 1", "attic", "image server 2"]),
    ],
)
def test_status_never_shows_the_address_of_a_server(names: dict[ServerName, str], shown: list[str]) -> None:
    (text,) = status([ServerStatus(server) for server in names], public_names(names), 0.1, 0, {}, NEVER).blocks
    assert isinstance(text, Text)
    assert text.text.splitlines()[2:] == [f"**{name}**: offline" for name in shown]


def test_a_server_that_is_off_is_not_offline_and_the_page_says_for_how_long_it_was_on() -> None:
    names = [ServerName(name) for name in ("a", "b", "c", "d", "e")]
    power = {
        names[0]: PowerView("off", 5400.0, None),
        names[1]: PowerView("starting", 30.0, "bot"),
        names[2]: PowerView("stopping", 7200.0, "bot"),
        names[3]: PowerView("on", 60.0, "hand"),
    }
    servers = [ServerStatus(name) for name in names[:3]]
    servers.append(ServerStatus(names[3], Stats("0.33.0")))
    servers.append(ServerStatus(names[4]))
    (text,) = status(servers, dict(zip(names, names, strict=True)), 0.1, 0, {}, NEVER, (), power).blocks
    assert isinstance(text, Text)
    lines = text.text.splitlines()
    for line in (
        "**a**: off until a job needs it · on for 2 hours of the last 24 hours",
        "**b**: being started · on for 30 seconds of the last 24 hours",
        "**c**: being stopped · on for 2 hours of the last 24 hours",
        "-# on for 1 minute of the last 24 hours",
        "**e**: offline",
    ):
        assert line in lines


def test_status_says_which_servers_get_no_new_jobs() -> None:
    studio, cellar = ServerName("studio"), ServerName("cellar")
    servers = [ServerStatus(studio, Stats("0.8.0")), ServerStatus(cellar)]
    names = {studio: "studio", cellar: "cellar"}
    (text,) = status(servers, names, 0.1, 0, {}, NEVER, [studio]).blocks
    assert isinstance(text, Text)
    first, note, second = text.text.splitlines()[2:]
    assert first.startswith("**studio**: ComfyUI 0.8.0")
    assert note == "-# Gets no new jobs for now; what it has runs to its end."
    assert second == "**cellar**: offline"


def test_status_does_not_say_which_server_cannot_run_a_workflow() -> None:
    lacks = PlainText("it lacks a model.")
    reason = RunsOnNoServer("draw", ((ServerName("10.0.0.7:8188"), lacks), (ServerName("b:1"), lacks)))
    (text,) = status([], {}, 0.1, 0, {"draw": reason}, NEVER).blocks
    assert isinstance(text, Text)
    assert text.text.endswith("Not offered: No server can run “draw”. it lacks a model.")


def test_status_says_how_right_expected_starts_were_once_that_was_measured() -> None:
    (text,) = status([], {}, 0.1, 0, {}, Accuracy(50, 41, 6)).blocks
    assert isinstance(text, Text)
    assert "Expected starts: 41 of 50 were right within 3 s or a quarter of the wait." in text.text
    assert "Expected starts" not in told(0)


EVERYTHING = frozenset(CHANGES.values())


def shown(card: Card) -> list[list[str]]:
    """The labels of each row of buttons, and the question of each list."""
    return [
        [block.placeholder] if isinstance(block, Select) else [button.label for button in block.buttons]
        for block in card.blocks
        if isinstance(block, Row | Select)
    ]


def test_more_extends_a_single_picture_and_asks_which_one_of_several() -> None:
    pans = ["Pan left", "Pan right", "Pan up", "Pan down"]
    job = JobId("job")
    assert shown(more(job, "1", [], None, EVERYTHING, 1)) == [["Zoom out", *pans], ["Delete"]]
    assert shown(more(job, "1", [], None, EVERYTHING, 4))[0] == ["Vary, zoom or pan: choose a picture, 1 to 4"]
    assert shown(more(job, "1", [], None, STRENGTHS, 1)) == [["Delete"]], "the card itself varies it"
    assert shown(more(job, "1", [], None, EVERYTHING, 0)) == shown(more(job, "1", [], None)) == [["Delete"]]
    card = more(job, "1", [], None, EVERYTHING, 40)
    assert isinstance(select := card.blocks[1], Select)
    assert len(select.choices) == MOST_CHOICES
    chosen = picture(job, 3, EVERYTHING)
    assert shown(chosen) == [["Vary subtle", "Vary strong"], ["Zoom out", *pans]]
    ids = [button.custom_id for block in chosen.blocks if isinstance(block, Row) for button in block.buttons]
    assert ids == [f"{change}+3:job" for change in CHANGES]
