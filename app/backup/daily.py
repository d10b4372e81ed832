"""DailyBackup: makes a backup each day while the bot runs, and alerts the operator if that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import structlog
from anyio import from_thread, to_thread

from app.actors.alerts import Alerts
from app.backup.create import make_backup
from app.backup.errors import BackupError
from app.backup.layout import newest_backup
from app.boundary import report_failure
from app.config.settings import BackupSettings
from app.core.alerts import Cause
from app.core.journal_port import JournalError
from app.entry_points import run_loop
from app.journal.copies.copying import Breathe
from app.ports import RunSync
from app.reasons.alerts import BackupFailed

logger = structlog.stdlib.get_logger(__name__)

FIRST = 5.0
"""Seconds until the first look, so that a backup that was missed does not slow down the start of the bot."""

LOOK = 60.0
"""Seconds between two looks at the clock, which the operator or a sleep of the machine may change."""

INTERVAL = 24 * 3600.0
"""Seconds between two backups."""

AGAIN = 3600.0
"""Seconds until the next attempt after a failure."""

WORK = 0.01
BREATH = 0.002
"""Seconds of work, and seconds of the pause that follows, in which commits and downloads get the disk."""

FAILED = Cause("backup")


class DailyBackup:
    """Backs up `data` into the folder of `settings`; does nothing without one. `clock` is in seconds since 1970.

    `run_sync` and `new_breath` can be passed in where time is virtual: no thread can be used there.
    """

    def __init__(
        self,
        settings: BackupSettings,
        data: Path,
        alerts: Alerts,
        *,
        clock: Callable[[], float] = time.time,
        run_sync: RunSync = to_thread.run_sync,
        new_breath: Callable[[], Breathe] | None = None,
    ) -> None:
        self._settings = settings
        self._data = data
        self._alerts = alerts
        self._clock = clock
        self._run_sync = run_sync
        self._new_breath = new_breath or Breath
        self._made: float | None = None
        """When the newest backup was made; None until that was looked up."""

    async def run(self) -> None:
        """Run until cancelled."""
        if (folder := self._settings.folder) is not None:
            await anyio.sleep(FIRST)
            await run_loop(partial(self._step, folder), "the daily backup broke")

    async def _step(self, folder: Path) -> float:
        try:
            return await self._back_up_when_due(folder)
        except (BackupError, JournalError) as error:
            reason = str(error)
            logger.error("the daily backup was not made", reason=reason)
        except Exception as error:  # noqa: BLE001  the boundary of one backup
            reason = report_failure(error, "the daily backup was not made")
        self._alerts.raised(FAILED, BackupFailed(reason))
        return AGAIN

    async def _back_up_when_due(self, folder: Path) -> float:
        if self._made is None:
            self._made = await self._run_sync(newest_backup, folder)
        now = self._clock()
        if self._made < last_time(now, self._settings.hour):
            breathe, most = self._new_breath(), self._settings.keep
            make = partial(make_backup, self._data, folder, now=now, breathe=breathe, most=most)
            backup = await self._run_sync(make)
            self._made = now
            self._alerts.cleared(FAILED)
            jobs, files = backup.contents.jobs, len(backup.contents.files)
            logger.info("a backup was made", path=str(backup.folder), jobs=jobs, files=files)
        return LOOK


class Breath:
    """Lets others get on, and stops the work if the task that waits for its thread was cancelled.

    Called between two pieces of the work, from a thread of `anyio.to_thread`.
    """

    def __init__(self) -> None:
        self._pause_at = time.monotonic() + WORK

    def __call__(self) -> None:
        """Pause if it is time. Raises the exception of cancellation."""
        from_thread.check_cancelled()
        if time.monotonic() >= self._pause_at:
            time.sleep(BREATH)
            self._pause_at = time.monotonic() + WORK


def last_time(now: float, hour: int) -> float:
    """When it was last this hour, where the bot runs; both in seconds since 1970."""
    local = datetime.fromtimestamp(now).astimezone()
    at = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    return (at if at <= local else at - timedelta(days=1)).timestamp()
