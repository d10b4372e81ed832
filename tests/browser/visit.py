"""A browser, and what somebody does in it."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, ViewportSize, sync_playwright

from tests.browser.world import World
from tests.rendering.browser import FLAGS, find

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}

PATIENCE = 30_000
"""Milliseconds for whatever a page is to show."""


@contextmanager
def chromium() -> Generator[Browser]:
    """The Chromium of the system, with an empty profile. Raises `LookupError` if there is none."""
    if (path := find()) is None:
        raise LookupError("Install Chromium first, for example with: apt-get install chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, env={"HOME": folder}, timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """Somebody's browser, with one page open in it."""

    def __init__(self, context: BrowserContext, world: World) -> None:
        self.world = world
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        """What is wrong with the page: failed scripts, parts that are missing, and what its policy forbids."""
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("response", self._see)

    def _hear(self, said: ConsoleMessage) -> None:
        # Discord's pages have their own faults, and a page that refuses something is as it should be.
        is_ours = said.location["url"].startswith(self.world.url)
        if is_ours and said.type == "error" and "Failed to load resource" not in said.text:
            self.complaints.append(said.text)

    def _see(self, response: Response) -> None:
        is_part = response.request.resource_type != "document" and response.url.startswith(self.world.url)
        # The job of a preview may have ended before the browser asks for it.
        is_late = response.status == 404 and "/queue/preview/" in response.url
        # A thumbnail may be made later than it is first asked for.
        is_late |= response.status == 410 and response.url.endswith("/t.webp")
        if is_part and response.status >= 400 and not is_late:
            self.complaints.append(f"{response.status} {response.url}")

    def open(self, path: str = "/") -> Page:
        """Go to a page, by its path below the base path."""
        self.page.goto(self.world.url + path)
        return self.page

    def log_in(self, name: str = "alice") -> Page:
        """Log in with Discord."""
        page = self.open("/login")
        page.get_by_role("link", name="Log in with Discord").click()
        page.get_by_role("button", name=f"Authorize as {name}").click()
        page.wait_for_url(f"{self.world.url}/")
        return page


@contextmanager
def visit(
    browser: Browser,
    world: World,
    *,
    viewport: ViewportSize = DESKTOP,
    scheme: Literal["light", "dark"] = "light",
    scripts: bool = True,
    scale: float = 1.0,
) -> Generator[Visit]:
    """A browser without cookies. A phone has a finger and no mouse."""
    is_phone = viewport["width"] < 600
    context = browser.new_context(
        viewport=viewport,
        color_scheme=scheme,
        java_script_enabled=scripts,
        device_scale_factor=scale,
        has_touch=is_phone,
        is_mobile=is_phone,
        locale="en-GB",
        timezone_id="UTC",
    )
    try:
        yield Visit(context, world)
    finally:
        context.close()
