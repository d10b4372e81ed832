"""Results as uploads: sizes that Discord takes, names that it takes, and nothing inside that was not to be posted."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from anyio import to_thread

from app.discord.blocks import Upload
from app.discord.budget import Budget
from app.discord.fit import fit

logger = structlog.stdlib.get_logger(__name__)

LONGEST_STEM = 40

AT_ONCE = 64 * 2**20
"""Bytes of results in memory, until Discord has them: after an outage a hundred may want to be told at once."""


class Fitting:
    """See `app.discord.world.Fit`. `keep_metadata` leaves the workflow in what is posted."""

    def __init__(self, *, keep_metadata: bool) -> None:
        self._keep_metadata = keep_metadata
        self._budget = Budget(AT_ONCE)

    @asynccontextmanager
    async def __call__(self, files: Sequence[str], limit: int) -> AsyncGenerator[tuple[list[Upload], list[str]]]:
        """See `app.discord.world.Fit`."""
        if not files:
            yield [], []
            return
        async with self._budget.carrying(await to_thread.run_sync(_weight, files, limit)):
            yield await to_thread.run_sync(self._fit, files, limit)

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


def _weight(files: Sequence[str], limit: int) -> int:
    """Bytes that these will be in the end, at most."""
    paths = [Path(file) for file in files]
    return sum(min(path.stat().st_size, limit) for path in paths if path.is_file())


def _name(path: Path, number: int, suffix: str) -> str:
    """A name that Discord does not change, so that the message finds its files by it."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_")[-LONGEST_STEM:] or "result"
    return f"{stem}-{number + 1}{suffix}"
