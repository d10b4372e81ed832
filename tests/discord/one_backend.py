"""One backend for tests whose subject is what the bot says and makes, which is the same on both."""

from __future__ import annotations

import pytest


def only_on(backend: str) -> object:
    """The fixture `anyio_backend` of a module that needs one backend.

    About as many modules are on trio as on asyncio. What could depend on the backend runs on both: starting and
    stopping, every command and button, restarts, errors, requests that cross between the loops, and many at once.
    """

    @pytest.fixture(name="anyio_backend")
    def chosen() -> str:
        return backend

    return chosen
