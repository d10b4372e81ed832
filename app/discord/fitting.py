"""Results as uploads: sizes that Discord takes, names that it takes, and nothing inside that was not to be posted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import structlog
from anyio import to_thread

from app.discord.blocks import Upload
from app.discord.fit import fit

logger = structlog.stdlib.get_logger(__name__)

LONGEST_STEM = 40


class Fitting:
    """See `app.discord.world.Fit`. `keep_metadata` leaves the workflow in what is posted."""

    def __init__(self, *, keep_metadata: bool) -> None:
        self._keep_metadata = keep_metadata

    async def __call__(self, files: Sequence[str], limit: int) -> tuple[list[Upload], list[str]]:
        """See `app.discord.world.Fit`."""
        return await to_thread.run_sync(self._fit, files, limit) if files else ([], [])

    def _fit(self, files: Sequence[str], limit: int) -> tuple[list[Upload], list[str]]:
        uploads: list[Upload] = []
        notes: dict[str, None] = {}
        for number, file in enumerate(files):
            path = Path(file)
            try:
                found = fit(path, limit, keep_metadata=self._keep_metadata)
                size = path.stat().st_size
            except OSError:
                notes["A file is no longer kept."] = None
                continue
            if found is None:
                logger.warning("a result is too large for Discord, and kept", path=file)
                told = f"{size / 2**20:.1f} MB"
                notes[f"A file of {told} is too large for Discord here; whoever runs this bot has it."] = None
                continue
            if found.note:
                notes[f"It is {found.note}, to be small enough for Discord; the original is kept."] = None
            uploads.append(Upload(_name(path, number, found.suffix), data=found.data))
        return uploads, list(notes)


def _name(path: Path, number: int, suffix: str) -> str:
    """A name that Discord does not change, so that the message finds its files by it."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_")[-LONGEST_STEM:] or "result"
    return f"{stem}-{number + 1}{suffix}"
