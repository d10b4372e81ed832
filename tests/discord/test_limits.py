"""Limits as people meet them in Discord: a refusal that only they see, and nothing to type twice."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.config.settings import Allowed, Budget, Limits, RoleLimits
from app.core.limits.spending import money
from tests.discord.fake import Interaction, Payload
from tests.discord.one_backend import only_on
from tests.discord.stage import EPHEMERAL, Stage, job_of, modal, submit_texts, words
from tests.discord.test_edit import form_of, waiting

anyio_backend = only_on("asyncio")

PATRON, CREW = "1500000000000000001", "1500000000000000002"
ONE_JOB = Limits(jobs=1)


async def refused(stage: Stage, interaction: Interaction) -> Payload:
    """The message that only the person who asked sees."""

    def seen() -> Payload | None:
        messages = [stage.discord.state.messages.all.get(ident) for ident in interaction.followups]
        return next((message for message in messages if message is not None and words(message)), None)

    message = await stage.discord.until(seen)
    assert message is not None
    assert message["flags"] & EPHEMERAL
    return message


async def test_a_request_over_a_limit_is_refused_to_its_person_alone(stage: Stage) -> None:
    async with stage.bot(limits=ONE_JOB) as life:
        stage.hold()
        held = stage.discord.slash("txt2img", prompt="a cat")
        await stage.until("[Cancel]", held)
        again = stage.discord.slash("txt2img", prompt="a green dog")
        message = await refused(stage, again)
        assert "You have 1 of 1 job running or waiting. Ask again when one has ended." in words(message)
        assert "a green dog" in words(message), "what was typed is given back"
        await stage.discord.until(lambda: again.original not in stage.discord.state.messages.all)
        assert len(await life.journal.unfinished()) == 1
        # Somebody else is not limited by it.
        stage.go_on()
        other = stage.discord.slash("txt2img", prompt="a cat", user=stage.discord.person("bob"))
        await stage.result(other)


async def test_the_same_is_asked_for_again_with_one_click(stage: Stage) -> None:
    async with stage.bot(limits=ONE_JOB) as life:
        stage.hold()
        held = stage.discord.slash("txt2img", prompt="a cat")
        await stage.until("[Cancel]", held)
        message = await refused(stage, stage.discord.slash("txt2img", prompt="a green dog", steps=7, seed=5))
        still = await refused(stage, stage.press(message, "Try again"))
        stage.go_on()
        await stage.result(held)
        made = await stage.result(stage.press(still, "Try again"))
        assert "a green dog" in words(made)
        assert "**Steps** 7 " in await stage.details(made)
        assert "seed `5`" in words(made)
        job = await life.journal.find(job_of(made))
        assert job is not None
        assert job.request.guild == stage.discord.guild.id
        assert job.request.channel == stage.discord.channel.id
        gone = stage.press(still, "Try again")
        assert "too old to continue" in await stage.ephemeral_followup(await stage.answered(gone))


async def test_an_edit_over_a_limit_is_refused_like_a_request_and_nothing_is_typed_twice(stage: Stage) -> None:
    async with stage.bot(limits=Limits(seconds=40)) as life:
        asked = await waiting(stage)
        opened = await form_of(stage, asked)
        message = await refused(stage, submit_texts(stage, opened, {"prompt": "a dog", "count": "3"}))
        sentence = "You have 20 seconds left of 40 seconds of GPU time a day, and this needs about 30 seconds."
        assert sentence in words(message)
        assert "a dog" in words(message)
        job = await life.journal.find(job_of(stage.discord.state.messages.all[asked.original or ""]))
        assert job is not None
        assert (job.request.values["prompt"], job.edits) == ("a cat", 0)
        again = await stage.answered(stage.press(message, "Edit prompt"))
        assert modal(again)["prompt"] == "a dog"
        await stage.answered(submit_texts(stage, again, {"prompt": "a dog", "count": "2"}))
        await stage.until("### a dog", asked)
        job = await life.journal.find(job.id)
        assert job is not None
        assert (job.request.pictures, job.edits) == (2, 1)
        stage.go_on()
        await stage.result(asked)


async def test_limits_that_were_changed_in_the_file_count_for_the_next_request(stage: Stage) -> None:
    async with stage.bot(limits=ONE_JOB) as life:
        stage.hold()
        held = stage.discord.slash("txt2img", prompt="a cat")
        await stage.until("[Cancel]", held)
        assert "1 of 1 job" in words(await refused(stage, stage.discord.slash("txt2img", prompt="a dog")))
        life.app.reloaded(replace(life.config, limits=Limits(jobs=2)))
        await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a dog"))
        assert "2 of 2 jobs" in words(await refused(stage, stage.discord.slash("txt2img", prompt="a fox")))
        stage.go_on()


async def test_the_buttons_of_a_result_are_requests_like_others(stage: Stage) -> None:
    async with stage.bot(limits=ONE_JOB):
        first = await stage.result(stage.discord.slash("txt2img", prompt="a cat"))
        stage.hold()
        await stage.until("[Cancel]", stage.press(first, "Again"))
        assert "1 of 1 job" in words(await refused(stage, stage.press(first, "Again")))
        stage.go_on()


@pytest.mark.parametrize(("positions", "jobs"), [({PATRON: 2, CREW: 1}, 2), ({PATRON: 1, CREW: 2}, 1)])
async def test_the_highest_role_decides(stage: Stage, positions: dict[str, int], jobs: int) -> None:
    stage.discord.guild.roles.update(positions)
    limits = Limits(roles={CREW: RoleLimits(jobs=1, weight=3.0), PATRON: RoleLimits(jobs=2, weight=2.0)})
    bob = stage.discord.person("bob", roles=(CREW, PATRON))
    async with stage.bot(limits=limits) as life:
        stage.hold()
        for _ in range(jobs):
            await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a cat", user=bob))
        message = await refused(stage, stage.discord.slash("txt2img", prompt="a cat", user=bob))
        assert f"{jobs} of {jobs} job" in words(message)
        assert {job.request.weight for job in await life.journal.unfinished()} == {4.0 - jobs}
        stage.go_on()


async def test_a_role_that_no_server_has_is_one_warning(stage: Stage) -> None:
    stage.discord.guild.roles[PATRON] = 1
    limits = Limits(roles={PATRON: RoleLimits(jobs=1), CREW: RoleLimits(jobs=1)})
    with capture_logs() as lines:
        async with stage.bot(limits=limits):
            warnings = await stage.discord.until(
                lambda: [line["reason"] for line in lines if line["event"] == "a role with limits is in no server"]
            )
            await stage.result(stage.discord.slash("txt2img", prompt="a cat"))
    assert warnings == [f"No server has the role {CREW} of [[limits.roles]]: correct its id, or remove it."]


async def test_a_channel_has_a_limit_for_everybody(stage: Stage) -> None:
    limits = Limits(channels={stage.discord.channel.id: Allowed(jobs=1)})
    async with stage.bot(limits=limits):
        stage.hold()
        await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a cat"))
        over = stage.discord.slash("txt2img", prompt="a dog", user=stage.discord.person("bob"))
        assert "This channel has 1 of 1 job running or waiting." in words(await refused(stage, over))
        elsewhere = stage.discord.open_channel("elsewhere")
        await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a dog", channel=elsewhere))
        stage.go_on()


async def test_usage_shows_what_is_left_here(stage: Stage) -> None:
    limits = Limits(
        jobs=3,
        seconds=3600,
        roles={PATRON: RoleLimits(jobs=10, weight=2.0)},
        channels={stage.discord.channel.id: Allowed(jobs=5)},
    )
    async with stage.bot(limits=limits):
        await stage.result(stage.discord.slash("txt2img", prompt="a cat"))
        stage.hold()
        await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a cat"))
        shown = await stage.until("What you can still ask for", stage.discord.slash("usage"))
        assert shown["flags"] & EPHEMERAL
        assert "You: 2 of 3 jobs left" in words(shown)
        assert re.search(r"^You: .+ of 1 hour of GPU time a day left · .+ more in about 24 hours$", words(shown), re.M)
        assert "Everybody in this channel: 4 of 5 jobs left" in words(shown)
        assert "When others wait" not in words(shown)
        bob = stage.discord.person("bob", roles=(PATRON,))
        patron = await stage.until("What you can still", stage.discord.slash("usage", user=bob))
        assert "You: 10 of 10 jobs left" in words(patron)
        assert "you get 2 times as much time on the servers" in words(patron)
        stage.go_on()


async def test_usage_says_that_there_are_no_limits(stage: Stage) -> None:
    async with stage.bot(limits=Limits(jobs=0)):
        await stage.until("You have no limits here.", stage.discord.slash("usage"))


async def test_a_run_over_the_budget_is_refused_and_usage_shows_what_is_left(stage: Stage) -> None:
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(f"price = 0.06\n{manifest.read_text()}")
    async with stage.bot(limits=Limits(jobs=0), budget=Budget(day=0.1, person_day=5.0)) as life:
        made = await stage.result(stage.discord.slash("txt2img", prompt="a cat"))
        job = await life.journal.find(job_of(made))
        assert job is not None
        assert job.spent == money(0.06)
        message = await refused(stage, stage.discord.slash("txt2img", prompt="a green dog"))
        assert "This bot has $0.04 left of $0.10 a day for paid services, and this costs $0.06" in words(message)
        shown = words(await stage.until("What you can still ask for", stage.discord.slash("usage")))
        assert "You: $4.94 of $5.00 a day left for paid services" in shown
        assert "Everybody together: $0.04 of $0.10 a day left for paid services · $0.06 more in about" in shown
        life.app.reloaded(replace(life.config, paid_nodes=Budget(day=0.2)))
        await stage.result(stage.press(message, "Try again"))
