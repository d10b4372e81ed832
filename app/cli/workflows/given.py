"""The values that a command line gives for a workflow."""

from __future__ import annotations

from app.cli.arguments.commands import Filling
from app.workflows.model import WorkflowError
from app.workflows.reasons.binding import NotAPair


def given_values(command: Filling) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The values of slots and of single inputs. Raises `WorkflowError`."""
    values = dict(_pair(text, "slot=value") for text in command.slots)
    return values, [_pair(text, "NODE.INPUT=VALUE") for text in command.sets]


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise WorkflowError(NotAPair(text, form))
    return name, value
