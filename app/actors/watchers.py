"""Who watches which job, and what they are sent of it."""

from __future__ import annotations

from app.actors.handle import UpdateOfJob, Updates, UpdatesOfJobs, Watch
from app.boundary import report_failure
from app.core.jobs import editing
from app.core.jobs.table import JobTable
from app.core.scheduling.line.line import Line
from app.events import TERMINAL_UPDATES, AnyUpdate, JobId


class Watchers:
    """Owns the watchers of all jobs. What is asked for during a turn of the registry is sent by `send` at its end."""

    def __init__(self, job_table: JobTable, line: Line) -> None:
        self._job_table = job_table
        self._line = line
        self._watchers: dict[JobId, list[Updates]] = {}
        self._watchers_of_all: list[UpdatesOfJobs] = []
        self._arrivals: list[Watch] = []
        self._refreshes: dict[JobId, None] = {}

    def add(self, job: JobId, updates: Updates) -> None:
        """Send the updates of a job that was just accepted, with its place in line first."""
        self._watchers.setdefault(job, []).append(updates)

    def join(self, watch: Watch) -> None:
        """Send the present state of a job that was accepted earlier, and its updates from then on."""
        self._arrivals.append(watch)

    def add_to_all(self, updates: UpdatesOfJobs) -> None:
        """Send the updates of all jobs."""
        self._watchers_of_all.append(updates)

    def refresh(self, job: JobId) -> None:
        """Send the watchers of a job where it is in line now, if that has changed."""
        self._refreshes[job] = None

    def end(self, job: JobId) -> None:
        """End the updates of a job."""
        for mailbox in self._watchers.pop(job, []):
            mailbox.end()

    def send(self, now: float) -> None:
        """Send what was asked for, and the updates that the job table has collected."""
        for watch in self._arrivals:
            self._start(watch, now)
        self._arrivals.clear()
        self._refresh(now)
        for update in self._job_table.updates:
            self._send(update)
        self._job_table.updates.clear()

    def _send(self, update: AnyUpdate) -> None:
        watchers = self._watchers.get(update.job, [])
        for mailbox in tuple(watchers):
            if not mailbox.put(update):
                watchers.remove(mailbox)
        if self._watchers_of_all and (job := self._job_table.jobs.get(update.job)) is not None:
            for each in tuple(self._watchers_of_all):
                if not each.put(UpdateOfJob(update, job)):
                    self._watchers_of_all.remove(each)
        if isinstance(update, TERMINAL_UPDATES):
            self.end(update.job)

    def _refresh(self, now: float) -> None:
        """Send those who asked where their jobs are in line now."""
        refreshes, self._refreshes = self._refreshes, {}
        for job in refreshes:
            try:
                self._line.refresh(job, now)
            except Exception as error:  # noqa: BLE001  the job goes on, and its watcher keeps what it knew
                report_failure(error, "the place of a job in line could not be computed", job=job)

    def _start(self, watch: Watch, now: float) -> None:
        """Send a new watcher the current state of its job; updates of this turn follow with the rest."""
        job, updates = self._job_table.jobs.get(watch.job), watch.updates
        if job is None or job.notified:
            updates.end()
        elif (final := self._job_table.final_update(job)) is not None and final not in self._job_table.updates:
            updates.put(final)
            # Until it has been shown, the job may still be cancelled.
            self.add(watch.job, updates)
        else:
            self.add(watch.job, updates)
            if job.edits:
                # The watcher may know an earlier request.
                updates.put(editing.edited_update(job))
            try:
                for update in self._line.snapshot(job, now):
                    updates.put(update)
            except Exception as error:  # noqa: BLE001  the job continues, and its watcher gets the next updates
                report_failure(error, "the state of a job could not be sent", job=job.id)
