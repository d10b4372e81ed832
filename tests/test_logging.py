"""What must never stand in a log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.logging import HIDDEN, hide_secrets, redact


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
    entry = redact(None, "info", {"event": "x", "headers": {"Authorization": "SECRET"}, "token": "SECRET", "n": 1})
    assert "SECRET" not in str(entry)
    assert entry["n"] == 1


def test_a_log_that_nobody_reads_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    start = "import logging; from app.logging import configure; configure(debug=False)"
    code = f"{start}; logging.warning('fog'); print('goes on')"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, stderr=writer, stdout=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stdout == b"goes on\n"
