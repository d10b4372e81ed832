"""/jobs and /queue, as people use them: pages, filters, thumbnails, and what others may read."""

from __future__ import annotations

from app.core.gallery import Audience, GalleryQuery
from tests.discord.fake import Interaction, Payload
from tests.discord.fake.world import VIEW_CHANNEL, Channel, Person
from tests.discord.one_backend import only_on
from tests.discord.stage import EPHEMERAL, Stage, button, ended, files, job_of, parts, words

anyio_backend = only_on("trio")

SMALL = {"width": 64, "height": 64}


async def listed(stage: Stage, command: str, **more: object) -> Payload:
    """The answer to /jobs or /queue."""
    asked = stage.discord.slash(command, {}, **more)  # pyright: ignore[reportArgumentType]
    await stage.ephemeral_followup(asked)
    return stage.discord.message(asked)


async def asked_for(stage: Stage, prompt: str, user: Person, channel: Channel | None = None) -> Interaction:
    asked = stage.discord.slash("txt2img", {"prompt": prompt, **SMALL}, user=user, channel=channel)
    await stage.until("[Cancel]", asked)
    return asked


async def test_the_queue_shows_what_others_asked_for_only_where_one_may_look(stage: Stage) -> None:
    discord = stage.discord
    alice, bob, carol = discord.alice, discord.person("bob"), discord.person("carol", roles=["77"])
    discord.guild.roles["77"] = 1
    secret = discord.open_channel("secret")
    secret.overwrites = [
        {"id": discord.guild.id, "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)},
        {"id": "77", "type": 0, "allow": str(VIEW_CHANNEL), "deny": "0"},
    ]
    thread = discord.open_thread("private")
    thread.private, thread.members = True, {carol.id}
    async with stage.bot():
        stage.hold()
        await asked_for(stage, "a public fox", bob)
        await asked_for(stage, "a secret owl", carol, secret)
        await asked_for(stage, "a threaded cat", carol, thread)
        await asked_for(stage, "a direct dog", carol, discord.dm(carol))
        for person, seen in ((bob, 1), (carol, 4), (alice, 3)):
            text = words(await listed(stage, "queue", user=person))
            prompts = ("a public fox", "a secret owl", "a threaded cat", "a direct dog")
            assert [prompt in text for prompt in prompts] == [number < seen for number in range(4)], person.name
            assert text.count("A private request") == 4 - seen
            assert (f"<@{carol.id}>" in text) == (person is not bob)
        page = await listed(stage, "queue", user=bob)
        assert page["flags"] & EPHEMERAL
        stage.discord.click(page, button(page, "Refresh"), user=bob)
        await discord.until(lambda: len(discord.history(page["id"])) > 2)


async def test_jobs_are_turned_page_by_page_and_filtered(stage: Stage) -> None:
    discord = stage.discord
    async with stage.bot() as life:
        page = await listed(stage, "jobs")
        assert "You have not made anything yet." in words(page)
        assert "</help:" in words(page)
        for number in range(3):
            done = await stage.result(discord.slash("txt2img", {"prompt": f"done {number}", **SMALL}))
            await ended(life, job_of(done))
        stage.hold()
        for number in range(7):
            await asked_for(stage, f"wait {number}", discord.alice)
        page = await listed(stage, "jobs")
        assert prompts(page) == [f"wait {number}" for number in range(6, -1, -1)] + ["done 2"]
        assert len(files(page)) == 1, "the thumbnail of what is done"
        older = await turned(stage, page, "Older")
        assert prompts(older) == ["done 1", "done 0"]
        assert len(files(older)) == 2
        back = await turned(stage, older, "Newer")
        assert prompts(back) == prompts(page)
        finished = await chosen(stage, back, 3)
        assert prompts(finished) == ["done 2", "done 1", "done 0"]
        assert "[Older]" not in words(finished)
        assert "You have no such jobs." in words(await chosen(stage, finished, 4))


async def test_a_page_button_shows_ones_own_jobs_whoever_the_page_was_for(stage: Stage) -> None:
    discord = stage.discord
    async with stage.bot():
        bob = discord.person("bob")
        await stage.result(discord.slash("txt2img", {"prompt": "mine", **SMALL}))
        public = discord.say("a page that somebody forged")
        for custom_id in ("jobs+1:999999", "newer+1:1", "jobs+77:abc", "jobs:0", "queue:0"):
            forged: Payload = {"custom_id": custom_id, "component_type": 2, "id": 1}
            asked = discord.forge(3, forged, message=public, user=bob)
            text = await stage.ephemeral_followup(asked)
            assert "mine" not in text
            assert "### " in text
        assert discord.message(public["id"])["content"] == "a page that somebody forged"


async def test_thumbnails_are_kept_and_go_with_their_result_which_then_nobody_finds(stage: Stage) -> None:
    async with stage.bot() as life:
        message = await stage.result(stage.discord.slash("txt2img", {"prompt": "a cat", **SMALL}))
        assert len(files(await listed(stage, "jobs"))) == 1
        (kept,) = stage.data.glob("results/**/*.thumbnail")
        before = kept.stat().st_mtime_ns
        assert len(files(await listed(stage, "jobs"))) == 1
        assert kept.stat().st_mtime_ns == before, "made once"
        (row,) = await life.journal.gallery(GalleryQuery(text="ca"), Audience("bob"), limit=5)
        assert (row.entry.prompt, row.entry.guild) == ("a cat", stage.discord.guild.id)
        await stage.delete(message)
        await stage.discord.until(lambda: not kept.exists())
        await stage.discord.until(lambda: message["id"] not in stage.discord.state.messages.all)
        assert not await life.journal.gallery(GalleryQuery(), Audience("", everything=True), limit=5)
        assert files(await listed(stage, "jobs")) == []


def prompts(page: Payload) -> list[str]:
    """The headlines of the jobs on a page."""
    lines = [line for part in parts(page) for line in str(part.get("content", "")).splitlines()]
    return [line.strip("*") for line in lines if line.startswith("**")]


async def turned(stage: Stage, page: Payload, label: str) -> Payload:
    """The page after a button was pressed, which takes the place of the one before."""
    return await _replaced(stage, page, stage.press(page, label))


async def chosen(stage: Stage, page: Payload, number: int) -> Payload:
    """The page after something was chosen in its list."""
    (select,) = (part for part in parts(page) if part["type"] == 3)
    return await _replaced(stage, page, stage.discord.click(page, select["custom_id"], values=[str(number)]))


async def _replaced(stage: Stage, page: Payload, pressed: Interaction) -> Payload:
    discord = stage.discord
    before = len(discord.history(page["id"]))
    await discord.until(lambda: len(discord.history(page["id"])) > before)
    assert pressed.original == page["id"]
    return discord.message(page["id"])
