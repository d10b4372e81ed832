"""The error boundary: an exception that nobody expected gets an id, a log line, and a sentence for one person."""

from __future__ import annotations

import re

import pytest
from structlog.testing import capture_logs

from app import boundary
from app.mailbox import Mailbox


def test_an_unexpected_exception_is_logged_under_the_id_that_its_person_reads() -> None:
    with capture_logs() as lines:
        try:
            raise KeyError("fog")
        except KeyError as error:
            sentence = boundary.report_failure(error, "a command failed", command="imagine")
    (line,) = lines
    assert re.fullmatch(r"Something went wrong \(id [0-9a-f]{8}\)\.", sentence)
    assert line["id"] in sentence
    assert (line["event"], line["log_level"], line["command"]) == ("a command failed", "error", "imagine")


def test_the_log_line_names_the_place_in_our_code() -> None:
    def conflation_key(_: str) -> str:
        raise RuntimeError("no key")

    mailbox = Mailbox[str](conflation_key)
    with capture_logs() as lines:
        try:
            mailbox.put("item")
        except RuntimeError as error:
            boundary.report_failure(error, "an effect failed")
    assert re.fullmatch(r"app/mailbox\.py:\d+", lines[0]["at"])


def test_two_failures_have_two_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    assert boundary.new_id() != boundary.new_id()
    monkeypatch.setattr(boundary, "new_id", lambda: "00c0ffee")
    assert boundary.report_failure(ValueError(), "a button failed") == "Something went wrong (id 00c0ffee)."
