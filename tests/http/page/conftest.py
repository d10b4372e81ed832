"""The page on both backends."""

from __future__ import annotations

import pytest

from tests.conftest import virtual


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))
