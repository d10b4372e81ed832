"""A bot that makes backups by itself, as a process."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from app.backup.layout import backups_in, read_contents
from tests.discord.fake import FakeDiscord
from tests.process.bot import bot, send_signal, until

SETTINGS = """
[discord]
keep_metadata = true
mark_results = false
[backup]
folder = "copies"
[retention]
jobs = 30
"""


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the bot's is a parameter."""
    return "asyncio"


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_a_bot_makes_its_daily_backup_and_stops_as_usual(
    discord: FakeDiscord, tmp_path: Path, backend: str
) -> None:
    (tmp_path / "atelier.toml").write_text(SETTINGS)
    async with bot(discord, tmp_path, backend) as process:
        await until(lambda: bool(backups_in(tmp_path / "copies")))
        send_signal(process, signal.SIGTERM)
        assert await process.wait() == 0
    (backup,) = backups_in(tmp_path / "copies")
    assert read_contents(backup).data == str(tmp_path / "data")
    assert not backup.stat().st_mode & 0o077
