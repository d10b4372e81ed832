"""Several pictures of one request arrive one by one in one message, and end in it together."""

from __future__ import annotations

import anyio
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, ended, files, job_of, words

anyio_backend = only_on("trio")


class Gate:
    """A server that sends the third of its files only once it is told to."""

    def __init__(self, inner: Starlette) -> None:
        self._inner = inner
        self._opened = anyio.Event()

    def open(self) -> None:
        """Send it from now on."""
        self._opened.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/view" and b"_00003_" in scope["query_string"]:
            await self._opened.wait()
        await self._inner(scope, receive, send)


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> list[Gate]:
    """Such a server in place of the stage's, for each bot."""
    gates: list[Gate] = []

    def gated(simulator: Simulator) -> Gate:
        gates.append(Gate(application(simulator)))
        return gates[-1]

    monkeypatch.setattr("tests.discord.stage.application", gated)
    return gates


async def test_pictures_that_have_arrived_are_shown_while_the_others_are_made(stage: Stage, gates: list[Gate]) -> None:
    async with stage.bot() as life:
        asked = stage.discord.slash("txt2img", prompt="cats", count=4, width=64, height=64)
        unfinished = await stage.until("3 of 4 ready", asked)
        assert "[Cancel]" in words(unfinished)
        assert len(files(unfinished)) >= 3
        gates[0].open()
        finished = await stage.result(asked)
        assert len(files(finished)) == 4
        assert len(stage.simulator.history) == 4, "each picture is a prompt of its own"
        job = await ended(life, job_of(finished))
        assert job.request.seed is not None
        assert f"seeds from `{job.request.seed}`" in words(finished)
        assert len(await life.journal.jobs_of(job.request.owner, 10)) == 1


async def test_again_asks_for_as_many_pictures(stage: Stage) -> None:
    async with stage.bot():
        first = await stage.result(stage.discord.slash("txt2img", prompt="cats", count=2, width=64, height=64))
        again = await stage.result(stage.press(first, "Again"))
        assert len(files(again)) == 2
        assert len(stage.simulator.history) == 4


async def test_delete_deletes_the_files_of_all_its_pictures(stage: Stage) -> None:
    async with stage.bot() as life:
        finished = await stage.result(stage.discord.slash("txt2img", prompt="cats", count=3, width=64, height=64))
        await ended(life, job_of(finished))
        results = stage.data / "results"
        assert len(list(results.iterdir())) == 3
        await stage.answered(await stage.delete(finished))
        await stage.discord.until(lambda: not list(results.iterdir()), 30)


async def test_a_request_in_the_middle_of_its_pictures_goes_on_after_a_restart(stage: Stage, gates: list[Gate]) -> None:
    async with stage.bot():
        asked = stage.discord.slash("txt2img", prompt="cats", count=4, width=64, height=64)
        await stage.until("3 of 4 ready", asked)
    async with stage.bot():
        await stage.until("3 of 4 ready", asked)
        gates[1].open()
        finished = await stage.result(asked)
        assert len(files(finished)) == 4
        assert len(stage.simulator.history) == 4


async def test_cancel_keeps_the_pictures_that_are_ready(stage: Stage, gates: list[Gate]) -> None:
    async with stage.bot():
        asked = stage.discord.slash("txt2img", prompt="cats", count=4, width=64, height=64)
        stage.press(await stage.until("3 of 4 ready", asked), "Cancel")
        finished = await stage.result(asked)
        assert "3 of 4 pictures were made; the others were cancelled." in words(finished)
        assert len(files(finished)) == 3
        gates[0].open()


async def test_small_versions_are_shown_until_all_are_ready(stage: Stage, gates: list[Gate]) -> None:
    async with stage.bot():
        asked = stage.discord.slash("txt2img", prompt="cats", count=3, width=1024, height=1024)
        unfinished = await stage.until("2 of 3 ready", asked)
        assert len(files(unfinished)) >= 2
        assert all(int(item["size"]) <= 100_000 for item in unfinished["attachments"])
        gates[0].open()
        finished = await stage.result(asked)
        assert len(files(finished)) == 3
        for file in (stage.data / "results").iterdir():
            with Image.open(file) as picture:
                assert picture.size == (1024, 1024)
