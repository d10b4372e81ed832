"""One Valkey for all tests of the engine that run in this process, each with a database of its own."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from app.config.engine import EngineSettings
from tests.engine.valkey import Valkey


@pytest.fixture(scope="session")
def valkey() -> Generator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.close()


@pytest.fixture
def database(valkey: Valkey) -> EngineSettings:
    return valkey.database()
