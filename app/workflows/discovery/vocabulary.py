"""What the inputs are called into which people put words."""

from __future__ import annotations

from collections.abc import Collection

SAID = ("prompt", "prompt_text", "positive_prompt", "positive", "text", "text_input", "user_prompt")
"""What is wanted, in nodes that take words as they are; the first that is there counts."""

AGAINST = ("negative_prompt", "negative_prompt_text", "negative", "negative_text")
"""What is not wanted, in the same nodes."""

READERS = (("text_g", "text_l"), ("clip_l", "clip_g", "t5xxl", "llama", "qwen25_7b"), ("bert", "mt5xl"))
"""What encoders call the same words for the several readers of one model."""

ENCODED = (("text",), ("prompt",), ("user_prompt",), *READERS, ("tags",))
"""What encoders call the words; the first group that is there counts, and is filled together."""


LYRICS = "lyrics"
"""What is sung; how it is sung stands in `tags`."""


def together(name: str, there: Collection[str]) -> tuple[str, ...]:
    """The inputs that get the same words as one, itself among them, as far as they are there."""
    group = next((one for one in READERS if name in one), (name,))
    return tuple(one for one in group if one in there)
