"""Which workflow gets which command, and what is said where it is not the one of its manifest."""

from __future__ import annotations

from app.texts.reasons.text import reason_text
from app.workflows.load import Workflow
from app.workflows.offers.availability import Offer, conflicts, warnings
from app.workflows.offers.command_names import own_commands


def workflow(name: str, command: str) -> Workflow:
    return Workflow(name=name, graph={}, command=command)


def test_a_task_keeps_its_command_and_a_workflow_gets_its_own_name() -> None:
    commands = own_commands([workflow("My ink", "imagine"), workflow("b", "ink"), workflow("c", "")])
    assert commands == {"My ink": "my_ink", "b": "ink"}


def test_a_name_that_is_taken_or_that_nobody_can_type_gives_way_to_a_number() -> None:
    taken = [workflow("ink", "imagine"), workflow("b", "ink"), workflow("jobs", "edit"), workflow("???", "imagine")]
    assert own_commands(taken) == {"ink": "imagine-2", "b": "ink", "jobs": "edit-2", "???": "imagine-3"}


def test_of_two_with_the_same_command_the_first_has_it() -> None:
    assert own_commands([workflow("a", "ink"), workflow("b", "ink")]) == {"a": "ink"}


def test_it_is_one_sentence_in_check_and_no_error() -> None:
    both = [workflow("ink", "imagine"), workflow("oil", "imagine")]
    assert list(conflicts(both)) == []
    sentences = [reason_text(reason) for reason in warnings([Offer(name=each.name, workflow=each) for each in both])]
    assert sentences == [
        "/imagine offers all models, so “ink” has the command /ink: write another “command” into its manifest.",
        "/imagine offers all models, so “oil” has the command /oil: write another “command” into its manifest.",
    ]
