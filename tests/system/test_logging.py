"""What must never stand in a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.system.logging import HIDDEN, hide_secrets, redact


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
    start = "import logging; from app.system.logging import configure; configure(debug=False)"
    code = f"{start}; logging.warning('fog'); print('goes on')"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, stderr=writer, stdout=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stdout == b"goes on\n"


CODE = """
import logging, structlog
from app.system.logging import configure
configure(debug=False, json={json}, is_service=True)
logger = structlog.stdlib.get_logger("app.test")
logger.info("a job has ended", job="1", workflow="two\\nlines", token="SECRET", seconds=1.5)
logging.getLogger("library").warning("Authorization: Bearer %s", "abcdefghijkl-SECRET")
try:
    raise ValueError("http://user:SECRET@studio/")
except ValueError as error:
    logger.error("it broke", exc_info=error)
"""


def written(*, json: bool) -> list[str]:
    code = CODE.format(json=json)
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_a_service_logs_what_it_does() -> None:
    lines = written(json=False)
    assert "a job has ended" in lines[0]
    assert "seconds=1.5" in lines[0]
    assert "SECRET" not in str(lines)


def test_a_log_in_json_is_one_object_on_each_line_without_secrets() -> None:
    lines = written(json=True)
    ended, library, broken = (json.loads(line) for line in lines)
    assert "SECRET" not in str(lines)
    assert (ended["event"], ended["level"], ended["logger"]) == ("a job has ended", "info", "app.test")
    assert (ended["job"], ended["workflow"], ended["seconds"]) == ("1", "two\nlines", 1.5)
    assert datetime.fromisoformat(ended["timestamp"]).utcoffset() == timedelta(0)
    assert (library["level"], library["logger"]) == ("warning", "library")
    assert broken["error"].startswith("ValueError: http://")
