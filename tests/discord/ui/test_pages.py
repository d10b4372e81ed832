"""The pages of built-in commands keep to what one message can hold."""

from __future__ import annotations

from app.discord.ui.components import Text
from app.discord.ui.pages import LONGEST_REASON, MOST_REASONS, status
from app.workflows.reasons.wrapped import PlainText


def told(refused: int) -> str:
    """The page of /status with so many workflows that are not offered."""
    reasons = {f"workflow{number}": PlainText(f"reason {number} " + "long " * 100) for number in range(refused)}
    (text,) = status([], 0.1, 0, reasons).blocks
    assert isinstance(text, Text)
    return text.text


def test_status_gives_few_reasons_and_only_names_of_many() -> None:
    assert "Not offered" not in told(0)
    for few in range(1, MOST_REASONS + 1):
        assert told(few).count("Not offered: reason") == few
    many = told(MOST_REASONS + 1)
    assert "reason" not in many
    assert f"workflow{MOST_REASONS}" in many


def test_a_long_reason_is_shortened() -> None:
    (line,) = [line for line in told(1).splitlines() if line.startswith("Not offered")]
    assert len(line) <= LONGEST_REASON + len("Not offered: ")
