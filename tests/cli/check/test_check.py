"""The `check` command, with servers that exist only here."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import pytest
from msgspec import Raw
from rich.console import Console

from app.cli.check.command import check
from app.config.settings import Power
from app.events import ServerEvent
from app.ports import Comfy, ConnectionLost, Stats
from app.reasons.servers import RefusedConnection
from tests.conftest import virtual
from tests.world import HERE

LOADING = 2.0
"""Seconds."""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Answering:
    """A server that answers within some milliseconds, but first waits for what this program has to load."""

    def __init__(self, *, lost_after: float = float("inf")) -> None:
        self._loading = LOADING
        self._opened = 0
        self._lost_after = lost_after

    async def nodes(self) -> Mapping[str, Raw]:
        return {}

    async def replacements(self) -> Mapping[str, Raw]:
        return {}

    async def stats(self) -> Stats:
        if self._opened > self._lost_after:
            raise ConnectionLost(RefusedConnection())
        await anyio.sleep(0.004)
        return Stats("0.33.0")

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        self._opened += 1
        await anyio.sleep(self._loading + 0.003)
        self._loading = 0.0
        yield cast("AsyncIterator[ServerEvent]", iter(()))
        await anyio.sleep(LOADING)


async def checked(server: Answering, folder: Path, power: Power | None = None) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=200)
    servers = {HERE: (cast("Comfy", cast("object", server)), server.connect)}
    code = await check(console, "", folder, servers, {}, started={HERE: power} if power is not None else {})
    return code, cast("io.StringIO", console.file).getvalue()


async def test_check_reports_how_fast_a_server_answers_and_not_how_long_it_loads_itself(tmp_path: Path) -> None:
    _, text = await checked(Answering(), tmp_path)
    assert "ComfyUI 0.33.0, no device, 0.0 of 0.0 GiB free, 4.0 ms, websocket 3.0 ms" in text


@pytest.mark.parametrize("times", [0, 1])
async def test_a_server_that_goes_away_meanwhile_is_a_sentence(tmp_path: Path, times: int) -> None:
    code, text = await checked(Answering(lost_after=times - 1), tmp_path)
    assert code == 1
    assert "✘  simulator      The server" in text


async def test_a_server_that_the_bot_starts_may_be_off_but_the_programs_must_be_there(tmp_path: Path) -> None:
    power = Power(start_command=("true",), stop_command=("no-such-program", "x"))
    code, text = await checked(Answering(lost_after=-1), tmp_path, power)
    assert "✘  simulator" not in text
    assert "The bot starts it when a job needs it." in text
    assert "There is no program “no-such-program”: install it, or correct “stop_command”." in text
    assert "“true”" not in text
    assert code == 1
