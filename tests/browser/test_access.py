"""Everybody can use the page: on a phone, by keyboard, without scripts, with a screen reader."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.archive import job_id
from tests.browser.conftest import JOBS
from tests.browser.visit import DESKTOP, PHONE, Visit, visit
from tests.browser.world import World, until

NEWEST = f"/jobs/{job_id(JOBS - 1)}"

PAGES = {
    "gallery": "/",
    "filters": "/?filters=1",
    "search": "/?text=lighthouse",
    "nothing found": "/?text=quagga",
    "not a date": "/?from=yesterday",
    "picture": NEWEST,
    "delete": f"{NEWEST}/delete",
    "queue": "/queue",
    "no such page": "/nowhere",
}

WIDTH = "() => document.documentElement.scrollWidth"

STICKS_OUT = """() => [...document.querySelectorAll("main :is(input, select, textarea, button)")].filter((one) =>
  one.offsetParent && one.getBoundingClientRect().right > one.parentElement.getBoundingClientRect().right + 1
).map((one) => `${one.name} sticks out`)"""

AXE = """(rules) => axe.run(rules).then(
  ({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)
)"""

COLOURS = {"runOnly": {"type": "tag", "values": ["cat.color"]}}


def violations(page: Page) -> list[str]:
    """What axe-core finds on a page that is light, and in the colours of the same page when it is dark."""
    page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(AXE, {})
    # Colours that change slowly would be looked at on their way.
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += page.evaluate(AXE, COLOURS)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    return found


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_page_has_what_axe_finds_or_is_wider_than_the_screen(
    browser: Browser, page_world: World, viewport: ViewportSize
) -> None:
    found: dict[str, list[str]] = {}
    with visit(browser, page_world, viewport=viewport) as visitor:

        def look(name: str) -> None:
            if told := [*violations(page), *page.evaluate(STICKS_OUT)]:
                found[name] = told
            if (width := page.evaluate(WIDTH)) > viewport["width"]:
                found.setdefault(name, []).append(f"{width} pixels wide")

        page = visitor.open("/login")
        look("login")
        page.goto(page_world.login_link())
        look("link")
        visitor.log_in("linus")
        visitor.open("/queue")
        page_world.imagine("a long job", steps=60, user=page_world.people[2])
        expect(page.locator(".queue-row")).to_have_count(1)
        page_world.imagine("a job that waits")
        expect(page.locator(".queue-row")).to_have_count(2)
        look("queue with jobs")
        for name, path in PAGES.items():
            visitor.open(path)
            look(name)
        visitor.open("/queue")
        expect(page.get_by_text("Nothing is being made.")).to_be_visible()
    assert found == {}


def test_all_is_done_with_the_keyboard_alone(alice: Visit) -> None:
    page, keyboard = alice.page, alice.page.keyboard
    keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    keyboard.press("/")
    keyboard.type("lighthouse variant7")
    keyboard.press("Enter")
    page.wait_for_url(re.compile("text=lighthouse"))
    keyboard.press("j")
    keyboard.press("ArrowRight")
    second = page.locator(".grid > .tile").nth(1)
    expect(second.locator("a")).to_be_focused()
    place = second.get_attribute("id")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    first = page.url
    keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != first)
    keyboard.press("ArrowLeft")
    page.wait_for_url(first)
    keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    keyboard.press("Escape")
    expect(page.locator(f"#{place} > a")).to_be_focused()


def test_escape_leaves_a_picture_although_the_closed_dialog_still_has_the_focus(alice: Visit) -> None:
    page = alice.page
    page.locator(".grid > .tile > a").first.click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    # The key comes after the answer to this call, which the navigation that it causes would cut off.
    page.evaluate("""() => {
        const box = document.getElementById("keys-on");
        document.getElementById("keys").close();
        setTimeout(() => box.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true })));
    }""")
    expect(page.locator(".grid > .tile").first).to_be_visible()


def test_without_scripts_the_page_is_read_searched_and_used(browser: Browser, page_world: World) -> None:
    with visit(browser, page_world, scripts=False) as visitor:
        page = visitor.log_in()
        page.get_by_role("link", name="Older").click()
        page.wait_for_url(re.compile("before="))
        page.get_by_role("searchbox", name="Search prompts").fill("lighthouse variant7")
        page.keyboard.press("Enter")
        page.locator(".grid > .tile > a").first.click()
        expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        page_world.imagine("an okapi at the window")
        visitor.open("/queue")
        expect(page.get_by_role("link", name="Load the page again to see what has changed.")).to_be_visible()

        def shown() -> bool:
            visitor.open("/?text=okapi")
            return page.locator(".grid > .tile > a").count() == 1

        until(shown)
        page.locator(".grid > .tile > a").click()
        before = page.url
        page.get_by_role("button", name="Again", exact=True).click()
        page.wait_for_url(lambda url: url != before)
        until(lambda: page.reload() and page.locator(".shown img").count() == 1)


def test_a_finger_opens_a_picture_and_a_form_on_a_phone(browser: Browser, page_world: World) -> None:
    with visit(browser, page_world, viewport=PHONE) as visitor:
        page = visitor.log_in()
        page.locator(".grid > .tile > a").first.tap()
        expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        page.get_by_role("link", name="Back to the gallery").tap()
        expect(page.locator(".grid > .tile").first).to_be_visible()
