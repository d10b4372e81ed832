"""Which workflows have commands of their own in Discord."""

from __future__ import annotations

from app.discord.ui.offer_rules import MOST_COMMANDS, MOST_WORKFLOW_COMMANDS, warnings, with_commands
from app.discord.ui.options import commands
from app.texts.discord.commands import BUILT_IN, MODERATOR
from app.texts.reasons.text import reason_text
from app.workflows.load import Workflow

MANY = {f"w{n}": Workflow(name=f"w{n}", graph={}, command=f"c{n}", task="imagine") for n in range(120)}


def shown(workflows: dict[str, Workflow]) -> list[str]:
    return [workflow.name for workflow in workflows.values() if workflow.command]


def test_discord_never_gets_more_commands_than_it_takes_and_the_rest_is_told() -> None:
    offered = with_commands(MANY)
    assert shown(offered) == list(MANY)[:MOST_WORKFLOW_COMMANDS]
    assert len(commands(offered.values())) + len(BUILT_IN) + len(MODERATOR) <= MOST_COMMANDS
    (reason,) = warnings(list(MANY.values()))
    assert f"allows only {MOST_WORKFLOW_COMMANDS} commands of workflows, so w{MOST_WORKFLOW_COMMANDS}," in reason_text(
        reason
    )


def test_the_operator_names_those_that_have_one() -> None:
    assert shown(with_commands(MANY, ["w100", "w7"])) == ["w7", "w100"]
    assert shown(with_commands(MANY, ())) == []
    assert list(warnings(list(MANY.values()), ())) == []
    (reason,) = warnings(list(MANY.values()), ["w100", "w1000"])
    assert reason_text(reason).startswith("“workflow_commands” names “w1000”, which is not offered; did you mean “w100")
