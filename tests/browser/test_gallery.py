"""The gallery in a browser, with ten thousand results."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.visit import Visit, visit
from tests.browser.world import World, until

MOVES = """() => {
  window.moved = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries().filter(({ value }) => value > 0.001)) {
      for (const { node } of entry.sources) moved.push(`${entry.value.toFixed(3)} ${node?.id || node?.className}`);
    }
  }).observe({ type: "layout-shift", buffered: true });
}"""
"""Keeps, in `moved`, which parts of the page move although nobody touches it."""

SLOW_NETWORK = {"offline": False, "latency": 20, "downloadThroughput": 30_000, "uploadThroughput": 30_000}
"""Milliseconds, and bytes per second: the gallery takes seconds, and is drawn before the end of it has arrived."""

FROM_HERE = "(element) => element.getBoundingClientRect().top"


def keys(page: Page) -> list[int]:
    """The keys of all results in the grid, in their order."""
    tiles: list[str] = page.locator(".grid > .tile").evaluate_all("(all) => all.map((one) => one.id)")
    return [int(tile.removeprefix("j")) for tile in tiles]


def alts(page: Page) -> list[str]:
    """What all results in the grid show."""
    return page.locator(".grid > .tile").evaluate_all(
        "(all) => all.map((one) => one.querySelector('img')?.alt ?? one.querySelector('.words').textContent)"
    )


def search(page: Page, text: str) -> None:
    page.get_by_role("searchbox", name="Search prompts").first.fill(text)
    page.keyboard.press("Enter")


def test_somebody_logs_in_with_discord_and_logs_out(browser: Browser, page_world: World) -> None:
    with visit(browser, page_world) as visitor:
        page = visitor.open("/queue")
        expect(page.get_by_role("heading", name="Log in to Atelier")).to_be_visible()
        page.get_by_role("link", name="Log in with Discord").click()
        page.get_by_role("button", name="Authorize as grace").click()
        expect(page.get_by_role("heading", name="Queue")).to_be_visible()
        page.get_by_text("Grace", exact=True).click()
        page.get_by_role("button", name="Log out").click()
        visitor.open("/")
        expect(page.get_by_role("heading", name="Log in to Atelier")).to_be_visible()


def test_who_does_not_agree_is_told_what_to_do(browser: Browser, page_world: World) -> None:
    with visit(browser, page_world) as visitor:
        page = visitor.open("/login")
        page.get_by_role("link", name="Log in with Discord").click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("You did not let Discord say who you are")).to_be_visible()


def test_a_link_of_the_command_page_logs_in_once(browser: Browser, page_world: World) -> None:
    link = page_world.login_link()
    with visit(browser, page_world) as visitor:
        page = visitor.page
        page.goto(link)
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_text("Alice", exact=True)).to_be_visible()
    with visit(browser, page_world) as visitor:
        page = visitor.page
        page.goto(link)
        expect(page.get_by_text("This link was used or is too old")).to_be_visible()
        visitor.open("/")
        expect(page.get_by_role("heading", name="Log in to Atelier")).to_be_visible()


def test_nothing_moves_while_the_pictures_of_the_gallery_arrive(alice: Visit) -> None:
    page = alice.page
    until(lambda: page.locator(".grid img").first.evaluate("(picture) => picture.complete && picture.naturalWidth"))
    page.evaluate(MOVES)
    page.wait_for_timeout(200)
    assert page.evaluate("window.moved") == []


def test_nothing_moves_while_a_page_comes_in_parts(alice: Visit) -> None:
    # A server that is close sends all of a page at once, except on a busy machine.
    page = alice.page
    session = page.context.new_cdp_session(page)
    session.send("Network.emulateNetworkConditions", SLOW_NETWORK)  # pyright: ignore[reportUnknownMemberType]
    picture = page.locator(".grid > .tile > a").first.evaluate("(link) => link.href")
    for address in (page.url, f"{alice.world.url}/queue", picture):
        page.goto("about:blank")
        page.goto(address, wait_until="domcontentloaded")
        page.evaluate(MOVES)
        page.wait_for_timeout(200)
        assert page.evaluate("window.moved") == [], address


def test_what_arrived_of_a_page_that_breaks_off_is_shown_after_some_seconds(alice: Visit) -> None:
    page = alice.page

    def break_off(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().rpartition('<li class="tile')[0])

    page.emulate_media(reduced_motion="reduce")
    page.route(page.url, break_off)
    session = page.context.new_cdp_session(page)
    session.send("Animation.enable")  # pyright: ignore[reportUnknownMemberType]
    # The five seconds do not pass on a busy machine while the page is looked at, and then ten times as fast.
    session.send("Animation.setPlaybackRate", {"playbackRate": 0})  # pyright: ignore[reportUnknownMemberType]
    page.reload(wait_until="domcontentloaded")
    first = page.locator(".grid > .tile").first
    expect(first).to_be_attached()
    expect(first).not_to_be_visible()
    session.send("Animation.setPlaybackRate", {"playbackRate": 10})  # pyright: ignore[reportUnknownMemberType]
    expect(first).to_be_visible()
    page.unroute_all(behavior="wait")


def test_ten_thousand_results_are_browsed_without_end(alice: Visit) -> None:
    page = alice.page
    tiles = page.locator(".grid > .tile")
    seen = tiles.count()
    for _ in range(5):
        # As people scroll: further results are loaded while the end is two screens away.
        while page.locator("#older").evaluate(FROM_HERE) > 1500:
            page.evaluate("() => scrollBy(0, 600)")
        expect(tiles.nth(seen)).to_be_attached()
        seen = tiles.count()
    assert seen >= 300
    # Once only: more can arrive between two looks.
    shown = keys(page)
    assert shown == sorted(set(shown), reverse=True)
    # The very end, by the address that Older has.
    alice.open("/?before=61")
    tiles = page.locator(".grid > .tile")
    expect(tiles).to_have_count(60)
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    assert min(keys(page)) == 1


def test_nothing_moves_while_somebody_scrolls_faster_than_results_arrive(alice: Visit) -> None:
    page = alice.page
    page.evaluate(MOVES)

    def slowly(route: Route) -> None:
        page.wait_for_timeout(150)
        route.continue_()

    page.route("**/?before=*", slowly)
    tiles = page.locator(".grid > .tile")
    page.mouse.move(640, 400)
    while tiles.count() < 400:
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(30)
    page.unroute_all(behavior="wait")
    assert page.evaluate("window.moved") == []
    hidden = tiles.evaluate_all("(all) => all.filter((one) => getComputedStyle(one).visibility === 'hidden').length")
    assert hidden < 10
    # Nothing comes after the very last row.
    alice.open("/?before=70")
    page.mouse.wheel(0, 20_000)
    expect(tiles).to_have_count(69)
    expect(tiles.last).to_be_visible()


def test_back_from_a_picture_leads_to_where_one_was(alice: Visit) -> None:
    page = alice.page
    page.mouse.wheel(0, 20_000)
    tile = page.locator(".grid > .tile").nth(90)
    expect(tile).to_be_attached()
    place = tile.get_attribute("id")
    tile.locator("a").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    page.go_back()
    expect(page.locator(f"#{place} > a")).to_be_focused()
    expect(page.locator(f"#{place}")).to_be_in_viewport()


def test_a_search_finds_words_and_the_beginning_of_the_last_one(alice: Visit) -> None:
    page = alice.page
    search(page, "lighthouse variant12")
    page.wait_for_url(re.compile(r"text=lighthouse"))
    expect(page.get_by_role("heading", name="“lighthouse variant12”")).to_be_attached()
    found = alts(page)
    # variant12 and variant120 to variant129
    assert len(found) == 11
    assert all("lighthouse" in alt and "variant12" in alt for alt in found)
    search(page, "quagga")
    expect(page.get_by_text("Nothing matches: use fewer words or fewer filters.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.locator(".grid > .tile").nth(59)).to_be_attached()


def test_filters_limit_what_is_shown_and_are_removed_one_by_one(alice: Visit) -> None:
    page = alice.page
    page.get_by_role("link", name="Filters").click()
    page.get_by_label("Person").select_option("Grace")
    page.get_by_label("Made with").select_option(label="Image to image")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_role("link", name="Remove the filter Person: Grace")).to_be_visible()
    # The archive has every third result made from a picture, and changes the person after three.
    assert {(key - 1) % 9 for key in keys(page)} == {3}
    page.get_by_role("link", name="Remove the filter Person: Grace").click()
    expect(page.get_by_role("link", name="Remove the filter Person: Grace")).to_have_count(0)
    assert {(key - 1) % 9 for key in keys(page)} == {0, 3, 6}


def test_a_day_that_is_none_is_answered_with_a_sentence(alice: Visit) -> None:
    page = alice.open("/?from=yesterday")
    expect(page.get_by_text("“yesterday” is not a date: write it as 2026-11-30.")).to_be_visible()


def test_the_oldest_result_has_a_page_of_its_own(alice: Visit) -> None:
    page = alice.open("/?before=2")
    expect(page.locator(".grid > .tile")).to_have_count(1)
    page.locator(".grid > .tile > a").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("variant0")
