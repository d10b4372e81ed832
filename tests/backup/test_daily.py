"""A backup each day: when it is due, what is kept, and what the operator reads if it fails."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.actors.alerts import AlertActor
from app.backup.daily import AGAIN, FIRST, DailyBackup, last_time
from app.backup.layout import backups_in
from app.config.settings import BackupSettings
from app.texts.alerts import alert_text
from tests.backup.conftest import Make, nothing
from tests.conftest import inline, virtual

START = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


@asynccontextmanager
async def running(data: Path, settings: BackupSettings) -> AsyncGenerator[None]:
    """Daily backups, from noon on."""
    alerts = AlertActor(alert_text)
    clock = clock_from(START)
    daily = DailyBackup(settings, data, alerts.handle, clock=clock, run_sync=inline, new_breath=lambda: nothing)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alerts.run)
        tasks.start_soon(daily.run)
        yield
        tasks.cancel_scope.cancel()


def clock_from(start: float) -> Callable[[], float]:
    began = anyio.current_time()
    return lambda: start + anyio.current_time() - began


def made(folder: Path) -> list[str]:
    return [path.name for path in backups_in(folder)]


async def test_the_first_backup_is_made_at_once_and_the_next_ones_at_the_hour(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    async with running(data, BackupSettings(folder=folder, hour=4, keep=3)):
        await anyio.sleep(FIRST + 1)
        assert made(folder) == ["atelier-20261129-120005"]
        await anyio.sleep(15 * HOUR + 3500)
        assert len(made(folder)) == 1
        await anyio.sleep(200)
        assert made(folder)[1].startswith("atelier-20261130-040")
        await anyio.sleep(72 * HOUR)
        assert [name[: len("atelier-20261201-04")] for name in made(folder)] == [
            "atelier-20261201-04",
            "atelier-20261202-04",
            "atelier-20261203-04",
        ]


async def test_a_restart_makes_no_further_backup_and_a_missed_one_is_made_up_for(
    make: Make, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    make(now=START - 9 * HOUR)
    async with running(data, BackupSettings(folder=folder, hour=4)):
        await anyio.sleep(60)
        assert len(made(folder)) == 1 + 1
    async with running(data, BackupSettings(folder=folder, hour=4)):
        await anyio.sleep(60)
        assert len(made(folder)) == 2


async def test_without_a_folder_there_is_no_backup(data: Path) -> None:
    async with running(data, BackupSettings()):
        await anyio.sleep(48 * HOUR)
    assert not (data / "backups").exists()


async def test_a_failure_is_one_sentence_and_one_alert_and_its_end_another(
    data: Path, tmp_path: Path, lines: list[EventDict]
) -> None:
    folder = tmp_path / "backups"
    folder.touch()
    async with running(data, BackupSettings(folder=folder)):
        await anyio.sleep(AGAIN + 100)
        sentence = (
            f"The backup folder {folder} cannot be written (File exists): change its permissions,"
            " or name another folder."
        )
        wrong = [line["reason"] for line in lines]
        assert wrong == [sentence, f"The daily backup was not made. {sentence}", sentence]
        folder.unlink()
        lines.clear()
        await anyio.sleep(AGAIN)
    assert len(made(folder)) == 1
    events = [(line["event"], line.get("reason", "")) for line in lines]
    assert events[0][0] == "a backup was made"
    assert events[1] == ("an alert is over", "A backup was made again after 2 hours.")


async def test_an_unexpected_error_ends_nothing(data: Path, tmp_path: Path, lines: list[EventDict]) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ValueError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.backup.daily.make_backup", break_down)
        async with running(data, BackupSettings(folder=tmp_path / "backups")):
            await anyio.sleep(FIRST + 1)
    assert lines[0]["event"] == "the daily backup was not made"
    assert "Something went wrong (id " in lines[1]["reason"]


@pytest.mark.parametrize(("hour", "day"), [(11, 29), (12, 29), (13, 28), (0, 29), (23, 28)])
def test_the_last_time_of_an_hour_is_today_or_yesterday(hour: int, day: int) -> None:
    assert last_time(START, hour) == datetime(2026, 11, day, hour, tzinfo=UTC).timestamp()
