"""People are notified of results that took long, in the way that they chose."""

from __future__ import annotations

from tests.discord.fake import Payload
from tests.discord.stage import Stage, parts, words


def chosen(message: Payload) -> list[str]:
    """The labels of the buttons that stand out."""
    return [part["label"] for part in parts(message) if part.get("type") == 2 and part["style"] == 1]


async def test_settings_show_and_change_how_a_person_is_notified(stage: Stage) -> None:
    async with stage.bot(notify="dm") as life:
        opened = await stage.answered(stage.discord.slash("settings"))
        message = await stage.until("[Mention me]", opened)
        assert chosen(message) == ["Direct message"]
        stage.press(message, "Never")
        changed = await stage.until("I do not notify you", opened)
        assert chosen(changed) == ["Never"]
        assert "no saved settings" in words(changed)
        person = stage.discord.state.alice.id
        assert await life.journal.preferences(person) == {"/notify": {"way": "never"}}
    async with stage.bot(notify="dm"):
        again = await stage.until("I do not notify you", await stage.answered(stage.discord.slash("settings")))
        assert chosen(again) == ["Never"]
        reset = stage.discord.slash("settings", reset="everything")
        assert chosen(await stage.until("[Mention me]", reset)) == ["Direct message"]


async def test_settings_offer_no_choice_where_the_operator_allows_no_notifications(stage: Stage) -> None:
    async with stage.bot(notify="off"):
        message = await stage.until("no saved settings", stage.discord.slash("settings"))
        assert "Notifications" not in words(message)
