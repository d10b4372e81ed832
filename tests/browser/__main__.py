"""Play what people do on the page, and write what they see as small WebPs."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.archive import PROMPTS
from tests.browser.visit import PHONE, chromium, visit
from tests.browser.world import World, until, world
from tests.conftest import use_plain_tracebacks

PICTURES = Path(__file__).parents[2] / "docs" / "pictures" / "page"

LIGHTHOUSE = "a lighthouse at dusk, storm clouds, long exposure"

JOBS = 20 * len(PROMPTS)
"""All of them have pictures."""

QUALITY = 82
"""Percent; text stays sharp."""

LOADED = "() => [...document.images].filter((one) => one.loading !== 'lazy').every((one) => one.complete)"


class Album:
    """Keeps what a page shows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, name: str, page: Page) -> None:
        """Write what the window shows."""
        until(lambda: page.evaluate(LOADED))
        page.wait_for_timeout(500)  # lazy pictures
        with Image.open(io.BytesIO(page.screenshot())) as picture:
            path = self._folder / f"{name}.webp"
            picture.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def _finished(asked: World, prompt: str, count: int) -> None:
    until(lambda: sum(1 for one in asked.discord.messages if one["attachments"] and prompt in str(one)) >= count)


def _play(album: Album, browser: Browser, asked: World) -> None:
    _, grace, linus = asked.people
    with visit(browser, asked) as visitor:
        album.keep("login", visitor.open("/login"))
        page = visitor.log_in()
        album.keep("gallery", page)
        album.keep("search", visitor.open("/?text=snow"))
    with visit(browser, asked, scheme="dark") as visitor:
        page = visitor.log_in()
        asked.imagine(LIGHTHOUSE, width=768, height=512, steps=24)
        _finished(asked, LIGHTHOUSE, 1)
        until(lambda: visitor.open("/?text=lighthouse+dusk").get_by_role("link", name=LIGHTHOUSE, exact=False).count())
        page.locator(".grid > .tile > a").first.click()
        album.keep("picture", page)
        visitor.open("/queue")
        asked.imagine("a harbour in the morning, watercolour", width=512, height=512, steps=120)
        expect(page.locator(".queue-row")).to_have_count(1)
        asked.imagine("four foxes in the snow, golden hour", user=grace)
        asked.imagine("a portrait of the cat", user=linus, channel=asked.discord.dm(linus))
        asked.imagine("a night train through the hills", user=linus)
        asked.imagine("the same harbour in winter")
        expect(page.locator(".queue-row")).to_have_count(5)
        expect(page.locator(".queue-picture img").first).to_be_visible()
        page.wait_for_timeout(4000)  # until it is a third of its way
        album.keep("queue", page)
    with visit(browser, asked, viewport=PHONE, scheme="dark", scale=2.0) as visitor:
        album.keep("phone", visitor.log_in())


def write(folder: Path) -> None:
    """Write all pictures."""
    with (
        tempfile.TemporaryDirectory() as data,
        world(Path(data), jobs=JOBS, painted=JOBS) as asked,
        chromium() as browser,
    ):
        _play(Album(folder), browser, asked)


if __name__ == "__main__":
    use_plain_tracebacks()
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
