"""What people find after the operator restored a backup."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from anyio import to_thread

from app.backup.create import make_backup
from app.backup.restore import restore
from tests.discord.stage import Stage, ended, files, job_of, modal, words
from tests.discord.test_buttons import imagined, seed_of
from tests.discord.test_recovery import imagine


def nothing() -> None:
    """A breath that takes no time."""


async def test_every_button_works_after_a_restore_into_another_folder(stage: Stage, tmp_path: Path) -> None:
    async with stage.bot() as life:
        first = await imagined(stage)
        stage.fault(fail_prompt={"count": 1, "status": 400})
        failed = await stage.until("[Retry]", imagine(stage))
        stage.hold()
        waiting = imagine(stage)
        await stage.until("[Cancel]", waiting)
        # While the bot runs, as each night.
        make = partial(make_backup, stage.data, tmp_path / "backups", now=0.0, breathe=nothing)
        backup = await to_thread.run_sync(make)
        await ended(life, job_of(first))
    shutil.rmtree(stage.data)
    stage.data = tmp_path / "restored"
    await to_thread.run_sync(partial(restore, backup.folder, stage.data, breathe=nothing))
    stage.go_on()
    async with stage.bot():
        assert len(files(await stage.result(waiting))) == 1
        assert "a cat" in words(await stage.result(stage.press(first, "Again")))
        edited = await stage.answered(stage.press(first, "Edit prompt"))
        assert modal(edited)["prompt"] == "a cat"
        opened = await stage.answered(stage.press(first, "Image to image"))
        made = await stage.result(stage.discord.submit_modal(opened, modal(opened) | {"prompt": "as a drawing"}))
        # What it was made from is shown beside it.
        assert len(files(made)) == 2
        assert len(files(await stage.result(stage.press(failed, "Retry")))) == 1
        assert seed_of(first) in await stage.details(first)
        shown = await stage.answered(await stage.delete(first))
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all, 60)
        assert shown.response is not None
