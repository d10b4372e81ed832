"""Every button, and who may press it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.core.jobs.batches import requests_of
from app.core.jobs.downloads import MOST_TRIES
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from tests.discord.fake import Payload
from tests.discord.fake.world import MANAGE_MESSAGES, MEMBER
from tests.discord.flows import FOLDER
from tests.discord.stage import EPHEMERAL, Stage, button, files, job_of, modal, parts, photo, submit_texts, words
from tests.discord.test_manifest import add
from tests.elsewhere import Elsewhere


async def imagined(stage: Stage, **more: object) -> Payload:
    """A finished picture of alice's."""
    asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, **more)  # pyright: ignore[reportArgumentType]
    return await stage.result(asked)


def seed_of(message: Payload) -> str:
    return words(message).partition("seed `")[2].partition("`")[0]


async def test_again_makes_the_same_with_a_new_seed(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7, seed=5)
        second = await stage.result(stage.press(first, "Again"))
        assert second["id"] != first["id"]
        assert "**Steps** 7 " in await stage.details(second)
        assert seed_of(first) == "5" != seed_of(second)


async def test_vary_asks_with_everything_filled_in(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7)
        opened = await stage.answered(stage.press(first, "Edit prompt"))
        told = modal(opened)
        assert told["prompt"] == "a cat"
        assert told["seed"] == seed_of(first)
        told |= {"prompt": "a dog", "+format": "576x1024"}
        second = await stage.result(stage.discord.submit_modal(opened, told))
        assert "a dog" in words(second)
        details = await stage.details(second)
        assert "**Steps** 7 " in details, "what the form does not ask for stays"
        assert "**Width** 576 · **Height** 1024" in details
        assert seed_of(second) == seed_of(first)


async def test_a_form_that_was_opened_in_an_earlier_version_still_works(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7)
        opened = await stage.answered(stage.press(first, "Edit prompt"))
        fields = {"prompt": "a dog", "+settings": "steps = 9\nsampler = euler\nseed = 11"}
        second = await stage.result(submit_texts(stage, opened, fields, rows=True))
        assert "a dog" in words(second)
        assert "**Steps** 9 " in await stage.details(second)
        assert seed_of(second) == "11"


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
    head = head.replace('task = "edit"\n', "")
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
    monkeypatch.setattr("app.core.jobs.downloads.PAUSES", (0.01,) * MOST_TRIES)
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
        asked = stage.discord.slash("txt2img", {"prompt": "x", "width": 64, "height": 64, "count": 2}, user=painter)
        made = await stage.result(asked)
        assert "Only some people" in await stage.ephemeral_followup(stage.press(made, "Fetch again"))
        assert len(files(await stage.result(stage.press(made, "Fetch again", user=painter)))) == 1


async def test_settings_tell_what_made_it_and_give_the_graph(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7)
        told = await stage.until("Job", stage.press(first, "Details", user=stage.discord.person("bob")))
        assert told["flags"] & EPHEMERAL
        assert "**Steps** 7" in words(told)
        assert "**Guidance** 6.5" in words(told)
        graph = msgspec.json.decode(
            stage.discord.file(told["attachments"][-1]["url"]), type=dict[str, dict[str, object]]
        )
        assert any(node["class_type"] == "KSampler" for node in graph.values())


async def test_details_show_the_result_and_what_it_was_made_from_and_into(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        second = await stage.result(stage.press(first, "Vary subtle"))
        third = await stage.result(stage.press(second, "Again"))
        told = await stage.until("Job", stage.press(second, "Details"))
        (thumbnail, graph) = files(told)
        assert thumbnail.endswith((".png", ".webp"))
        assert graph.endswith(".json")
        links = {name: f"/{message['id']})" for name, message in (("from", first), ("into", third))}
        lines = words(told).splitlines()
        assert [line for line in lines if line.startswith("**Made from** [Text to image") and links["from"] in line]
        assert [line for line in lines if line.startswith("**Made into** [Text to image") and links["into"] in line]
        assert "**Checkpoint** dreamscape" in words(told), "what the server chose"
        assert "Made from" not in await stage.details(first)


async def test_a_result_can_be_copied_as_the_command_that_makes_it_again(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, steps=7, seed=5)
        details = stage.press(first, "Details")
        await stage.ephemeral_followup(details)
        told = await stage.ephemeral_followup(stage.press(stage.discord.message(details), "Copy as command"))
        assert "```\n/txt2img prompt: a cat seed: 5 steps: 7 " in told
        assert "paste it into the message box" in told


def redrawing(stage: Stage) -> None:
    """Each picture of /imagine has a button that makes another one from it at once."""
    follow_up = 'workflow = "img2img"\nslot = "image"\ntitle = "Redraw"\neach = true\nvalues = { denoise = 0.55 }'
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(f"{manifest.read_text()}\n[[follow_ups]]\n{follow_up}\n")


@pytest.mark.parametrize("count", [1, 2])
async def test_a_follow_up_starts_at_once_from_the_picture_with_its_settings(stage: Stage, count: int) -> None:
    redrawing(stage)
    async with stage.bot() as life:
        first = await imagined(stage, count=count, steps=7)
        pressed = stage.press(first, "Redraw 2" if count == 2 else "Redraw")
        second = await stage.result(pressed)
        assert len(files(second)) == (1 + 1 if count == 1 else 2), "one picture is shown beside what it was"
        job = await life.journal.find(job_of(second))
        assert job is not None
        values = job.request.values
        assert str(values["image"]).endswith(f"-{count:02}.png")
        assert (values["prompt"], values["steps"], values["denoise"]) == ("a cat", 7, 0.55)
        assert job.request.parent == job_of(first)


async def test_one_of_many_pictures_is_chosen_from_a_list(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage, count=5)
        (select,) = [part for part in parts(first) if part["type"] == 3]
        assert select["placeholder"] == "Vary: choose a picture, 1 to 5"
        chosen = stage.discord.click(first, str(select["custom_id"]), values=["4"])
        second = await stage.result(chosen)
        job = await life.journal.find(job_of(second))
        assert job is not None
        assert job.request.variation is not None
        assert job.request.variation.picture.endswith("-04.png")


async def test_a_follow_up_asks_for_what_the_picture_does_not_say(stage: Stage) -> None:
    """A prompt that the other workflow needs, and the job has not."""
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    redrawing(stage)
    named = manifest.read_text().replace("[slots.prompt]", "[slots.words]").replace('task = "imagine"\n', "")
    manifest.write_text(named)
    async with stage.bot() as life:
        first = await stage.result(stage.discord.slash("txt2img", words="a cat", width=64, height=64, count=2))
        opened = await stage.answered(stage.press(first, "Redraw 2"))
        assert "+result" not in modal(opened), "the button has said which"
        second = await stage.result(stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a dog"}))
        job = await life.journal.find(job_of(second))
        assert job is not None
        assert str(job.request.values["image"]).endswith("-02.png")


async def test_buttons_of_the_version_before_still_work(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        job = job_of(first)
        ids = {"settings": f"settings:{job}", "use": f"use.img2img:{job}", "delete": f"delete:{job}"}
        row = [
            {"type": 2, "id": number, "style": 2, "label": label, "custom_id": ident}
            for number, (label, ident) in enumerate(ids.items(), 3)
        ]
        frame = {"type": 17, "id": 1, "components": [{"type": 1, "id": 2, "components": row}]}
        messages = stage.discord.state.messages
        messages.all[first["id"]] = old = first | {"components": [frame]}
        assert "**Steps** 24" in await stage.ephemeral_followup(stage.press(old, "settings"))
        assert "prompt" in modal(await stage.answered(stage.press(old, "use")))
        stage.press(old, "delete")
        await stage.discord.until(lambda: first["id"] not in messages.all)
        assert not [*(stage.data / "results").iterdir()]


async def test_delete_says_so_if_the_message_cannot_be_deleted(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        stage.discord.fail("DELETE", "/channels/", status=403, code=50001)
        pressed = await stage.delete(first)
        refused = await stage.discord.until(lambda: pressed.followups[:1])
        assert "Ask a moderator" in words(stage.discord.state.messages.all[refused[0]])
        assert not [*(stage.data / "results").iterdir()]


async def test_delete_takes_the_message_away(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        await stage.delete(first)
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all)


async def test_delete_takes_the_files_away_so_that_nothing_brings_them_back(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        job = job_of(first)
        shown = await stage.result(stage.discord.slash("show", job=job))
        assert [*(stage.data / "results").iterdir()]
        moderator = stage.discord.person("mo", permissions=MEMBER | MANAGE_MESSAGES)
        await stage.delete(first, user=moderator)
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all)
        assert not [*(stage.data / "results").iterdir()]
        assert "deleted" in await stage.ephemeral_followup(stage.discord.slash("show", job=job))
        assert "deleted" in await stage.ephemeral_followup(stage.press(shown, "Image to image"))


async def test_cancel_takes_the_job_back(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        asked = stage.discord.slash("txt2img", prompt="a cat")
        stage.press(await stage.until("[Cancel]", asked), "Cancel")
        await stage.until("Cancelled", asked)


@pytest.mark.parametrize("label", ["Cancel", "Delete"])
async def test_a_stranger_is_told_no_and_nothing_happens(stage: Stage, label: str) -> None:
    async with stage.bot():
        bob = stage.discord.person("bob")
        if label == "Delete":
            message = await imagined(stage)
            pressed = await stage.delete(message, user=bob)
        else:
            stage.hold()
            message = await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a cat"))
            pressed = stage.press(message, label, user=bob)
        refused = await stage.discord.until(lambda: pressed.followups[:1])
        assert "Only the person who asked" in words(stage.discord.state.messages.all[refused[0]])
        assert "Cancelled" not in words(stage.discord.message(message))


async def test_a_moderator_may_take_away_what_others_made(stage: Stage) -> None:
    async with stage.bot():
        moderator = stage.discord.person("mo", permissions=MEMBER | MANAGE_MESSAGES)
        first = await imagined(stage)
        await stage.delete(first, user=moderator)
        await stage.discord.until(lambda: first["id"] not in stage.discord.state.messages.all)


async def test_everybody_may_go_on_from_a_result_and_owns_what_comes_of_it(stage: Stage) -> None:
    async with stage.bot():
        bob = stage.discord.person("bob")
        second = await stage.result(stage.press(await imagined(stage), "Again", user=bob))
        assert f"<@{bob.id}>" in words(second)


async def test_a_failed_job_can_be_tried_again(stage: Stage) -> None:
    async with stage.bot():
        stage.fault(fail_prompt={"count": 1, "status": 400})
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)
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
        for label in ("Again", "Edit prompt", "Details", "More…"):
            assert "removed because it is old" in await stage.ephemeral_followup(stage.press(first, label))
        assert stage.discord.message(first)["id"] == first["id"]


async def test_what_is_out_of_range_in_a_form_is_a_sentence(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        opened = await stage.answered(stage.press(first, "Edit prompt"))
        sent = stage.discord.submit_modal(opened, modal(opened) | {"seed": "-1"})
        assert "must be between 0 and" in await stage.ephemeral_followup(sent)
        public = [message for message in stage.discord.messages if not message["flags"] & EPHEMERAL]
        assert [message["id"] for message in public] == [first["id"]]


async def test_buttons_carry_a_verb_and_a_job_and_nothing_else(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        job = job_of(first)
        labels = ("Again", "Edit prompt", "Details", "More…", "Image to image", "Vary strong")
        verbs = ("again", "vary", "settings", "more", "use.img2img", "strong")
        assert [button(first, label) for label in labels] == [f"{verb}:{job}" for verb in verbs]


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


async def test_pictures_that_only_another_disk_has_are_used_and_shown_as_if_they_were_here(stage: Stage) -> None:
    others = Elsewhere()
    async with stage.bot(others=others):
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        assert [Path(path).parent.name for path in others.spread_to] == ["inputs"]
        # Another front has all of them, and the disk of this one none.
        folders = [stage.data / name for name in ("inputs", "results")]
        others.has = {str(path): path.read_bytes() for folder in folders for path in folder.iterdir()}
        _empty(folders)
        await stage.result(stage.press(first, "Again"))
        _empty(folders)
        opened = await stage.answered(stage.press(first, "Image to image"))
        await stage.result(stage.discord.submit_modal(opened, modal(opened)))
        _empty(folders)
        await stage.result(stage.discord.slash("show", job=job_of(first)))
        assert {Path(path).parent.name for path in others.spread_to} == {"inputs", "results"}


def _empty(folders: list[Path]) -> None:
    for path in [path for folder in folders for path in folder.iterdir()]:
        path.unlink()
