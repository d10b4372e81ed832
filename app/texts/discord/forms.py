"""What people read in forms and in the card of settings. Names and values that come in are already escaped."""

from __future__ import annotations

SHAPES = {"1:1": "Square", "3:4": "Portrait", "4:3": "Landscape", "9:16": "Tall", "16:9": "Wide"}
"""What people call a ratio of width to height."""

FORMAT = "Format"
PRESET = "Preset"
WHICH_RESULT = "Which result"
AUTOMATIC = "The server's first one"
"""Labels of fields, and the first choice of presets and models."""

PRESET_DESCRIPTION = "What you change yourself has priority."
SEED_DESCRIPTION = "The same seed gives the same result. Empty: a new one."
LORA_DESCRIPTION = "One or more, such as ink:0.8, grain:0.5"
SIZE_DESCRIPTION = "Width and height, such as 1024x768"
KEPT_FILE = "Leave it empty to keep the present one."
"""Below labels."""


def format_label(name: str, width: int, height: int) -> str:
    """A format: what people call it, its ratio, and its sides in pixels."""
    return " · ".join([f"{SHAPES.get(name, '')} {name}".strip(), f"{width} × {height}"])


def current_format(width: int, height: int) -> str:
    """The shape that a picture has now."""
    return f"As now · {width} × {height}"


def number_range(low: str, high: str) -> str:
    """The numbers that a field takes; "" where there is no limit."""
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high else ""


def described(description: str, limits: str) -> str:
    """What a field is about, and the numbers that it takes."""
    about = description.strip().rstrip(".")
    if limits and all(number in about for number in limits.split(" to ")):
        return description.strip()
    return f"{about} ({limits})." if about and limits else description.strip() or limits


def gone(name: str) -> str:
    """Below a list that does not have the present choice any more."""
    return f"{name} is no longer there. Choose another one."


def result_number(number: int) -> str:
    """One of several results."""
    return f"Result {number}"
