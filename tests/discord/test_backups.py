"""What people find after the operator restored a backup."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from anyio import to_thread

from app.backup.create import make_backup
from app.backup.restore import restore
from app.discord import custom_id
from tests.discord.fake import Interaction, Payload, buttons_of
from tests.discord.flows import FOLDER
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, button, ended, files, job_of, modal, words
from tests.discord.test_buttons import OneFileFails, imagined, seed_of, servers
from tests.discord.test_edit import waiting
from tests.discord.test_recovery import imagine
from tests.discord.test_refused_results import ALL, held

anyio_backend = only_on("asyncio")

__all__ = ["servers"]


CHANGES = {"up", "down", "left", "right", "zoom"}
"""Verbs of the buttons that draw more around a picture."""


def nothing() -> None:
    """A breath that takes no time."""


class Presses:
    """Presses buttons, and knows all that are in the messages in which one was pressed."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.pressed: set[str] = set()
        self.seen: set[str] = set()

    def __call__(self, message: Payload, label: str) -> Interaction:
        self.seen |= {verb_of(ident) for ident in buttons_of(message).values()}
        self.pressed.add(verb_of(button(message, label)))
        return self._stage.press(message, label)


def verb_of(ident: str) -> str:
    parsed = custom_id.read(ident)
    assert parsed is not None
    return parsed.verb


async def test_every_button_works_after_a_restore_into_another_folder(
    stage: Stage, servers: list[OneFileFails], tmp_path: Path
) -> None:
    shutil.copytree(FOLDER / "upscale", stage.workflows / "upscale")
    async with stage.bot() as life:
        # The second file that the server has ever made cannot be fetched.
        partly = await imagined(stage, count=2)
        first = await imagined(stage)
        stage.fault(fail_prompt={"count": 1, "status": 400})
        failed = await stage.until("[Retry]", imagine(stage))
        asked = await held(stage)
        stage.discord.fail(path=ALL, status=400, code=50035, times=5)
        stage.go_on()
        await ended(life, job_of(stage.discord.message(asked)))
        unsent = await stage.until("[Send again]", asked)
        edited = await waiting(stage)
        cancelled = stage.discord.slash("txt2img", prompt="an elk", width=64, height=64)
        await stage.until("[Edit]", cancelled)
        # While the bot runs, as each night.
        make = partial(make_backup, stage.data, tmp_path / "backups", now=0.0, breathe=nothing)
        backup = await to_thread.run_sync(make)
        await ended(life, job_of(first))
    shutil.rmtree(stage.data)
    stage.data = tmp_path / "restored"
    await to_thread.run_sync(partial(restore, backup.folder, stage.data, breathe=nothing))
    async with stage.bot() as life:
        servers[-1].repaired = True
        press = Presses(stage)

        press(await stage.until("[Cancel]", cancelled), "Cancel")
        await stage.until("Cancelled", cancelled)
        form = await stage.answered(press(await stage.until("[Edit]", edited), "Edit"))
        stage.discord.submit_modal(form, modal(form) | {"prompt": "a dog"})
        await stage.until("### a dog", edited)
        stage.go_on()
        assert len(files(await stage.result(edited))) == 1

        assert len(files(await stage.result(press(partly, "Fetch again")))) == 2
        assert len(files(await stage.result(press(failed, "Retry")))) == 1
        assert len(files(await stage.result(press(unsent, "Send again")))) == 1
        assert "a cat" in words(await stage.result(press(first, "Again")))
        assert modal(await stage.answered(press(first, "Edit prompt")))["prompt"] == "a cat"
        form = await stage.answered(press(first, "Image to image"))
        made = await stage.result(stage.discord.submit_modal(form, modal(form) | {"prompt": "as a drawing"}))
        # What it was made from is shown beside it.
        assert len(files(made)) == 2
        for label in ("Vary subtle", "Vary strong", "Upscale"):
            result = await stage.result(press(first, label))
            job = await life.journal.find(job_of(result))
            assert job is not None
            assert (job.request.parent, bool(files(result))) == (job_of(first), True)

        details = press(first, "Details")
        assert seed_of(first) in await stage.ephemeral_followup(details)
        copied = await stage.ephemeral_followup(press(stage.discord.message(details), "Copy as command"))
        assert " prompt: a cat seed: " in copied
        more = press(first, "More…")
        await stage.ephemeral_followup(more)
        others = stage.discord.message(more)
        for label, ident in buttons_of(others).items():
            if verb_of(ident) in CHANGES:
                assert files(await stage.result(press(others, label)))
        assert "a cat" in await stage.ephemeral_followup(press(others, "Settings…"))
        await stage.ephemeral_followup(press(others, "Save as my defaults"))
        assert "txt2img" in await life.journal.preferences(job.request.owner)
        press(others, "Delete")
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all, 60)

        assert press.seen - press.pressed == set()
