"""The configuration is loaded again when its file changes or somebody asks; a wrong one changes nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from app.actors.reload import LOOK, ReloadActor
from app.actors.servers import ConfiguredServer, Servers
from app.config.load import load_config, reload_config
from app.config.settings import Config
from app.events import ServerName

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("program_logs")]


class Reloads:
    """What a reload actor requests, and the file that it looks at."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "atelier.toml"
        self.requests: list[Mapping[ServerName, ConfiguredServer]] = []
        self.write("studio")
        config = load_config({}, folder)
        load = partial(reload_config, config, {}, folder)
        self.loaded: list[Config] = []
        self.actor = ReloadActor(config, load, Servers(self.requests.append, self.requests.append), self.loaded.append)

    def write(self, *names: str, more: str = "") -> None:
        servers = [f'[[servers]]\nname = "{name}"\nurl = "http://{name}"\n{more}' for name in names]
        self.path.write_text("".join(servers))

    async def until(self, count: int) -> Mapping[ServerName, ConfiguredServer]:
        """Wait for so many requests; return the last one."""
        with anyio.fail_after(30):
            while len(self.requests) < count:  # noqa: ASYNC110  nobody else could wake us
                await anyio.sleep(0.05)
        assert len(self.requests) == count
        return self.requests[-1]


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[Reloads]:
    reloads = Reloads(folder)
    async with anyio.create_task_group() as tasks:
        await tasks.start(reloads.actor.run)
        yield reloads
        tasks.cancel_scope.cancel()


async def test_a_changed_file_is_noticed_and_its_servers_are_requested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.actors.reload.LOOK", 0.1)
    async with running(tmp_path) as reloads:
        reloads.write("studio", "cellar", more='weight = 2\nfailover_after = 9\nworkflows = ["a"]\n')
        wanted = await reloads.until(1)
        assert list(wanted) == ["studio", "cellar"]
        settings = wanted[ServerName("cellar")].settings
        assert (settings.weight, settings.failover_after, settings.workflows) == (2, 9, {"a"})
        assert [len(config.servers) for config in reloads.loaded] == [2], "the frontend learns of it as well"
        await anyio.sleep(0.5)
        assert len(reloads.requests) == 1, "a file that has not changed is left alone"


async def test_a_wrong_file_is_one_line_in_the_log_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.actors.reload.LOOK", 0.1)
    logged = ""

    async def complaints(count: int) -> list[str]:
        nonlocal logged
        while True:
            logged += capsys.readouterr().err
            lines = [line for line in logged.splitlines() if "nothing changes" in line]
            if len(lines) >= count:
                return lines
            await anyio.sleep(0.05)

    async with running(tmp_path) as reloads:
        with anyio.fail_after(30):
            reloads.write("studio", more="weight = 0\n")
            await complaints(1)
            reloads.path.unlink()
            lines = await complaints(2)
        assert not reloads.requests
        reloads.write("cellar")
        assert list(await reloads.until(1)) == ["cellar"]
    assert lines == await complaints(0)
    assert len(lines) == 2
    assert "atelier.toml, line 4: “weight” must be a number greater than 0." in lines[0]
    assert "is gone" in lines[1]


async def test_a_request_loads_an_unchanged_file_and_names_settings_that_need_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.actors.reload.LOOK", 1000.0)
    async with running(tmp_path) as reloads:
        reloads.actor.reload()
        await reloads.until(1)
        assert "restart the bot" not in capsys.readouterr().err
        reloads.path.write_text(f"depth = 1\n{reloads.path.read_text()}[discord]\npresence = 'hi'\n")
        reloads.actor.reload()
        assert list(await reloads.until(2)) == ["studio"]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "restart the bot" in line]
    assert "depth" in line
    assert "[discord]" in line
    assert LOOK <= 5
