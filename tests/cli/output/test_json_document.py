"""docs/CLI.md describes every field that `generate --json` writes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from app.cli.output.renderers import JsonRenderer
from app.cli.output.rows import Row, Tally
from app.events import (
    AnyUpdate,
    Cancelled,
    Failed,
    Finished,
    JobId,
    Lost,
    Previewed,
    Progressed,
    Queued,
    ServerName,
    Started,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "CLI.md"
JOB, SERVER = JobId("a"), ServerName("studio")

UPDATES: tuple[AnyUpdate, ...] = (
    Queued(job=JOB, position=1),
    Started(job=JOB, server=SERVER),
    Progressed(job=JOB, fraction=0.5),
    Previewed(job=JOB, image=b"1234", media_type="image/jpeg"),
    Finished(job=JOB, server=SERVER),
    Failed(job=JOB, reason="a bug"),
    Cancelled(job=JOB),
    Lost(job=JOB, reason="a bug"),
)


def documented() -> dict[str, set[str]]:
    """The fields of each event in the document."""
    fields: dict[str, set[str]] = {}
    event = ""
    table = DOCUMENT.read_text("utf-8").split("### Events of `generate`")[1]
    for name, column in re.findall(r"^\| (?:`(\w+)`)? ?\| (`.+?`) \|", table, re.MULTILINE):
        event = name or event
        fields.setdefault(event, set()).update(re.findall(r"`(\w+)`", column))
    return fields


async def test_every_field_of_every_event_is_in_the_document(capfd: pytest.CaptureFixture[str]) -> None:
    renderer = JsonRenderer()
    row = Row(JOB, "", "txt2img")
    for update in UPDATES:
        await renderer.update(row, update, milestone=True)
    renderer.summary(Tally(1, 1, 0, 0, 0))
    lines = [msgspec.json.decode(line, type=dict[str, object]) for line in capfd.readouterr().out.splitlines()]
    written = {str(line["event"]): line.keys() - {"t", "job", "event"} for line in lines}
    assert written == documented()
