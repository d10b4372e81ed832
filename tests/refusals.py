"""What a person reads when something is refused."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError


def refusal_of(error: WorkflowError) -> str:
    """The sentence that a person reads."""
    return reason_text(error.reason)


@contextmanager
def refused(pattern: str, kind: type[WorkflowError] = WorkflowError) -> Generator[None]:
    """Expect a refusal whose sentence contains the regular expression."""
    with pytest.raises(kind) as raised:
        yield
    sentence = refusal_of(raised.value)
    assert re.search(pattern, sentence), sentence
