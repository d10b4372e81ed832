"""The command `forget`: removes what is kept about one person, after it has said what that is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from app.cli.arguments.program import PROGRAM
from app.core.journal_port import KeptAbout
from app.journal.store import Store
from app.retention.forget import Kept, forget, look_up
from app.system.standard_streams import complain
from app.texts.wording import listed


def forget_person(console: Console, store: Store, data: Path, user: int, *, yes: bool) -> int:
    """Say what is kept about a person, and remove it if `yes`; return the exit code."""
    owner = str(user)
    kept = look_up(store, data, owner)
    removed = list(_removed(kept))
    if refusal := _refusal(kept):
        complain(refusal)
        return 1
    if not removed:
        _print(console, f"The bot keeps nothing about {owner}.")
    elif not yes:
        _print(console, f"This would be removed about {owner}: {listed(removed)}.")
        _print(console, f"To remove it, which cannot be undone: {PROGRAM} forget {owner} --yes")
    elif left := forget(store, kept, owner):
        complain(f"{_count(left, 'file')} cannot be deleted: change their permissions, then run the command again.")
        return 1
    else:
        _print(console, f"Removed about {owner}: {listed(removed)}.")
        _print(
            console,
            "What else may have something: backups, until they are deleted; the history and the output folder of each"
            " ComfyUI; the messages in Discord.",
        )
    for line in _kept_anyway(kept.rows):
        _print(console, line)
    return 0


def _refusal(kept: Kept) -> str:
    if unfinished := kept.rows.unfinished:
        jobs = _count(unfinished, "unfinished job")
        return f"this person has {jobs}: wait until they end, or end them with “{PROGRAM} jobs cancel ID”."
    if kept.used:
        return "an unfinished job of somebody else needs a file of this person: run this again when it has ended."
    return ""


def _removed(kept: Kept) -> Iterator[str]:
    rows = kept.rows
    size = sum(file.size for file in kept.files) / 2**20
    counts = {
        "job": rows.jobs,
        "saved setting": rows.settings,
        "unfinished form": rows.drafts,
        "shown hint": rows.hints,
    }
    yield from (_count(number, name) for name, number in counts.items() if number)
    if kept.files:
        yield f"{_count(len(kept.files), 'file')} ({size:.1f} MB)"
    # Their sums stay.
    named = {"measured run": rows.runs, "payment": rows.payments}
    yield from (f"the id in {_count(number, name)}" for name, number in named.items() if number)


def _kept_anyway(rows: KeptAbout) -> Iterator[str]:
    if rows.bans:
        yield f"Not removed: {_count(rows.bans, 'ban')} of this person. A moderator lifts a ban with /unban."
    if rows.decisions:
        yield f"Not removed: {_count(rows.decisions, 'decision')} that this person made as a moderator."


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def _print(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
