"""Which result files are downloaded now, which wait for a lane, and when one that failed is tried again. Pure.

All limits on downloads except those of one transfer are here; `app.comfy.response_limits` has those: bytes, seconds and
the lowest rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from msgspec import Struct

from app.core.effects import FetchFile
from app.events import JobId, ServerName

LANES = 24
"""Concurrent downloads from one server. Half of the connections stay free for other requests."""

LANES_OF_PERSON = 8
"""Lanes that one person's files may take, so that others' files need not wait for slow ones."""

LANES_OF_JOB = 4
"""Lanes that one job's files may take. More do not make a download faster, and a person has several jobs."""

MOST_TRIES = 6
"""Tries of one file while its server answers queries; after that the server cannot send the file."""

LONGEST = 3600.0
"""Seconds from the first try of a file to the start of the last one, while its server answers queries."""

PAUSES = (0.1, 0.5, 2.0, 8.0, 20.0)
"""Seconds before the next try, by the number of tries so far."""

WAIT = 2.0
"""Seconds before the next try if the server is not to blame: our disk is full, for example."""

NEVER = float("inf")


class Download(Struct):
    """One file that is wanted. Times are in seconds of the application's clock."""

    effect: FetchFile
    owner: str
    running: bool = False
    tries: int = 0
    due: float = float("-inf")
    since: float = NEVER
    """When its first try began that counts."""
    no_room: bool = False
    """Whether our disk was full at its last try."""


class Downloads:
    """Owns the wanted files of all jobs, in the order in which they became known."""

    def __init__(self) -> None:
        self._downloads: dict[FetchFile, Download] = {}
        self._abandoned: set[FetchFile] = set()
        """Transfers of jobs that no longer want them: each occupies its lane until it ends."""
        self.due = NEVER
        """The next time at which a file is to be tried again; files that wait for a lane or a server need no time."""

    def want(self, effect: FetchFile, owner: str) -> None:
        """Add a file."""
        self._downloads[effect] = Download(effect, owner)

    def drop(self, job: JobId) -> None:
        """Forget a job's files."""
        for effect, download in [pair for pair in self._downloads.items() if pair[0].job == job]:
            del self._downloads[effect]
            if download.running:
                self._abandoned.add(effect)

    def over(self, effect: FetchFile) -> None:
        """Free the lane of a transfer that ended, whatever came of it."""
        self._abandoned.discard(effect)
        if (download := self._downloads.get(effect)) is not None:
            download.running = False

    def done(self, effect: FetchFile) -> None:
        """Forget a file that arrived, or that will never arrive."""
        self._downloads.pop(effect, None)

    def failed(self, effect: FetchFile, now: float, *, counts: bool) -> bool:
        """Plan another try; return False if there is none left. `counts` is whether the server is to blame."""
        download = self._downloads.get(effect)
        if download is None:
            return True
        download.tries += counts
        if download.tries >= MOST_TRIES or now - download.since > LONGEST:
            return False
        download.due = now + (PAUSES[min(download.tries, len(PAUSES)) - 1] if counts else WAIT)
        return True

    def no_room(self, effect: FetchFile, *, is_full: bool) -> None:
        """Note whether our disk had no room for a file."""
        if (download := self._downloads.get(effect)) is not None:
            download.no_room = is_full

    @property
    def waits_for_room(self) -> bool:
        """Whether a file waits until our disk has room."""
        return any(download.no_room for download in self._downloads.values())

    def server_away(self, server: ServerName) -> None:
        """Forget the failures of a server that cannot be reached: they prove nothing about a file."""
        for download in self._of(server):
            download.tries, download.since, download.no_room = 0, NEVER, False

    def server_back(self, server: ServerName) -> None:
        """Try all files of a server at once."""
        for download in self._of(server):
            download.due = float("-inf")

    def start(self, now: float, reachable: Collection[ServerName]) -> list[FetchFile]:
        """Occupy free lanes with files that are due, and return these; called after each batch of messages."""
        self.due = NEVER
        if not self._downloads:
            return []
        running = [*self._abandoned, *(effect for effect, download in self._downloads.items() if download.running)]
        lanes = Counter(effect.server for effect in running)
        of_job = Counter((effect.server, effect.job) for effect in running)
        of_person = Counter(
            (download.effect.server, download.owner) for download in self._downloads.values() if download.running
        )
        started: list[FetchFile] = []
        for effect, download in self._downloads.items():
            server, job, person = effect.server, (effect.server, effect.job), (effect.server, download.owner)
            if download.running or server not in reachable:
                continue
            if now < download.due:
                self.due = min(self.due, download.due)
                continue
            if lanes[server] >= LANES or of_job[job] >= LANES_OF_JOB or of_person[person] >= LANES_OF_PERSON:
                continue
            lanes[server] += 1
            of_job[job] += 1
            of_person[person] += 1
            download.running, download.since = True, min(download.since, now)
            started.append(effect)
        return started

    def _of(self, server: ServerName) -> list[Download]:
        return [download for download in self._downloads.values() if download.effect.server == server]
