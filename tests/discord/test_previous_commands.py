"""What the previous version made with its /imagine, the command of one workflow, still works.

`tests/data/journals/imagine.json` has the journal and the message of one job that it made, whose settings were saved:
`folder` is its data folder.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from app.journal.opening import JOURNAL
from tests.discord.fake import Payload
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, files, job_of, modal, photo, words

anyio_backend = only_on("asyncio")

BEFORE = Path(__file__).parents[1] / "data" / "journals" / "imagine.json"


def restore(stage: Stage) -> Payload:
    """Give the bot that journal, its result and its message; return the message."""
    text = BEFORE.read_text("utf-8")
    folder = str(json.loads(text)["folder"])
    # Records are stored as blobs, which the dump has in hexadecimal.
    text = text.replace(folder.encode().hex().upper(), str(stage.data).encode().hex().upper())
    before: Payload = json.loads(text)
    stage.data.mkdir()
    with sqlite3.connect(stage.data / JOURNAL) as journal:
        journal.executescript("\n".join(before["sql"]))
        journal.execute(f"PRAGMA user_version = {before['version']}")
        record = json.loads(journal.execute("SELECT record FROM jobs").fetchone()[0])
    journal.close()
    result = Path(record["last_word"]["files"][0])
    result.parent.mkdir(parents=True)
    result.write_bytes(photo().content)
    message: Payload = before["message"]
    stage.discord.state.messages.all[message["id"]] = message
    return message


async def test_buttons_of_its_message_make_new_pictures_and_its_result_is_shown_again(stage: Stage) -> None:
    message = restore(stage)
    async with stage.bot():
        again = await stage.result(stage.press(message, "Again"))
        assert "a cat in the rain" in words(again)
        assert "**Steps** 7 " in await stage.details(again)
        opened = await stage.answered(stage.press(message, "Edit prompt"))
        assert modal(opened)["prompt"] == "a cat in the rain"
        changed = await stage.result(stage.discord.submit_modal(opened, {**modal(opened), "prompt": "a dog"}))
        assert "a dog" in words(changed)
        shown = await stage.result(stage.discord.slash("show", job=job_of(message)))
        assert len(files(shown)) == 1


async def test_settings_that_were_saved_for_it_count_for_both_commands(stage: Stage) -> None:
    restore(stage)
    async with stage.bot():
        for command in ("imagine", "txt2img"):
            made = await stage.result(stage.discord.slash(command, {"prompt": "a bird"}))
            told = await stage.details(made)
            assert "**Steps** 7 " in told
            assert "64" in words(made)
        assert "Steps" in await stage.ephemeral_followup(stage.discord.slash("settings"))
