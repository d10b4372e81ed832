"""What the terminal shows about jobs that wait and run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rich.console import Console

from app.cli.output.live_table import LiveTable
from app.cli.output.rows import Row, sentence
from app.events import AnyUpdate, Cancelled, Failed, Finished, JobId, Progressed, Queued, ServerName, Started
from app.reasons.jobs import NodeFailed, ServersOffline

JOB = JobId("0b7a3f0e-7c1d-4a53-9d0c-3d6f0a1b2c3d")
HERE = ServerName("studio")
STARTED = Started(HERE, job=JOB)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def row(*updates: AnyUpdate, clock: Clock | None = None, owner: str = "Ada", workflow: str = "txt2img") -> Row:
    made = Row(JOB, owner, workflow, clock=clock or Clock())
    for update in updates:
        made.handle(update)
    return made


def waiting(position: int = 3, starts_in: float | None = None) -> Queued:
    return Queued(job=JOB, position=position, starts_in=starts_in)


def drawn(rows: Sequence[Row], width: int) -> list[str]:
    """The lines of the table, at this many columns."""
    console = Console(width=width, height=40)
    with console.capture() as capture:
        console.print(LiveTable(console, rows))
    return capture.get().splitlines()


@pytest.mark.parametrize(
    ("starts_in", "text"),
    [
        (0.4, "starts in 1 s"),
        (42.0, "starts in 42 s"),
        (120.0, "starts in 2 min"),
        (5_000.0, "starts in 83 min"),
        (7_300.0, "starts in 2 h"),
    ],
)
def test_a_waiting_job_tells_its_place_and_when_it_is_expected_to_start(starts_in: float, text: str) -> None:
    job = row(waiting(3, starts_in))
    assert sentence(job) == f"queued, 3 ahead, {text}"
    assert f"3 ahead, {text}" in drawn([job], 60)[1]
    assert drawn([job], 80)[1].endswith(f"3  {text:>16}")


def test_a_failed_job_names_the_files_that_are_kept() -> None:
    failed = Failed(job=JOB, reason=NodeFailed("Sampler", "boom"))
    assert sentence(row(failed)) == "failed: “Sampler” failed: boom."
    kept = Failed(job=JOB, reason=NodeFailed("Sampler", "boom"), files=("out/a.png", "out/b.png"))
    assert sentence(row(kept)) == "failed: “Sampler” failed: boom. These files are kept: out/a.png, out/b.png"


def test_the_reason_for_waiting_follows_the_place() -> None:
    job = row(Queued(job=JOB, position=3, note=ServersOffline(("studio",))))
    assert sentence(job).startswith("queued, 3 ahead. ")
    assert "starts" not in sentence(job)


def test_the_expected_start_is_counted_down_without_updates_and_ends_with_its_time() -> None:
    clock = Clock()
    job = row(waiting(1, 60.0), clock=clock)
    clock.now += 20
    assert "1 ahead, starts in 40 s" in drawn([job], 60)[1]
    clock.now += 40
    for width in (60, 80):
        assert "starts" not in drawn([job], width)[1], "nobody knows when, now that this time has passed"


def test_a_start_that_is_no_longer_known_is_removed() -> None:
    assert sentence(row(waiting(3, 60.0), waiting(3, None))) == "queued, 3 ahead"


def test_a_job_that_runs_or_has_ended_tells_no_start() -> None:
    for updates in ([STARTED], [Cancelled(job=JOB)], [STARTED, Finished(HERE, job=JOB)]):
        for width in (60, 80, 120):
            line = drawn([row(waiting(0, 60.0), *updates)], width)[1]
            assert "starts" not in line
            assert "ahead" not in line


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_columns_stay_where_they_are_while_jobs_wait_run_and_end(width: int) -> None:
    node = Progressed(job=JOB, fraction=0.4, node="Sampler", step=8, steps=20, elapsed=12.0, remaining=300.0)
    others = [row(owner="Margaret", workflow="flux-upscale")]
    stages = [[], [waiting(3)], [waiting(12, 5_000.0)], [waiting(0), STARTED], [STARTED, node]]
    stages += [[STARTED, node, Finished(HERE, job=JOB)], [Cancelled(job=JOB)]]
    tables = [drawn([*others, row(*updates)], width) for updates in stages]
    assert len({table[0] for table in tables}) == 1, "the headings do not move"
    assert all(len(line) <= width for table in tables for line in table)


def test_at_60_columns_only_names_are_cut() -> None:
    names = "A-person-with-a-long-name", "a-workflow-with-a-long-name"
    progress = Progressed(job=JOB, fraction=0.4, step=8, steps=20, elapsed=12.0, remaining=30.0)
    rows = [
        row(waiting(12, 5_000.0), owner=names[0], workflow=names[1]),
        row(STARTED, progress),
        row(Cancelled(job=JOB)),
    ]
    _, first, second, third, _ = drawn(rows, 60)
    assert first.startswith("A-pers")
    assert first.count("…") == 2
    assert "waiting      12 ahead, starts in 83 min" in first
    assert "drawing      40 %, 12 s, 30 left" in second
    assert "– cancelled" in third


@pytest.mark.parametrize("width", [60, 80, 100])
def test_columns_stay_where_they_are_when_the_row_with_the_longest_name_is_cut_off(width: int) -> None:
    short = [row(STARTED, owner="Ada") for _ in range(4)]
    rows = [*short, row(waiting(), owner="Margaret", workflow="upscale4")]
    console = Console(width=width, height=4)
    with console.capture() as capture:
        console.print(LiveTable(console, rows))
    assert "Margaret" not in capture.get()
    assert capture.get().splitlines()[0].index("workflow") == drawn(rows, width)[0].index("workflow")
    assert capture.get().splitlines()[0].index("state") == drawn(rows, width)[0].index("state")
