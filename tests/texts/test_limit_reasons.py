"""What people read who are over a limit."""

from __future__ import annotations

from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reasons import Reason
from app.reasons.limits import BudgetReached, JobsReached, LimitReason, NoRoomForResults, SecondsReached
from app.texts.reasons.text import reason_text
from app.texts.wording import LONGEST_SENTENCE
from tests.texts.reasons import reasons_of

KINDS = cast("tuple[type[Reason], ...]", get_args(LimitReason))

SENTENCES: list[tuple[LimitReason, str]] = [
    (
        JobsReached("person", 3, 3, 40.2),
        "You have 3 of 3 jobs running or waiting. The next is free in about 40 seconds.",
    ),
    (JobsReached("member", 1, 1, 0.0), "You have 1 of 1 job running or waiting. The next is free in about 1 second."),
    (
        JobsReached("channel", 20, 21),
        "This channel has 21 of 20 jobs running or waiting. Ask again when one has ended.",
    ),
    (NoRoomForResults(), "The disk of this bot has no room for more results. Ask again in a few minutes."),
    (JobsReached("guild", 2, 2), "This server has 2 of 2 jobs running or waiting. Ask again when one has ended."),
    (
        SecondsReached("person", 3600, 12.4, 40.0, 7200.0),
        (
            "You have 12 seconds left of 1 hour of GPU time a day, and this needs about 40 seconds."
            " Ask again in about 2 hours."
        ),
    ),
    (
        SecondsReached("guild", 60, 60.0, 100.0),
        "This server has 1 minute of GPU time a day, and this needs about 2 minutes. Ask for fewer or smaller results.",
    ),
    (
        BudgetReached("person", "day", 1.0, 0.0, 0.06, 3600.0),
        "You have $0.00 left of $1.00 a day for paid services, and this costs $0.06. Ask again in about 1 hour.",
    ),
    (
        BudgetReached("everybody", "month", 20.0, 20.0, 24.1455),
        "This bot has $20.00 a month for paid services, and this costs $24.1455. Ask for fewer results.",
    ),
]


@pytest.mark.parametrize(("reason", "sentence"), SENTENCES, ids=[sentence for _, sentence in SENTENCES])
def test_a_limit_has_a_sentence(reason: LimitReason, sentence: str) -> None:
    assert reason_text(reason) == sentence


@given(st.one_of(*(reasons_of(kind) for kind in KINDS)))
def test_any_limit_is_one_line(reason: Reason) -> None:
    text = reason_text(reason)
    assert text.endswith(".")
    assert text.isprintable()
    assert len(text) <= LONGEST_SENTENCE


def test_every_kind_is_here() -> None:
    assert {type(reason) for reason, _ in SENTENCES} == set(KINDS)
