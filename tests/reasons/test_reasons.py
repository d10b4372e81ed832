"""Reasons as data: all kinds can be told apart, wherever they are declared."""

from __future__ import annotations

import app.texts.reasons.text
from app.reasons import Reason

# The module that renders all reasons imports all of them.
assert app.texts.reasons.text


def test_every_reason_has_a_tag_of_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in Reason.__subclasses__()]
    assert len(set(tags)) == len(tags)
