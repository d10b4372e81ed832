"""What goes wrong, and that nobody loses anything by it."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Literal

import anyio
import anyio.lowlevel
import pytest
from hikari.impl import HTTPTimeoutSettings

from app.discord.gateway import bot
from app.journal.opening import JOURNAL, open_store
from tests.discord.fake import FakeDiscord, Interaction
from tests.discord.fake.world import ATTACH_FILES, MEMBER, SEND_MESSAGES, VIEW_CHANNEL
from tests.discord.stage import EPHEMERAL, Stage, ended, files, job_of, stage_for, words

SMALL = {"width": 64, "height": 64}


def imagine(stage: Stage, **more: object) -> Interaction:
    return stage.discord.slash("txt2img", {"prompt": "a cat", **SMALL}, **more)  # pyright: ignore[reportArgumentType]


async def test_the_second_of_two_outlives_the_first(stage: Stage) -> None:
    async with stage.bot():
        bob = stage.discord.person("bob")
        stage.hold()
        first, second = imagine(stage), imagine(stage, user=bob)
        taken = await stage.until("[Cancel]", first)
        await stage.until("[Cancel]", second)
        stage.press(taken, "Cancel")
        await stage.until("Cancelled", first)
        stage.go_on()
        assert f"<@{bob.id}>" in words(await stage.result(second))


async def test_twelve_people_at_once_all_get_their_own(stage: Stage) -> None:
    async with stage.bot():
        people = [stage.discord.person(f"p{number}") for number in range(12)]
        asked = [imagine(stage, user=person) for person in people]
        for person, interaction in zip(people, asked, strict=True):
            message = await stage.result(interaction)
            assert f"<@{person.id}>" in words(message)
            assert len(files(message)) == 1
        assert stage.discord.refused == 0


async def test_a_job_outlives_the_token_of_its_interaction(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        before = await stage.until("[Cancel]", asked)
        stage.discord.advance(20 * 60)
        stage.go_on()
        message = await stage.result(asked)
        assert message["id"] == before["id"]
        assert stage.discord.requested("PATCH", "/channels/")


async def test_twenty_jobs_in_channels_of_their_own_are_all_shown_after_a_restart(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        channels = [stage.discord.open_channel(f"c{number}") for number in range(20)]
        asked = [imagine(stage, channel=channel) for channel in channels]
        for one in asked:
            await stage.until("[Cancel]", one)
    async with stage.bot():
        stage.go_on()
        for one in asked:
            assert len(files(await stage.result(one))) == 1


async def test_twenty_people_who_ask_at_once_all_see_at_once_that_they_were_heard(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        for asked in [imagine(stage, user=stage.discord.person(f"user{number}")) for number in range(20)]:
            await stage.until("[Cancel]", asked)


async def test_a_result_finds_its_message_after_a_restart(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        await stage.until("[Cancel]", asked)
    assert "Your result is safe" in words(stage.discord.message(asked))
    async with stage.bot() as life:
        stage.go_on()
        message = await stage.result(asked)
        assert message["id"] == asked.original
        assert len(stage.discord.messages) == 1
        assert (await ended(life, job_of(message))).receipt == asked.original


async def test_a_result_that_came_while_the_bot_was_away_is_brought(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        await stage.until("[Cancel]", asked)
    stage.go_on()
    async with stage.bot():
        assert len(files(await stage.result(asked))) == 1


async def test_a_message_that_was_deleted_meanwhile_is_not_posted_again_but_sent_to_its_owner(stage: Stage) -> None:
    async with stage.bot() as life:
        stage.hold()
        asked = imagine(stage)
        job = job_of(await stage.until("[Cancel]", asked))
        stage.discord.delete(stage.discord.message(asked))
        stage.go_on()
        await ended(life, job)
        (message,) = stage.discord.messages
        assert "[Again]" in words(message)
        assert message["channel_id"] == stage.discord.dm().id
        assert f"<@{stage.discord.alice.id}>" in words(message)
        shown = words(await stage.until("Your jobs", stage.discord.slash("jobs")))
        assert stage.discord.dm().id in shown


async def test_a_result_comes_to_its_owner_alone_where_the_bot_may_not_speak(stage: Stage) -> None:
    mute = stage.discord.open_channel("mute", bot_permissions=MEMBER & ~(SEND_MESSAGES | ATTACH_FILES | VIEW_CHANNEL))
    async with stage.bot():
        stage.hold()
        asked = imagine(stage, channel=mute)
        await stage.until("[Cancel]", asked)
    stage.go_on()
    async with stage.bot() as life:
        await ended(life, job_of(stage.discord.history(asked)[1].state))
        brought = [one for one in stage.discord.messages if "[Again]" in words(one)]
        assert [one["channel_id"] for one in brought] == [stage.discord.dm().id]


async def test_what_is_too_large_is_shown_smaller_and_says_so(stage: Stage) -> None:
    stage.discord.state.upload_limit = 60_000
    async with stage.bot():
        message = await stage.result(stage.discord.slash("txt2img", prompt="a cat"))
        assert files(message)[0].endswith(".webp")
        assert message["attachments"][0]["size"] <= 60_000
        assert "because of Discord's limit" in words(message)


async def test_a_413_walks_down_the_ladder(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = stage.discord.slash("txt2img", prompt="a cat")
        await stage.until("[Cancel]", asked)
        # What interactions said was ten megabytes; now the server takes less.
        stage.discord.state.upload_limit = 100_000
        stage.go_on()
        message = await stage.result(asked)
        assert message["attachments"][0]["size"] <= 100_000
        assert [one.code for one in stage.discord.requests if one.status == 413]


async def test_an_answer_that_was_lost_on_the_way_back_brings_no_second_message(stage: Stage) -> None:
    async with stage.bot() as life:
        stage.hold()
        asked = imagine(stage)
        job = job_of(await stage.until("[Cancel]", asked))
        stage.discord.delete(stage.discord.message(asked))
        stage.discord.fail("POST", "/channels/", abort=True, after=True)
        stage.go_on()
        await ended(life, job)
        assert len(stage.discord.messages) == 1


async def test_a_result_waits_for_discord_to_answer_again(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        await stage.until("[Cancel]", asked)
        stage.discord.fail("PATCH", "/webhooks/", status=503, times=2)
        stage.go_on()
        await stage.result(asked)


@pytest.mark.parametrize("style", ["leaky", "fixed"])
async def test_many_jobs_of_one_channel_stay_below_its_limit_as_the_bot(
    discord: FakeDiscord, tmp_path: Path, style: Literal["leaky", "fixed"]
) -> None:
    discord.state.buckets.style = style
    async with stage_for(discord, tmp_path, step_time=0.002, previews=True) as stage:
        async with stage.bot():
            stage.hold()
            asked = [imagine(stage) for _ in range(4)]
            for interaction in asked:
                await stage.until("[Cancel]", interaction)
        async with stage.bot():
            stage.go_on()
            for interaction in asked:
                await stage.result(interaction)
            assert discord.refused == 0


@pytest.mark.parametrize("cut", ["asked to reconnect", "aborted"])
async def test_the_gateway_comes_back_in_mid_job(stage: Stage, cut: str) -> None:
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        await stage.until("[Cancel]", asked)
        gateway = stage.discord.gateway
        {"asked to reconnect": gateway.reconnect, "aborted": gateway.abort}[cut]()
        later = imagine(stage)
        await stage.answered(later)
        stage.go_on()
        await stage.result(asked)
        await stage.result(later)


async def test_comfyui_may_be_away_at_the_start_and_come_later(stage: Stage) -> None:
    stage.fault(refuse_all=3600)
    async with stage.bot():
        await stage.discord.until(lambda: "Waiting for the image server" in str(stage.discord.gateway.presences))
        asked = imagine(stage)
        assert "The image server is offline. Your place is kept." in words(await stage.until("In line", asked))
        stage.fault(refuse_all=0)
        await stage.result(asked)
        await stage.discord.until(lambda: "Making pictures" in str(stage.discord.gateway.presences[-1]))


async def test_commands_follow_the_folder_without_a_restart(stage: Stage) -> None:
    async with stage.bot():
        manifest = stage.workflows / "txt2img" / "manifest.toml"
        manifest.write_text(manifest.read_text().replace('command = "txt2img"', 'command = "dream"'))
        await stage.discord.until(lambda: "dream" in {one["name"] for one in stage.discord.state.commands.of[None]})
        assert "txt2img" not in {one["name"] for one in stage.discord.commands()}
        await stage.result(stage.discord.slash("dream", prompt="a cat", width=64, height=64))


async def test_a_manifest_that_is_broken_keeps_its_last_good_version(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def told() -> bool:
        nonlocal said
        said += "".join(capfd.readouterr())
        return "Its last good version is kept." in said

    async with stage.bot():
        (stage.workflows / "txt2img" / "manifest.toml").write_text("nonsense = ")
        with anyio.fail_after(60):
            while not told():
                await anyio.lowlevel.checkpoint()
        await stage.result(imagine(stage))
    assert "txt2img/manifest.toml" in said


async def test_a_workflow_that_was_never_readable_takes_only_its_own_command_away(stage: Stage) -> None:
    (stage.workflows / "txt2img" / "manifest.toml").write_text("nonsense = ")
    async with stage.bot():
        names = {one["name"] for one in stage.discord.commands()}
        assert "txt2img" not in names
        assert "remix" in names


async def test_an_operator_tries_a_failed_job_again_in_its_own_message(stage: Stage) -> None:
    async with stage.bot():
        stage.fault(fail_prompt={"count": 1, "status": 400})
        asked = imagine(stage)
        job = job_of(await stage.until("[Retry]", asked))
        with open_store(stage.data / JOURNAL, clock=time.time, durable=False) as store:
            store.add_request("retry", job)
        assert job_of(await stage.result(asked)) != job


async def test_in_the_last_round_nothing_new_is_taken(stage: Stage) -> None:
    async with stage.bot() as life:
        message = await stage.result(imagine(stage))
        stage.fault(fail_prompt={"count": 1, "status": 400})
        failed = await stage.until("[Retry]", imagine(stage))
        life.house.draining.set()
        for asked in (imagine(stage), stage.press(message, "Again"), stage.press(failed, "Retry")):
            assert "about to restart" in await stage.ephemeral_followup(asked)


async def test_more_than_ten_pictures_go_into_further_messages(stage: Stage) -> None:
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("maximum = 8", "maximum = 20"))
    async with stage.bot() as life:
        asked = stage.discord.slash("txt2img", {"prompt": "cats", "count": 12, **SMALL})
        message = await stage.result(asked)
        await ended(life, job_of(message))
        assert sorted(len(files(one)) for one in stage.discord.messages if files(one)) == [2, 10]
        await stage.delete(message)
        await stage.discord.until(lambda: not [one for one in stage.discord.messages if not one["flags"] & EPHEMERAL])


async def test_nobody_is_ever_mentioned(stage: Stage) -> None:
    async with stage.bot():
        prompt = "@everyone <@1400000000000000000>"
        await stage.result(stage.discord.slash("txt2img", {"prompt": prompt, **SMALL}))
        await stage.until("Your jobs", stage.discord.slash("jobs"))
        said = [one.json for one in stage.discord.requests if one.method in {"POST", "PATCH"}]
        spoken = [one.get("data", one) for one in said if isinstance(one, dict)]
        assert spoken
        assert all(one["allowed_mentions"] == {"parse": []} for one in spoken)


async def test_edits_of_one_message_leave_room_between_them(discord: FakeDiscord, tmp_path: Path) -> None:
    async with stage_for(discord, tmp_path, step_time=0.03, steps=120) as stage, stage.bot():
        asked = imagine(stage)
        await stage.result(asked)
        # The last word does not wait.
        *times, _ = [one.at for one in discord.requested("PATCH", "/webhooks/")]
        assert all(later - earlier > 1.0 for earlier, later in pairwise(times))


async def test_an_edit_that_hangs_is_given_up_and_the_result_shown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot, "TIMES", HTTPTimeoutSettings(request_socket_read=1.0))
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        await stage.until("[Cancel]", asked)
        hanging = [stage.discord.fail("PATCH", "/webhooks/", hold=True, times=1) for _ in range(2)]
        stage.go_on()
        assert len(files(await stage.result(asked))) == 1
        assert all(one.times == 0 for one in hanging)


async def test_the_end_is_clean_while_somebody_waits(stage: Stage) -> None:
    with anyio.fail_after(60):
        async with stage.bot():
            stage.hold()
            await stage.until("[Cancel]", imagine(stage))


async def test_a_first_message_that_hangs_keeps_nobody_else_waiting(stage: Stage) -> None:
    async with stage.bot():
        fault = stage.discord.fail("PATCH", "/webhooks/", hold=True)
        unlucky = imagine(stage)
        await stage.discord.until(lambda: fault.times == 0)
        people = [stage.discord.person(f"p{number}") for number in range(10)]
        for interaction in [imagine(stage, user=person) for person in people]:
            assert len(files(await stage.result(interaction))) == 1
        assert not words(stage.discord.message(unlucky))
        stage.discord.heal()
        assert len(files(await stage.result(unlucky))) == 1
        assert stage.discord.refused == 0


async def test_an_upload_that_hangs_keeps_no_other_result_of_its_channel_waiting(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = [imagine(stage, user=stage.discord.person(f"p{number}")) for number in range(4)]
        for one in asked:
            await stage.until("[Cancel]", one)
    fault = stage.discord.fail("PATCH", "/channels/", hold=True)
    async with stage.bot():
        stage.go_on()
        await stage.discord.until(lambda: fault.times == 0)
        unlucky = stage.discord.requested("PATCH", "/channels/")[0].path.rpartition("/")[2]
        for one in asked:
            if one.original != unlucky:
                assert len(files(await stage.result(one))) == 1
        assert not files(stage.discord.message(unlucky))
        stage.discord.heal()
        for one in asked:
            await stage.result(one)
        assert stage.discord.refused == 0
