"""One failure belongs to one person: everybody else, and the bot, go on as if it had not happened."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from app.discord import custom_id
from app.discord.gateway.bot import Bot
from app.discord.gateway.interactions import handlers, responses
from app.discord.messages import delivery, live_messages
from app.discord.requests.builtin_commands import BuiltinCommands
from app.discord.requests.job_actions import JobActions
from app.discord.requests.job_forms import JobForms
from app.discord.ui import pages
from app.events import ServerName
from app.service.jobs.job_factory import JobFactory
from app.service.offers import catalog
from app.service.offers.choices import Choices
from app.service.server_monitor import ServerMonitor
from app.simulator.faults import Request
from tests.discord.fake import Interaction
from tests.discord.stage import ENOUGH, Stage, ended, job_of, modal, photo, words
from tests.world import HERE

SMALL = {"width": 64, "height": 64}
IDENTIFIER = re.compile(r"Something went wrong \(id ([0-9a-f]{8})\)")


class Planted(Exception):
    """A bug that was put there."""


def imagine(stage: Stage, prompt: str = "a cat", **more: object) -> Interaction:
    return stage.discord.slash("txt2img", {"prompt": prompt, **SMALL}, **more)  # pyright: ignore[reportArgumentType]


async def still_works(stage: Stage) -> None:
    """Somebody else gets a picture."""
    assert "[Again]" in words(await stage.result(imagine(stage, "a dog", user=stage.discord.person("bob"))))


async def told(stage: Stage, interaction: Interaction, said: Callable[[], str]) -> None:
    """The one person reads an id, and the log has it, with the cause."""
    found = IDENTIFIER.search((await stage.ephemeral_followup(interaction)).replace("\\", ""))
    assert found
    assert f"id={found[1]}" in said()


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Everything that was logged so far."""
    text = ""

    def read() -> str:
        nonlocal text
        text += "".join(capfd.readouterr())
        return text

    return read


def breaks(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, times: int = 1) -> None:
    """The next `times` calls of a function fail."""
    whole = getattr(owner, name)
    left = times

    def broken(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise Planted(name)
        return whole(*args, **options)

    monkeypatch.setattr(owner, name, broken)


Plant = Callable[[], None]


async def status(stage: Stage, plant: Plant) -> Interaction:
    plant()
    return stage.discord.slash("status")


async def order(stage: Stage, plant: Plant) -> Interaction:
    plant()
    return imagine(stage)


async def again(stage: Stage, plant: Plant) -> Interaction:
    message = await stage.result(imagine(stage))
    plant()
    return stage.press(message, "Again")


async def cancel(stage: Stage, plant: Plant) -> Interaction:
    stage.hold()
    message = await stage.until("[Cancel]", imagine(stage))
    plant()
    return stage.press(message, "Cancel")


async def vary(stage: Stage, plant: Plant) -> Interaction:
    message = await stage.result(imagine(stage))
    plant()
    return stage.press(message, "Edit prompt")


async def vary_sent(stage: Stage, plant: Plant) -> Interaction:
    opened = await stage.answered(await vary(stage, lambda: None))
    plant()
    return stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a bird"})


async def menu(stage: Stage, plant: Plant) -> Interaction:
    plant()
    return stage.discord.message_menu("Image to image", stage.discord.say("look", files=[photo()]))


@pytest.mark.parametrize(
    ("act", "owner", "name"),
    [
        (status, pages, "status"),
        (order, JobFactory, "_make"),
        (order, handlers.InteractionHandlers, "ordered"),
        (again, JobActions, "find"),
        (again, custom_id, "read"),
        (cancel, JobActions, "cancel"),
        (vary, JobForms, "form"),
        (vary_sent, handlers, "check_values"),
        (vary_sent, JobFactory, "_make"),
        (menu, handlers, "files_of"),
        (menu, JobFactory, "own_values"),
    ],
)
async def test_a_failure_is_told_to_the_one_person_and_reaches_nobody_else(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], str],
    act: Callable[[Stage, Plant], Awaitable[Interaction]],
    owner: object,
    name: str,
) -> None:
    async with stage.bot():
        await told(stage, await act(stage, lambda: breaks(monkeypatch, owner, name)), said)
        assert f"Planted: {name}" in said()
        stage.go_on()
        await still_works(stage)


@pytest.mark.parametrize(("owner", "name"), [(Choices, "of"), (BuiltinCommands, "suggest_values")])
async def test_autocomplete_that_fails_offers_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str], owner: Any, name: str
) -> None:
    async with stage.bot():
        breaks(monkeypatch, owner, name)
        typed = await stage.answered(stage.discord.autocomplete("txt2img", "checkpoint", "dream"))
        assert typed.data["choices"] == []
        assert "Planted" in said()
        typed = await stage.answered(stage.discord.autocomplete("txt2img", "checkpoint", "dream"))
        assert typed.data["choices"]


async def test_a_failure_after_the_acknowledgement_does_not_leave_the_person_waiting(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.bot():
        breaks(monkeypatch, responses.Acknowledgements, "_send")
        await stage.until("Something went wrong", imagine(stage))
        await still_works(stage)


async def test_an_acknowledgement_that_got_lost_does_not_leave_the_person_waiting(stage: Stage) -> None:
    async with stage.bot():
        stage.discord.fail("POST", "/callback", abort=True, after=True)
        await stage.until("Something went wrong", imagine(stage))
        await still_works(stage)


async def test_what_was_typed_comes_back_with_the_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage.bot():
        breaks(monkeypatch, JobFactory, "_make")
        assert "a very long story" in await stage.ephemeral_followup(imagine(stage, "a very long story"))


async def test_a_loop_in_the_background_that_fails_is_called_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    async with stage.bot():
        breaks(monkeypatch, ServerMonitor, "poll")
        breaks(monkeypatch, catalog, "offers")
        breaks(monkeypatch, Bot, "register")
        manifest = stage.workflows / "txt2img" / "manifest.toml"
        manifest.write_text(manifest.read_text().replace('command = "txt2img"', 'command = "dream"'))
        await stage.discord.until(lambda: "dream" in {one["name"] for one in stage.discord.state.commands.of[None]}, 20)
        assert "Planted: offers" in said()
        assert "Planted: register" in said()
        await stage.result(stage.discord.slash("dream", {"prompt": "a cat", **SMALL}))


async def test_one_job_that_cannot_be_followed_after_a_restart_is_one_job(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.bot():
        stage.hold()
        first = imagine(stage)
        await stage.until("[Cancel]", first)
        second = imagine(stage)
        await stage.until("[Cancel]", second)
    # The jobs are followed in the order in which they were accepted.
    breaks(monkeypatch, live_messages, "view_of")
    async with stage.bot():
        stage.go_on()
        await stage.result(second)


async def test_a_result_whose_display_failed_is_shown_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    async with stage.bot() as life:
        stage.hold()
        asked = imagine(stage)
        job = job_of(await stage.until("[Cancel]", asked))
        breaks(monkeypatch, delivery, "render", times=2)
        stage.go_on()
        await stage.result(asked)
        assert (await ended(life, job)).notified
        assert "Planted: render" in said()


async def test_a_result_that_cannot_be_shown_at_all_is_shown_by_the_next_bot(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    async with stage.bot() as life:
        stage.hold()
        asked = imagine(stage)
        job = job_of(await stage.until("[Cancel]", asked))
        breaks(monkeypatch, delivery, "render", times=3)
        stage.go_on()
        shown = await stage.until("Something went wrong", asked)
        found = IDENTIFIER.search(words(shown).replace("\\", ""))
        assert found
        assert f"id={found[1]}" in said()
        kept = await life.journal.find(job)
        assert kept is not None
        assert not kept.notified
    async with stage.bot():
        await stage.result(asked)


async def test_a_form_of_a_manifest_that_was_saved_meanwhile_is_one_sentence(stage: Stage) -> None:
    message = stage.discord.say("look", files=[photo()])
    async with stage.bot():
        opened = await stage.answered(stage.discord.message_menu("Image to image", message))
        manifest = stage.workflows / "img2img" / "manifest.toml"
        before = len(stage.discord.requested("PUT", "/commands"))
        manifest.write_text(manifest.read_text().replace("[slots.image]", "[slots.picture]"))
        await stage.discord.until(lambda: len(stage.discord.requested("PUT", "/commands")) > before, 20)
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a story that took long to write"})
        told = await stage.ephemeral_followup(sent)
        assert "Something went wrong" not in told
        assert "image" in told
        assert "a story that took long to write" in told
        await still_works(stage)


async def test_a_job_whose_server_is_no_longer_configured_can_be_cancelled(stage: Stage) -> None:
    async with stage.another_server("gone") as other:
        here, gone = HERE, ServerName("gone")
        stage.servers = {gone: other}
        other.faults.ask(Request(hold=True))
        async with stage.bot():
            asked = imagine(stage)
            message = await stage.until("[Cancel]", asked)
            while other.running is None:
                await anyio.lowlevel.checkpoint()
        stage.servers = {here: stage.simulator}
        # The next bot makes the job here instead, which must not be over before somebody cancels it.
        stage.hold()
        async with stage.bot() as life:
            stage.press(message, "Cancel")
            with anyio.fail_after(ENOUGH):
                while (job := await life.journal.find(job_of(message))) is None or not job.cancelling:
                    await anyio.lowlevel.checkpoint()
            stage.go_on()
            await stage.until("Cancelled", asked)
            assert (await ended(life, job_of(message))).notified
            await still_works(stage)
        stage.servers[gone] = other
