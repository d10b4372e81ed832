"""The newest preview of each request that runs, as pages may load it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import Struct

from app.events import JobId, Previewed

SHOWN = frozenset({"image/jpeg", "image/png", "image/webp"})
"""What a page shows as a picture. ComfyUI sends the first two."""


class Preview(Struct):
    """A preview: its bytes, their media type, and its version, which grows."""

    image: bytes
    media_type: str
    version: int
    is_marked: bool = False


class LivePreviews:
    """Owns one preview for each request that runs. `mark` marks a picture as made by a machine; None marks nothing.

    New ones are shown at most every so many seconds, because each page loads each one.
    """

    def __init__(self, mark: Callable[[bytes], bytes] | None, first_version: int) -> None:
        self._mark = mark
        self._version = first_version
        self._arrived: dict[JobId, Previewed] = {}
        """Those that are not shown yet."""
        self._shown: dict[JobId, Preview] = {}
        self._next_at: dict[JobId, float] = {}
        """When the next one of each job may be shown."""

    def put(self, update: Previewed) -> None:
        """Take a preview that has arrived."""
        if update.media_type in SHOWN:
            self._arrived[update.job] = update

    def show(self, job: JobId, now: float, pause: float) -> int:
        """Show the newest preview of a job, unless the last one is newer than `pause` seconds; return the version."""
        if job in self._arrived and now >= self._next_at.get(job, now):
            update = self._arrived.pop(job)
            self._version += 1
            self._shown[job] = Preview(update.image, update.media_type, self._version)
            self._next_at[job] = now + pause
        shown = self._shown.get(job)
        return shown.version if shown is not None else 0

    def get(self, job: JobId) -> Preview | None:
        """The preview that is shown of a job, marked."""
        preview = self._shown.get(job)
        if preview is not None and self._mark is not None and not preview.is_marked:
            # Only once somebody loads it, and once for all.
            preview.image, preview.is_marked = self._mark(preview.image), True
        return preview

    def keep(self, jobs: Collection[JobId]) -> None:
        """Forget the previews of all but these jobs."""
        for previews in (self._arrived, self._shown, self._next_at):
            for job in [job for job in previews if job not in jobs]:
                del previews[job]
