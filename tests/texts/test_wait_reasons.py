"""What an operator reads about a job that is stuck."""

from __future__ import annotations

from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reasons import Reason
from app.reasons.waits import (
    LeftAtServer,
    NoServerListed,
    NotShown,
    ServerRemoved,
    WaitReason,
    WaitsForResults,
    WaitsForResume,
    WaitsForServers,
)
from app.texts.reasons.waits import wait_text
from app.texts.wording import LONGEST_SENTENCE
from tests.texts.reasons import reasons_of

KINDS = cast("tuple[type[Reason], ...]", get_args(WaitReason))

SENTENCES: list[tuple[WaitReason, str]] = [
    (WaitsForServers(("studio",)), "Start ComfyUI on studio: it does not answer."),
    (WaitsForServers(("studio", "cellar")), "Start ComfyUI on one of studio, cellar: none answers."),
    (WaitsForResume(("studio",)), "Run “servers resume studio”: it takes no new jobs."),
    (
        WaitsForResume(("studio", "cellar")),
        "Run “servers resume” with one of studio, cellar: none takes new jobs.",
    ),
    (ServerRemoved("attic"), "Restart the bot: attic has the job and is no longer configured."),
    (NoServerListed(("attic", "barn")), "Configure attic or barn: no other server is known to run it."),
    (
        WaitsForResults("studio", 1, away=True),
        "Start ComfyUI on studio: 1 result is there, and it does not answer.",
    ),
    (WaitsForResults("studio", 3, away=False), "Read the log of studio: 3 results are still there."),
    (
        LeftAtServer("studio"),
        "Start ComfyUI on studio, or remove it and restart the bot: it may still have the job.",
    ),
    (NotShown(), "Read the bot's log: the end of the job is not shown to its owner yet."),
]


@pytest.mark.parametrize(("reason", "text"), SENTENCES)
def test_a_wait_says_what_to_do(reason: WaitReason, text: str) -> None:
    assert wait_text(reason) == text


def test_no_wait_is_forgotten() -> None:
    assert {type(reason) for reason, _ in SENTENCES} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_whatever_the_facts_are_the_sentence_is_one_line_of_limited_length(
    kind: type[Reason], data: st.DataObject
) -> None:
    text = wait_text(cast("WaitReason", data.draw(reasons_of(kind))))
    assert text.isprintable()
    assert 0 < len(text) <= LONGEST_SENTENCE
