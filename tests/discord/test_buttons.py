"""Every button, and who may press it."""

from __future__ import annotations

import shutil

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.core.batches import requests_of
from app.core.downloads import MOST_TRIES
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from tests.discord.fake import Payload
from tests.discord.fake.world import MANAGE_MESSAGES, MEMBER
from tests.discord.flows import FOLDER
from tests.discord.stage import EPHEMERAL, Stage, button, files, job_of, modal, photo, words
from tests.discord.test_manifest import add


async def imagined(stage: Stage, **more: object) -> Payload:
    """A finished picture of alice's."""
    asked = stage.discord.slash("imagine", prompt="a cat", width=64, height=64, **more)  # pyright: ignore[reportArgumentType]
    return await stage.result(asked)


def seed_of(message: Payload) -> str:
    return words(message).partition("seed `")[2].partition("`")[0]


async def test_again_makes_the_same_with_a_new_seed(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7, seed=5)
        second = await stage.result(stage.press(first, "Again"))
        assert second["id"] != first["id"]
        assert "steps 7" in words(second)
        assert seed_of(first) == "5" != seed_of(second)


async def test_vary_asks_with_everything_filled_in(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7)
        opened = await stage.answered(stage.press(first, "Edit prompt"))
        told = modal(opened)
        assert told["prompt"] == "a cat"
        assert f"seed = {seed_of(first)}" in told["+settings"]
        told |= {"prompt": "a dog", "+settings": told["+settings"].replace("steps = 7", "steps = 9")}
        second = await stage.result(stage.discord.submit_modal(opened, told))
        assert "a dog" in words(second)
        assert "steps 9" in words(second)
        assert seed_of(second) == seed_of(first)


async def test_a_follow_up_takes_the_picture_that_is_named(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage, count=2)
        opened = await stage.answered(stage.press(first, "Image to image"))
        told = modal(opened) | {"+result": "2", "prompt": "as a drawing"}
        second = await stage.result(stage.discord.submit_modal(opened, told))
        job = await life.journal.find(job_of(second))
        assert job is not None
        assert str(job.request.values["image"]).endswith("-02.png")


async def test_a_follow_up_without_questions_starts_at_once(stage: Stage) -> None:
    plain = stage.workflows / "plain"
    shutil.copytree(FOLDER / "img2img", plain)
    manifest = (plain / "manifest.toml").read_text()
    head = manifest.partition("[slots.prompt]")[0].replace("remix", "repaint").replace("Image to image", "Repaint")
    image = manifest.partition("[slots.image]")[2].partition("[slots.denoise]")[0]
    (plain / "manifest.toml").write_text(f"{head}[slots.image]{image}")
    graph = (plain / "workflow.json").read_text()
    (plain / "workflow.json").write_text(graph.replace("model.safetensors", "dreamscape-v1.safetensors"))
    starter = stage.workflows / "txt2img" / "manifest.toml"
    starter.write_text(starter.read_text().partition("[[follow_ups]]")[0])
    async with stage.bot():
        first = await imagined(stage)
        assert len(files(await stage.result(stage.press(first, "Repaint")))) == 1


class OneFileFails:
    """A server that cannot send the second of two files, until it is repaired."""

    def __init__(self, inner: Starlette) -> None:
        self._inner = inner
        self.repaired = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_second = scope["type"] == "http" and scope["path"] == "/view" and b"_00002_" in scope["query_string"]
        await (PlainTextResponse("", 500) if is_second and not self.repaired else self._inner)(scope, receive, send)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[OneFileFails]:
    """Such a server in place of the stage's; downloads are given up soon."""
    servers: list[OneFileFails] = []

    def failing(simulator: Simulator) -> OneFileFails:
        servers.append(OneFileFails(application(simulator)))
        return servers[-1]

    monkeypatch.setattr("tests.discord.stage.application", failing)
    monkeypatch.setattr("app.core.downloads.PAUSES", (0.01,) * MOST_TRIES)
    return servers


async def test_fetch_again_brings_what_did_not_arrive_and_makes_nothing_new(
    stage: Stage, servers: list[OneFileFails]
) -> None:
    async with stage.bot() as life:
        first = await imagined(stage, count=2)
        assert len(files(first)) == 1
        assert "1 of 2 results arrived." in words(first)
        again = await stage.result(stage.press(first, "Fetch again"))
        assert len(files(again)) == 1, "it still cannot be sent"
        servers[0].repaired = True
        second = await stage.result(stage.press(again, "Fetch again", user=stage.discord.person("bob")))
        assert len({message["id"] for message in (first, again, second)}) == 3, "each press has an answer of its own"
        assert len(files(second)) == 2
        assert "Fetch again" not in words(second)
        assert len(stage.simulator.history) == 2
        job = await life.journal.find(job_of(second))
        assert job is not None
        one, other = requests_of(job.request)
        assert one.graph != other.graph, "if it failed, Retry would make two different pictures"


@pytest.mark.usefixtures("servers")
async def test_fetch_again_is_for_those_who_may_use_the_workflow(stage: Stage) -> None:
    painter = stage.discord.person("painter", roles=["180000000000000002"])
    add(stage, "txt2img", "roles = [180000000000000002]")
    async with stage.bot():
        asked = stage.discord.slash("imagine", {"prompt": "x", "width": 64, "height": 64, "count": 2}, user=painter)
        made = await stage.result(asked)
        assert "Only some people" in await stage.ephemeral_followup(stage.press(made, "Fetch again"))
        assert len(files(await stage.result(stage.press(made, "Fetch again", user=painter)))) == 1


async def test_settings_tell_what_made_it_and_give_the_graph(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7)
        told = await stage.until("Job", stage.press(first, "Settings", user=stage.discord.person("bob")))
        assert told["flags"] & EPHEMERAL
        assert "**Steps** 7" in words(told)
        assert "**Guidance** 6.5" in words(told)
        graph = msgspec.json.decode(
            stage.discord.file(told["attachments"][0]["url"]), type=dict[str, dict[str, object]]
        )
        assert any(node["class_type"] == "KSampler" for node in graph.values())


async def test_delete_takes_the_message_away(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        stage.press(first, "Delete")
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all)


async def test_delete_takes_the_files_away_so_that_nothing_brings_them_back(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        job = job_of(first)
        shown = await stage.result(stage.discord.slash("show", job=job))
        assert [*(stage.data / "results").iterdir()]
        moderator = stage.discord.person("mo", permissions=MEMBER | MANAGE_MESSAGES)
        stage.press(first, "Delete", user=moderator)
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all)
        assert not [*(stage.data / "results").iterdir()]
        assert "deleted" in await stage.ephemeral_followup(stage.discord.slash("show", job=job))
        assert "deleted" in await stage.ephemeral_followup(stage.press(shown, "Image to image"))


async def test_cancel_takes_the_job_back(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = stage.discord.slash("imagine", prompt="a cat")
        stage.press(await stage.until("[Cancel]", asked), "Cancel")
        await stage.until("Cancelled", asked)


@pytest.mark.parametrize("label", ["Cancel", "Delete"])
async def test_a_stranger_is_told_no_and_nothing_happens(stage: Stage, label: str) -> None:
    async with stage.bot():
        bob = stage.discord.person("bob")
        if label == "Delete":
            message = await imagined(stage)
        else:
            stage.hold()
            message = await stage.until("[Cancel]", stage.discord.slash("imagine", prompt="a cat"))
        assert "Only the person who asked" in await stage.ephemeral_followup(stage.press(message, label, user=bob))
        assert "Cancelled" not in words(stage.discord.message(message))


async def test_a_moderator_may_take_away_what_others_made(stage: Stage) -> None:
    async with stage.bot():
        moderator = stage.discord.person("mo", permissions=MEMBER | MANAGE_MESSAGES)
        first = await imagined(stage)
        stage.press(first, "Delete", user=moderator)
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all)


async def test_everybody_may_go_on_from_a_result_and_owns_what_comes_of_it(stage: Stage) -> None:
    async with stage.bot():
        bob = stage.discord.person("bob")
        second = await stage.result(stage.press(await imagined(stage), "Again", user=bob))
        assert f"<@{bob.id}>" in words(second)


async def test_a_failed_job_can_be_tried_again(stage: Stage) -> None:
    async with stage.bot():
        stage.fault(fail_prompt={"count": 1, "status": 400})
        asked = stage.discord.slash("imagine", prompt="a cat", width=64, height=64)
        failed = await stage.until("[Retry]", asked)
        assert "Failed" in words(failed)
        await stage.result(stage.press(failed, "Retry"))


async def test_a_click_works_after_the_bot_was_restarted(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
    async with stage.bot():
        assert "a cat" in words(await stage.result(stage.press(first, "Again")))
        assert modal(await stage.answered(stage.press(first, "Edit prompt")))["prompt"] == "a cat"


async def test_a_button_of_a_workflow_that_is_gone_says_so(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
    shutil.rmtree(stage.workflows / "txt2img")
    async with stage.bot():
        for label in ("Again", "Edit prompt"):
            assert "removed the workflow" in await stage.ephemeral_followup(stage.press(first, label))


async def test_a_button_of_a_job_that_nobody_remembers_says_so(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
    for file in stage.data.glob("atelier.db*"):
        file.unlink()
    async with stage.bot():
        for label in ("Again", "Edit prompt", "Settings", "Delete"):
            assert "removed because it is old" in await stage.ephemeral_followup(stage.press(first, label))
        assert stage.discord.message(first)["id"] == first["id"]


async def test_what_is_out_of_range_in_a_form_is_a_sentence(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        opened = await stage.answered(stage.press(first, "Edit prompt"))
        before = len(stage.discord.messages)
        sent = stage.discord.submit_modal(opened, modal(opened) | {"+settings": "steps = 9000"})
        assert "between 1 and 150" in await stage.ephemeral_followup(sent)
        assert len(stage.discord.messages) == before + 1


async def test_buttons_carry_a_verb_and_a_job_and_nothing_else(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        job = job_of(first)
        told = [button(first, label) for label in ("Again", "Edit prompt", "Settings", "Delete", "Image to image")]
        assert told == [f"{verb}:{job}" for verb in ("again", "vary", "settings", "delete", "use.img2img")]


async def test_again_and_vary_keep_the_picture_it_was_made_from(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        opened = await stage.answered(stage.press(first, "Edit prompt"))
        asked = [stage.press(first, "Again"), stage.discord.submit_modal(opened, modal(opened))]
        for interaction in asked:
            job = await life.journal.find(job_of(await stage.result(interaction)))
            kept = await life.journal.find(job_of(first))
            assert job is not None
            assert kept is not None
            assert job.request.values["image"] == kept.request.values["image"]


async def test_a_picture_that_is_no_longer_kept_is_a_sentence(stage: Stage) -> None:
    async with stage.bot():
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        shutil.rmtree(stage.data / "inputs")
        assert "deleted" in await stage.ephemeral_followup(stage.press(first, "Again"))
        shutil.rmtree(stage.data / "results")
        assert "deleted" in await stage.ephemeral_followup(stage.press(first, "Image to image"))
        assert "deleted" in await stage.ephemeral_followup(stage.discord.slash("show", job=job_of(first)))
