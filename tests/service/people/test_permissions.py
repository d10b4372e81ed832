"""Who may press what."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.service.people.permissions import can_use, permitted
from app.service.requests import Person
from tests.discord.flows import workflow


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_only_the_owner_and_moderators_take_things_away(verb: str) -> None:
    assert permitted(verb, Person(user="ada"), "ada")
    assert permitted(verb, Person(user="bob", moderator=True), "ada")
    assert not permitted(verb, Person(user="bob"), "ada")


@pytest.mark.parametrize("verb", ["again", "fetch", "vary", "use", "settings", "retry"])
def test_everybody_may_do_everything_else(verb: str) -> None:
    assert permitted(verb, Person(user="bob"), "ada")


def test_an_operator_may_draw_the_line_elsewhere() -> None:
    guarded = frozenset({"again"})
    assert not permitted("again", Person(user="bob"), "ada", guarded)
    assert permitted("delete", Person(user="bob"), "ada", guarded)


def test_a_workflow_is_for_everybody_unless_its_manifest_names_some() -> None:
    assert can_use(workflow(), Person(user="bob"))
    named = replace(workflow(), users=("ada",), roles=("painters",))
    assert can_use(named, Person(user="ada"))
    assert can_use(named, Person(user="bob", roles=frozenset({"painters"})))
    assert not can_use(named, Person(user="bob", roles=frozenset({"readers"})))
