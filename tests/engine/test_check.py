"""What `check` says about an engine."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from app.cli.check.engine import examine_engine
from app.config.engine import EngineSettings
from app.config.load import load_config
from app.engine.keys import lease_key
from tests.engine.valkey import Valkey
from tests.engine.world import connected


@pytest.fixture
def unsafe() -> Generator[Valkey]:
    server = Valkey("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    server.start()
    yield server
    server.close()


async def test_without_an_engine_nothing_is_said(tmp_path: Path) -> None:
    assert await examine_engine(load_config({}, tmp_path)) == []


async def test_a_good_engine_is_two_lines(database: EngineSettings, tmp_path: Path) -> None:
    config = load_config({}, tmp_path, engine=database.address)
    engine, workers = await examine_engine(config)
    assert (engine[0], engine[1]) == (True, "engine")
    assert database.address in engine[2]
    assert workers == (None, "workers", "none is there now")
    async with connected(database) as client:
        await client.set(lease_key("attic"), b"{}", 60.0)
    assert (await examine_engine(config))[1] == (True, "workers", "attic")


async def test_what_is_unsafe_is_a_sentence_that_says_what_to_set(unsafe: Valkey, tmp_path: Path) -> None:
    lines = await examine_engine(load_config({}, tmp_path, engine=unsafe.database().address))
    text = "\n".join(line for _, _, line in lines)
    assert "set “appendonly yes”" in text
    assert "(allkeys-lru): set “maxmemory-policy noeviction”" in text


async def test_an_engine_that_is_away_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.check.engine.PATIENCE", 0.2)
    (line,) = await examine_engine(load_config({}, tmp_path, engine="valkey://127.0.0.1:1"))
    assert line[:2] == (False, "engine")
    assert "cannot be reached" in line[2]
