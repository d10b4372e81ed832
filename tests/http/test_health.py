"""Ready is a bot that keeps what it accepts and that Discord knows; a GPU that is away does not matter."""

from __future__ import annotations

import anyio
import pytest

from app.core.servers.state import ServerState
from app.http.health import FRESH, PATIENCE, open_health
from app.http.sources import Sources
from tests.conftest import virtual
from tests.http.figures import CONFIGURED, STUDIO, Discord, Journal, work

FULL = "The disk of the journal is full: make room."


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def well() -> Sources:
    """Sources of a bot that lacks nothing."""
    return Sources(Journal(), Discord(), work(), CONFIGURED, anyio.Event())


async def missing(sources: Sources) -> str:
    async with open_health(sources) as health:
        state = await health.readiness()
        assert state.ready is not bool(state.missing)
        return state.missing


async def test_a_bot_that_lacks_nothing_is_ready_and_says_how_discord_is() -> None:
    sources = well()
    assert await missing(sources) == ""
    async with open_health(sources) as health:
        assert (await health.readiness()).discord == "connected"
        sources.discord = Discord(is_connected=False)
        state = await health.readiness()
        assert (state.ready, state.discord) == (True, "reconnecting")


async def test_it_is_ready_while_its_only_gpu_is_away() -> None:
    sources = well()
    sources.work = work(STUDIO)
    sources.work.servers[STUDIO].reachable = False
    assert isinstance(sources.work.servers[STUDIO], ServerState)
    assert await missing(sources) == ""


async def test_it_is_not_ready_before_the_journal_and_discord_are_open_nor_when_it_stops() -> None:
    assert "journal is not open yet" in await missing(Sources())
    sources = well()
    sources.discord = None
    assert "Discord has not been reached yet" in await missing(sources)
    sources.discord = Discord(has_opened=False, is_connected=False)
    assert "Discord has not been reached yet" in await missing(sources)
    sources = well()
    assert sources.draining is not None
    sources.draining.set()
    assert "is stopping" in await missing(sources)


async def test_it_is_not_ready_while_the_journal_cannot_be_written() -> None:
    sources = well()
    journal = sources.journal = Journal(problem=FULL)
    async with open_health(sources) as health:
        assert (await health.readiness()).missing == FULL
        journal.problem = ""
        await anyio.sleep(FRESH)
        assert (await health.readiness()).ready


async def test_the_journal_is_checked_once_however_many_ask() -> None:
    sources = well()
    journal = sources.journal = Journal()
    async with open_health(sources) as health:
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(health.readiness)
        assert journal.checks == 1
        await anyio.sleep(FRESH)
        await health.readiness()
        assert journal.checks == 2


class Hanging(Journal):
    """A journal whose disk does not answer until `answers` is set."""

    answers: anyio.Event | None = None

    async def check(self) -> str:
        self.answers = self.answers or anyio.Event()
        await self.answers.wait()
        return await super().check()


async def test_a_disk_that_hangs_is_said_in_time_and_asked_once() -> None:
    sources = well()
    journal = sources.journal = Hanging()
    async with open_health(sources) as health:
        for _ in range(3):
            began = anyio.current_time()
            assert "does not answer" in (await health.readiness()).missing
            assert anyio.current_time() - began == PATIENCE
        assert journal.answers is not None
        journal.answers.set()
        assert (await health.readiness()).ready
        assert journal.checks == 1


class Broken(Journal):
    """A journal with a bug."""

    async def check(self) -> str:
        raise RuntimeError("a bug")


async def test_a_bug_in_the_check_is_a_sentence_and_ends_nothing() -> None:
    sources = well()
    sources.journal = Broken()
    assert "Something went wrong (id " in await missing(sources)


async def test_a_front_on_standby_is_not_ready_and_says_so() -> None:
    async with open_health(Sources(on_standby=True)) as health:
        state = await health.readiness()
    assert (state.ready, state.discord) == (False, "standby")
    assert state.missing == "This front is on standby: it takes over when the active one is gone."
