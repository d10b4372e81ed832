"""New results appear in a gallery that is open, and disturb nobody who looks at something."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.browser.test_access import violations
from tests.browser.test_gallery import MOVES
from tests.browser.visit import Visit
from tests.browser.world import World, until

LISTENS = "() => performance.getEntriesByType('resource').some(({ name }) => name.includes('/new?'))"
"""Whether the page has begun to listen: then it looks for what came before."""


def listening(page: Page) -> None:
    until(lambda: page.evaluate(LISTENS))


def test_a_new_result_appears_at_the_top_and_what_stands_there_slides_away(alice: Visit, page_world: World) -> None:
    page = alice.open("/?text=numbat")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    listening(page)
    page_world.imagine("a numbat reads", width=512, height=256)
    page_world.imagine("a bilby reads")
    tiles = page.locator(".grid > .tile")
    expect(tiles).to_have_count(1)
    picture = tiles.locator("img")
    until(lambda: picture.evaluate("(one) => one.complete && one.naturalWidth === 2 * one.naturalHeight"))
    expect(page.get_by_role("status")).to_have_text("1 new result")
    expect(page.get_by_text("Nothing matches")).to_have_count(0)
    page.evaluate(MOVES)
    # Somebody else's, in a place that Alice does not see, and a second one that she does.
    grace, linus = page_world.people[1:]
    page_world.imagine("a numbat hides", user=grace, channel=page_world.discord.dm(grace))
    page_world.imagine("a numbat writes", user=linus)
    expect(page.locator(".grid > .tile", has_text="a numbat writes")).to_be_visible()
    expect(tiles).to_have_count(2)
    page.wait_for_timeout(500)
    assert page.evaluate("window.moved") == []
    newest = [tile.split(maxsplit=2)[1] for tile in tiles.all_text_contents()]
    assert newest == ["numbat", "numbat"]
    # Above everything else: all of that slides down.
    alice.open("/")
    until(lambda: page.evaluate(LISTENS))
    page.evaluate(MOVES)
    page_world.imagine("a numbat sings", seed=9)
    expect(page.locator("#new > .tile")).to_have_count(1)
    page.wait_for_timeout(500)
    assert page.evaluate("window.moved") == []
    expect(tiles.first).to_contain_text("a numbat sings")


def test_a_button_shows_new_results_to_who_looks_at_others(alice: Visit, page_world: World) -> None:
    page = alice.page
    listening(page)
    page.mouse.wheel(0, 600)
    page.wait_for_function("scrollY > 500")
    first = page.locator(".grid[data-endless] > .tile").first.get_attribute("id")
    page.evaluate(MOVES)
    page_world.imagine("a potoroo paints")
    button = page.get_by_role("button", name="1 new result")
    expect(button).to_be_visible()
    # What comes while nobody sees the page is there once somebody does.
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { value: true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    page_world.imagine("a second potoroo paints")
    until(lambda: any(m["attachments"] and "second potoroo" in str(m) for m in page_world.discord.messages))
    expect(button).to_be_visible()
    page.evaluate("""() => {
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    button = page.get_by_role("button", name="2 new results")
    expect(button).to_be_visible()
    assert page.evaluate("window.moved") == []
    assert violations(page) == []
    button.click()
    expect(page.locator("#new > .tile").first.locator("a")).to_be_focused()
    expect(page.locator("#new > .tile")).to_have_count(2)
    expect(page.locator("#new > .tile").first).to_contain_text("a second potoroo paints")
    expect(page.locator("#new > .tile").first).to_be_in_viewport()
    expect(page.locator(f"#{first}")).to_be_in_viewport()
    expect(button).to_be_hidden()
    assert violations(page) == []


def test_a_page_that_could_not_ask_what_is_new_asks_again(alice: Visit, page_world: World) -> None:
    page = alice.page
    listening(page)
    page.clock.install()
    refused = 0

    def refuse(route: Route) -> None:
        nonlocal refused
        refused += 1
        route.fulfill(status=503, body="Try again in a moment.")

    page.route("**/new?*", refuse)
    page_world.imagine("a quokka waits")
    until(lambda: page.clock.run_for(1000) or refused)
    page.unroute_all(behavior="wait")
    alice.complaints.clear()
    until(lambda: page.clock.run_for(1000) or page.locator("#new > .tile", has_text="a quokka waits").count())
