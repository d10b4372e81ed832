"""What is checked before a request is accepted."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.service.values import LONGEST_TEXT, check_values, missing_slots, preset, upload_slots
from tests.discord.flows import IMG2IMG, TXT2IMG, slot, workflow
from tests.refusals import refused


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"prompt": "x" * (LONGEST_TEXT + 1)}, "Use at most 4000"),
        ({"prompt": "x", "steps": 9000}, "between 1 and 150"),
        ({"prompt": "  "}, "needs Prompt"),
        ({"prompt": "x", "sampler": "eulr"}, "did you mean “euler”"),
        ({"prompt": "x", "gone": 1}, "no longer has gone"),
    ],
)
def test_what_would_be_refused_later_is_refused_at_once(values: dict[str, str | int], sentence: str) -> None:
    with refused(sentence):
        check_values(TXT2IMG, dict(values))


def test_what_must_be_told_and_was_not_is_named_but_for_files() -> None:
    flow = workflow(slot("prompt", required=True), slot("n", "integer", required=True, default=3))
    assert [missing.name for missing in missing_slots(flow, {"prompt": "  "})] == ["prompt"]
    assert not missing_slots(IMG2IMG, {"prompt": "x"})
    check_values(flow, {}, complete=False)


def test_a_preset_is_named_and_an_unknown_one_is_refused() -> None:
    many = replace(workflow(slot("steps", "integer")), presets={f"p{n}": {"steps": n} for n in range(30)})
    assert preset(many, "p7") == {"steps": 7}
    assert preset(many, "") == {}
    with refused("no preset called “p77”"):
        preset(many, "p77")


def test_files_are_slots_of_three_kinds() -> None:
    flow = workflow(slot("a", "image"), slot("b", "video"), slot("c", "audio"), slot("d"))
    assert [upload.name for upload in upload_slots(flow)] == ["a", "b", "c"]
