"""The pages of /jobs and /queue keep to what one message can hold, whatever people write."""

from __future__ import annotations

import random

import pytest

from app.core.jobs.job import Entry, Job, JobRequest, State
from app.core.journal_port import JobPage
from app.discord.custom_id import read
from app.discord.message_ref import MessageRef, write
from app.discord.text import one_line
from app.discord.ui import lists
from app.discord.ui.components import (
    MOST_COMPONENTS,
    MOST_TEXT,
    Button,
    Card,
    Illustrated,
    Line,
    Row,
    Select,
    Text,
    Upload,
    weight,
)
from app.discord.ui.lists import FILTERS, JOBS_ON_A_PAGE, JobsPage, QueueRow
from app.events import Cancelled, Finished, JobId, ServerName

HOSTILE = [
    "@everyone <@1400000000000000000> <@&7> <#8> </imagine:9>",
    "# big\n> quote\n```code```\n- list\n1. one [link](https://evil.example) ||spoiler|| **bold** `code`",
    "\u202egnp.exe \u200f\u061c \u2066hidden\u2069 \u200b\u200b\ufeff",
    "مرحبا بالعالم ثعلب في الثلج",
    "z\u0351\u0352\u0353\u0354\u0355\u0356\u0357\u0358a\u0351\u0352\u0353\u0354\u0355l",
    "👨‍👩‍👧‍👦" * 400,
    "a" * 6000,
    "*_~`|>#[]()<@:+-\\" * 400,
    "",
    " \u3164\u2800\u200b\ufe0f \n",
]


def text_of(card: Card) -> str:
    return "\n".join(block.text for block in card.blocks if isinstance(block, (Text, Line, Illustrated)))


def buttons_of(card: Card) -> dict[str, Button]:
    return {button.label: button for block in card.blocks if isinstance(block, Row) for button in block.buttons}


def check(card: Card) -> None:
    """The card fits into one message."""
    assert weight(card) <= MOST_COMPONENTS
    assert len(text_of(card)) <= MOST_TEXT
    assert len(card.uploads) <= 10
    ids = [button.custom_id for button in buttons_of(card).values()]
    ids += [block.custom_id for block in card.blocks if isinstance(block, Select)]
    ids += [block.button.custom_id for block in card.blocks if isinstance(block, Line)]
    assert len(ids) == len(set(ids))
    assert all(read(custom_id) is not None for custom_id in ids)


def entry(number: int, prompt: str, state: State = State.DELIVERED) -> Entry:
    place = write(MessageRef(channel="1" * 19, user="2" * 19, message="3" * 19, guild="4" * 19))
    request = JobRequest(
        job=JobId(f"{number:032x}"), workflow="w" * 52, graph={}, folder=".", values={"prompt": prompt}
    )
    job = Job(request=request, state=state, place=place)
    if state is State.DELIVERED:
        job.terminal_update = Finished(ServerName("here"), job=job.id)
    if state is State.CANCELLED:
        job.terminal_update = Cancelled(job=job.id)
    return Entry(job, 1_700_000_000.0 + number, 1_700_000_000.0)


def row(number: int, prompt: str = "a fox", **more: object) -> QueueRow:
    known: dict[str, object] = {"owner": "2" * 19, "position": number, "made_with": "M" * 200, "link": "https://x" * 9}
    known |= {"server": "s" * 100, "expected": 1_700_000_000, "note": "n" * 500, "pictures": 4, **more}
    return QueueRow(job=JobId(str(number)), title=prompt, **known)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("prompt", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("state", [State.DELIVERED, State.RUNNING, State.CANCELLED])
def test_a_full_page_of_jobs_fits_whatever_they_are_about(prompt: str, state: State) -> None:
    entries = tuple(entry(number, prompt, state) for number in range(JOBS_ON_A_PAGE))
    thumbnails = {each.job.id: Upload(f"{each.job.id}.webp", data=b"x") for each in entries}
    names = {each.job.id: prompt for each in entries}
    card = lists.jobs(JobsPage(JobPage(entries, older=10**18, newer=2**63 - 1), 2, names, thumbnails))
    check(card)
    assert {"Older", "Newer"} <= buttons_of(card).keys()


@pytest.mark.parametrize("prompt", HOSTILE, ids=range(len(HOSTILE)))
def test_the_queue_fits_whatever_it_is_about(prompt: str) -> None:
    rows = [row(number, prompt, own=number % 9 == 0) for number in range(3000)]
    rows += [row(3000 + number, prompt, position=None) for number in range(30)]
    running, waiting = lists.selected(rows)
    check(lists.queue(running, waiting, (30, 3000)))


def test_three_thousand_jobs_are_the_next_ones_ones_own_and_a_number() -> None:
    rows = [
        row(number, f"picture {number}", own=number == 2000, note="", made_with="", link="") for number in range(3000)
    ]
    random.Random(1).shuffle(rows)
    running, waiting = lists.selected(rows)
    text = text_of(lists.queue(running, waiting, (0, 3000)))
    assert [int(line.split("`")[1]) for line in text.splitlines() if line.startswith("`")] == [*range(1, 11), 2001]
    assert "0 being made · 3000 waiting" in text
    assert "… and 2989 more" in text
    assert "**picture 2000**" in text, "one's own stands out"


def test_a_private_request_says_neither_what_nor_who() -> None:
    rows = [row(0, "a secret", owner="77", private=True, note="why")]
    text = text_of(lists.queue([], rows, (0, 1)))
    assert "A private request" in text
    assert not any(hidden in text for hidden in ("secret", "77", "MMM", "https", "why"))
    assert "<t:1700000000:R>" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n  fox\t in  snow", "a fox in snow"),
        ("@everyone", "\\@everyone"),
        ("\u202etxt", "txt"),
        ("\u200b \u3164", ""),
        ("\ufe0f\u200d", ""),
        ("👩‍🚀 in space", "👩‍🚀 in space"),
        ("שלום", "\u2068שלום\u2069"),
        ("e\u0301" + "\u0301" * 9, "e" + "\u0301" * 3),
        ("x" * 100, "x" * 89 + "…"),
        ("\ud800", ""),
    ],
)
def test_what_people_wrote_is_one_line_that_disturbs_nothing_beside_it(text: str, shown: str) -> None:
    assert one_line(text, 90) == shown


def test_who_has_made_nothing_reads_how_to_begin() -> None:
    card = lists.jobs(JobsPage(JobPage(), help_command="</help:1>"))
    assert "You have not made anything yet." in text_of(card)
    assert "</help:1>" in text_of(card)
    assert weight(card) == 4, "there is nothing to choose or to turn"


def test_a_filter_without_jobs_can_be_left() -> None:
    card = lists.jobs(JobsPage(JobPage(), 4))
    assert "You have no such jobs." in text_of(card)
    (select,) = (block for block in card.blocks if isinstance(block, Select))
    assert [choice.label for choice in select.choices] == [label for label, _ in FILTERS]
    assert select.chosen == "4"


def test_every_state_has_a_name_and_a_filter() -> None:
    assert lists.STATE_NAMES.keys() == set(State)
    assert {state for _, states in FILTERS for state in states} == set(State)


def test_an_empty_queue_says_so() -> None:
    card = lists.queue([], [], (0, 0))
    assert "Nothing is being made" in text_of(card)
    check(card)
