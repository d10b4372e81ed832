"""One bot and one browser for all tests of the folder."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.archive import PROMPTS
from tests.browser.visit import PATIENCE, Visit, chromium, visit
from tests.browser.world import World, world
from tests.rendering.browser import find

JOBS = 10_000


# Not for the session: Playwright's loop runs in this thread, where other tests run loops of their own.
@pytest.fixture(scope="package")
def browser() -> Generator[Browser]:
    if find() is None:
        pytest.skip("Chromium is not installed")
    expect.set_options(PATIENCE)
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="package")
def page_world(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    del browser  # without one there is nothing to serve
    with world(tmp_path_factory.mktemp("page"), jobs=JOBS, painted=5 * len(PROMPTS)) as opened:
        yield opened


@pytest.fixture
def alice(browser: Browser, page_world: World) -> Generator[Visit]:
    """Alice, who is logged in. Her browser has nothing to complain about."""
    with visit(browser, page_world) as visitor:
        visitor.log_in()
        yield visitor
        assert visitor.complaints == []
