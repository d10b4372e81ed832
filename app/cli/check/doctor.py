"""What `check` looks at besides workflows and servers: Discord, the clock, the disk, the journal and the backups."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from anyio import to_thread

from app.cli.arguments.program import PROGRAM
from app.cli.check.engine import examine_engine
from app.cli.workflows.commands import Verdict
from app.config.settings import BackupSettings, Config
from app.config.tables.page import page_advice, page_url
from app.core.journal_port import JournalError
from app.texts.wording import ended, listed

LITTLE_SPACE, NO_SPACE = 2**30, 64 * 2**20
"""Bytes of free disk below which there is a warning, and below which results and the journal are at risk."""

WRONG_CLOCK = 60.0
"""Seconds of difference from Discord's clock: interactions of Discord are only valid for a time."""


async def examine(config: Config, journal: Path | JournalError) -> list[Verdict]:
    """Check everything that belongs to this machine and to Discord. `journal` is its path, or why there is none."""
    here = await to_thread.run_sync(lambda: [*_disk(config.data), _journal(journal), *_backups(config.backup)])
    wrong: list[Verdict] = [(False, "http", config.http.problem)] if config.http.problem else []
    return [*await _discord(config), *here, *wrong, *_page(config), *await examine_engine(config)]


async def _discord(config: Config) -> list[Verdict]:
    if not config.discord_token:
        return [(None, "Discord", f"no DISCORD_TOKEN is set: run “{PROGRAM} setup” for a bot in Discord")]
    # Imported only here: hikari takes half a second.
    from app.discord.gateway.account import read_account
    from app.discord.gateway.outage import SetupError

    try:
        account = await read_account(config.discord_token, config.discord.rest_url)
    except SetupError as error:
        return [(False, "Discord", ended(str(error)))]
    guilds = listed([guild.name for guild in account.guilds])
    lines: list[Verdict] = [(True, "Discord", f"{account.name}, in {guilds}" if guilds else account.name)]
    if not account.guilds:
        lines.append((False, "", f"The bot is in no Discord server yet: invite it with {account.invite_link}"))
    for guild in account.guilds:
        if guild.missing:
            fix = f"give its role there these permissions, or invite it again with {account.invite_link}"
            lines.append((False, guild.name, f"The bot lacks {listed(guild.missing)}: {fix}"))
    known = {guild.id for guild in account.guilds}
    for key, ids in (("guilds", config.discord.guilds), ("label_guilds", config.discord.label_guilds)):
        if account.guilds and (unknown := [str(guild) for guild in ids if guild not in known]):
            lines.append((False, key, f"The bot is not in {listed(unknown)}: invite it, or correct “{key}”."))
    ahead = account.clock_ahead
    if ahead is not None and abs(ahead) > WRONG_CLOCK:
        direction = "ahead" if ahead > 0 else "behind"
        lines.append((False, "clock", f"It is {abs(ahead):.0f} s {direction}: let the system set it by itself."))
    elif ahead is not None:
        lines.append((True, "clock", "as Discord's"))
    return lines


def _disk(data: Path) -> Iterator[Verdict]:
    existing = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        yield (False, "disk", f"{existing} cannot be written to: change its permissions, or set ATELIER_DATA.")
        return
    free = shutil.disk_usage(existing).free
    details = f"{free / 2**30:.1f} GB free for {data}"
    if free < NO_SPACE:
        yield (False, "disk", f"{details}: make room.")
    elif free < LITTLE_SPACE:
        yield (None, "disk", f"{details}: make room, or set “size” in [retention] so that old results are deleted.")
    else:
        yield (True, "disk", details)


def _journal(journal: Path | JournalError) -> Verdict:
    from app.journal.inspection import inspect

    if isinstance(journal, JournalError):
        return (False, "journal", str(journal))
    if not journal.exists():
        return (None, "journal", "none yet: the bot has not run here")
    try:
        inspection = inspect(journal)
    except JournalError as error:
        return (False, "journal", str(error))
    return (True, "journal", f"{inspection.jobs} jobs, of which {inspection.unfinished} are unfinished")


def _page(config: Config) -> Iterator[Verdict]:
    """What keeps the page from being served, or what could be better with it; nothing if it is off."""
    if not config.page.enabled:
        return
    if config.page.problem:
        # What is wrong with [http] has a line of its own.
        if not config.http.problem:
            yield (False, "page", config.page.problem)
        return
    yield (True, "page", f"served at {page_url(config.page, config.http)}")
    for sentence in page_advice(config):
        yield (None, "", sentence)


def _backups(settings: BackupSettings) -> Iterator[Verdict]:
    """How old the newest backup is, if the bot makes them by itself."""
    from app.backup.daily import INTERVAL
    from app.backup.errors import BackupError
    from app.backup.layout import newest_backup

    folder = settings.folder
    if folder is None:
        return
    try:
        made = newest_backup(folder)
    except BackupError as error:
        yield (False, "backup", str(error))
        return
    fix = f"look for the reason in the bot's log, or run “{PROGRAM} backup --to {folder}”."
    age = time.time() - made
    if not made:
        yield (None, "backup", f"There is none in {folder}: {fix}")
    elif age > 2 * INTERVAL:
        yield (None, "backup", f"The newest is {_age(age)} old, and one is due each day: {fix}")
    else:
        yield (True, "backup", f"the newest is {_age(age)} old")


def _age(seconds: float) -> str:
    hours = max(0, round(seconds / 3600))
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
