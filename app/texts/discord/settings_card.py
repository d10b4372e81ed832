"""What people read on the card of settings. Names and values that come in are already escaped."""

from __future__ import annotations

TEXTS = "Texts"
FILES = "Files"
MEASURES = "Size and number"
DETAILS = "Details"
"""Groups of settings."""

RUN = "Run"
SAVE = "Save"
DISCARD = "Discard"
"""Labels of buttons."""

RUN_HINT = "Change what you like, then press Run. Only you see this."
EDIT_HINT = "Change what you like, then press Save. Your place in line is kept. Only you see this."
DISCARDED = "These settings are discarded."
SAVED = "Your waiting job has these settings now."

KEPT = "as before"
NO_FILE = "none"
NOTHING = "–"
NEW_SEED = "a new one"
"""Values that are not texts of their own."""

CHOOSE_PRESET = "Take the values of a preset"


def heading(title: str) -> str:
    """The heading of the card for a workflow."""
    return f"Settings · {title}"


def change(group: str) -> str:
    """The label of the button that opens the form of a group."""
    return f"{group}…"


def part(title: str, number: int, count: int) -> str:
    """The label of one of several lists that are one choice together."""
    return f"{title} ({number} of {count})"


def add_lora(number: int, count: int) -> str:
    """The label of a list from which a LoRA is added."""
    return "Add a LoRA" if count == 1 else f"Add a LoRA ({number} of {count})"


def from_to(first: str, last: str) -> str:
    """Which names a list has."""
    return f"{first[:40]} … {last[:40]}"
