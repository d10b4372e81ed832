"""What must never stand in a log."""

from __future__ import annotations

import pytest

from app.logs import HIDDEN, hide_secrets, redact


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijkl-SECRET",
        "http://user:SECRET@studio:8188/queue",
        "https://discord/api/webhooks/123/SECRET/messages",
        "https://discord/api/interactions/123/SECRET/callback",
    ],
)
def test_credentials_in_text_are_hidden(text: str) -> None:
    assert "SECRET" not in hide_secrets(text)
    assert HIDDEN in hide_secrets(text)


def test_credentials_by_name_are_hidden_however_deep() -> None:
    told = redact(None, "info", {"event": "x", "headers": {"Authorization": "SECRET"}, "token": "SECRET", "n": 1})
    assert "SECRET" not in str(told)
    assert told["n"] == 1
