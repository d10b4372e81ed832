"""Who may press what."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.discord.requests.permissions import can_use, permitted
from tests.discord.flows import workflow


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_only_the_owner_and_moderators_take_things_away(verb: str) -> None:
    assert permitted(verb, person="ada", owner="ada", moderator=False)
    assert permitted(verb, person="bob", owner="ada", moderator=True)
    assert not permitted(verb, person="bob", owner="ada", moderator=False)


@pytest.mark.parametrize("verb", ["again", "vary", "use", "settings", "retry"])
def test_everybody_may_do_everything_else(verb: str) -> None:
    assert permitted(verb, person="bob", owner="ada", moderator=False)


def test_an_operator_may_draw_the_line_elsewhere() -> None:
    guarded = frozenset({"again"})
    assert not permitted("again", person="bob", owner="ada", moderator=False, guarded=guarded)
    assert permitted("delete", person="bob", owner="ada", moderator=False, guarded=guarded)


def test_a_workflow_is_for_everybody_unless_its_manifest_names_some() -> None:
    assert can_use(workflow(), person="bob", roles=())
    named = replace(workflow(), users=("ada",), roles=("painters",))
    assert can_use(named, person="ada", roles=())
    assert can_use(named, person="bob", roles={"painters"})
    assert not can_use(named, person="bob", roles={"readers"})
