"""What buttons remember."""

from __future__ import annotations

import uuid

import pytest

from app.discord import custom_id
from app.discord.custom_id import Press
from app.discord.ui.offer_rules import LONGEST_WORKFLOW
from app.events import JobId

JOB = str(uuid.uuid4())


@pytest.mark.parametrize("verb", ["again", "fetch", "vary", "edit", "draft", "settings", "delete", "cancel", "retry"])
def test_what_is_written_is_read_again(verb: str) -> None:
    assert custom_id.read(custom_id.write(verb, JOB)) == Press(verb, JobId(JOB))


def test_a_follow_up_names_its_workflow() -> None:
    assert custom_id.read(custom_id.write("use", JOB, "img2img.v2")) == Press("use", JobId(JOB), "img2img.v2")


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "again",
        "again:",
        ":x",
        "use-x.a:j",
        "use-².a:j",
        f"use-{'9' * 5000}.a:j",
        "go+x.a:j",
        "go+².a:j",
        "go+.a:j",
        "go-+2.a:j",
        "go+2+3.a:j",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ],
)
def test_what_is_none_of_ours_is_nothing(foreign: str) -> None:
    assert custom_id.read(foreign) is None


def test_what_discord_would_not_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="100"):
        custom_id.write("use", JOB, "w" * 70)


@pytest.mark.parametrize("name", ["img2img", "v2.1", "a:b", "flux-2.dev:x"])
@pytest.mark.parametrize("number", [1, 2, 10])
def test_several_ways_into_one_workflow_are_told_apart(name: str, number: int) -> None:
    written = custom_id.write("use", JOB, name, number)
    assert custom_id.read(written) == Press("use", JobId(JOB), name, number)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("result", [0, 1, 10])
def test_a_button_may_be_about_one_of_several_results(number: int, result: int) -> None:
    written = custom_id.write("go", JOB, "upscale", number, result)
    assert custom_id.read(written) == Press("go", JobId(JOB), "upscale", number, result)


def test_the_longest_name_that_is_offered_fits_every_button() -> None:
    for verb in ("use", "go"):
        assert len(custom_id.write(verb, JOB, "w" * LONGEST_WORKFLOW, 10, 10)) <= custom_id.LONGEST
