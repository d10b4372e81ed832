"""The names of inputs that take the texts which people write."""

from __future__ import annotations

import re
from collections.abc import Collection

PROMPT_INPUTS = (
    "prompt",
    "prompt_text",
    "text_prompt",
    "positive_prompt",
    "positive",
    "text",
    "text_input",
    "user_prompt",
    "high_level_description",
)
"""Names of the prompt in nodes that take plain text; the first that exists counts."""

NUMBERED_PROMPTS = re.compile(r"(?:storyboard_\d+_prompt|text\d+|prompt_?\d+)")
"""Names of the prompts in nodes that take several, one for each shot or speaker."""

NEGATIVE_INPUTS = ("negative_prompt", "negative_prompt_text", "negative", "negative_text")
"""Names of the negative prompt in the same nodes."""

READERS = (("text_g", "text_l"), ("clip_l", "clip_g", "t5xxl", "llama", "qwen25_7b"), ("bert", "mt5xl"))
"""Groups of inputs of encoder nodes that take the same text for the several text encoders of one model."""

ENCODED = (("text",), ("prompt",), ("user_prompt",), *READERS, ("tags",), ("caption",))
"""Groups of text inputs of encoder nodes; the first group that exists counts, and all its inputs get the same text."""


LYRICS = "lyrics"
"""The text that is sung; `tags` describes the style."""


def together(name: str, there: Collection[str]) -> tuple[str, ...]:
    """Return the inputs in `there` that get the same text as `name`, `name` included."""
    group = next((names for names in READERS if name in names), (name,))
    return tuple(input_name for input_name in group if input_name in there)
