"""Threads, and the posts of forums, which are threads."""

from __future__ import annotations

from tests.discord.fake import Interaction, Payload
from tests.discord.fake.world import Channel
from tests.discord.stage import Stage, ended, files, job_of, words


def imagine(stage: Stage, channel: Channel) -> Interaction:
    return stage.discord.slash("txt2img", {"prompt": channel.name, "width": 64, "height": 64}, channel=channel)


def results(stage: Stage) -> dict[str, Payload]:
    """Each result by its prompt."""
    shown = [message for message in stage.discord.messages if "[Again]" in words(message)]
    return {next(line for line in words(message).splitlines() if line)[4:]: message for message in shown}


async def test_a_thread_and_a_post_of_a_forum_are_places_like_any_other(stage: Stage) -> None:
    forum = stage.discord.open_forum("gallery")
    places = [stage.discord.open_thread("a cat"), stage.discord.open_thread("a dog", parent=forum)]
    async with stage.bot():
        for place in places:
            message = await stage.result(imagine(stage, place))
            assert message["channel_id"] == place.id
            again = await stage.result(stage.press(message, "Again"))
            assert (again["channel_id"], len(files(again))) == (place.id, 1)


async def test_no_result_is_lost_if_its_thread_is_archived_locked_or_deleted_meanwhile(stage: Stage) -> None:
    open_thread, forum = stage.discord.open_thread, stage.discord.open_forum("gallery")
    archived, locked = (open_thread(name) for name in ("archived", "locked"))
    old_post, gone = (open_thread(name, parent=forum) for name in ("old post", "gone"))
    async with stage.bot() as life:
        stage.hold()
        asked = {place.name: imagine(stage, place) for place in (archived, locked, old_post, gone)}
        jobs = [job_of(await stage.until("[Cancel]", each)) for each in asked.values()]
        archived.archived = old_post.archived = locked.locked = True
        stage.discord.remove(gone)
        stage.go_on()
        for job in jobs:
            await ended(life, job)
        brought = results(stage)
    direct = stage.discord.dm().id
    # A new message takes a thread out of the archive; nothing else does.
    assert {name: message["channel_id"] for name, message in brought.items()} == {
        "archived": archived.id,
        "old post": old_post.id,
        "locked": direct,
        "gone": direct,
    }
    assert all(len(files(message)) == 1 for message in brought.values())
    for name in ("archived", "old post"):
        assert "Your result is in another message" in words(stage.discord.message(asked[name]))
