"""A data folder with a journal and files, as a bot leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from app.backup.create import make_backup
from app.backup.layout import Backup
from app.core.jobs.job import Job, JobRequest, State, Transition, Upload
from app.events import FileRef, Finished, JobId, NodeId, ServerName
from app.journal.opening import JOURNAL, open_store

NOW = 1_764_400_000.0
"""Seconds since 1970: 2025-11-29 07:06:40 UTC."""

FILES = {"results/a-01.png": b"a picture" * 1000, "results/deep/b-01.webm": b"a video", "inputs/c-image.png": b"photo"}


def nothing() -> None:
    """A breath that takes no time."""


def job(name: str, data: Path, **more: object) -> Job:
    """A job that was delivered, with paths in the data folder."""
    request = JobRequest(
        job=JobId(name),
        workflow="txt2img",
        graph={"1": {"class_type": "KSampler", "inputs": {"seed": 1}}},
        folder=str(data / "results"),
        owner="ada",
        values={"prompt": f'a sign that says "{data}/results" in red', "image": str(data / "inputs" / "c-image.png")},
        uploads=(Upload(NodeId("2"), "image", str(data / "inputs" / "c-image.png")),),
    )
    made = Job(request=request, state=State.DELIVERED, notified=True)
    path = str(data / "results" / f"{name}-01.png")
    made.files = {FileRef(f"{name}.png"): path}
    made.terminal_update = Finished(ServerName("studio"), files=(path,), job=made.id)
    for field, value in more.items():
        setattr(made, field, value)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a job that was delivered, one that waits, and three files."""
    data = tmp_path / "data"
    with open_store(data / JOURNAL, clock=lambda: 1_000.0, durable=False) as store:
        waiting = job("waiting", data, state=State.ACCEPTED, notified=False, terminal_update=None, files={})
        store.write([([job("a", data), waiting], [Transition(JobId("a"), 1, "delivered", "shown")])])
    for name, content in FILES.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)
    (data / "results" / "late.png.part").write_bytes(b"half")
    (data / f"{JOURNAL}-reserve").write_bytes(b"room")
    return data


Make: TypeAlias = Callable[..., Backup]


@pytest.fixture
def make(data: Path, tmp_path: Path) -> Make:
    """Make a backup of the data folder, a second after the one before."""
    made = 0

    def make_one(**more: object) -> Backup:
        nonlocal made
        made += 1
        options: dict[str, object] = {"now": NOW + made, "breathe": nothing, **more}
        return make_backup(data, tmp_path / "backups", **options)  # pyright: ignore[reportArgumentType]

    return make_one
