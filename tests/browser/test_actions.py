"""What people do on the page: make something again, and watch it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.visit import Visit
from tests.browser.world import World, until


def pictures_in(world: World, prompt: str) -> int:
    """How many messages with a finished picture of a prompt are in Discord."""
    messages = world.discord.messages
    return sum(1 for message in messages if message["attachments"] and prompt in str(message))


def test_again_shows_the_result_on_the_page_and_in_the_channel(alice: Visit, page_world: World) -> None:
    page = alice.page
    page_world.imagine("a quokka in a teacup")
    until(lambda: pictures_in(page_world, "a quokka in a teacup") == 1)
    alice.open("/?text=quokka+teacup")
    page.locator(".grid > .tile > a").click()
    expect(page.get_by_role("heading", name="a quokka in a teacup")).to_be_visible()
    before = page.url
    page.get_by_role("button", name="Again", exact=True).click()
    page.wait_for_url(lambda url: url != before and "/jobs/" in url)
    shown = page.locator(".shown img")
    expect(shown).to_be_visible()
    until(lambda: shown.evaluate("(picture) => picture.complete && picture.naturalWidth") == 256)
    expect(page.get_by_role("heading", name="Made from")).to_be_visible()
    until(lambda: pictures_in(page_world, "a quokka in a teacup") == 2)


def test_a_job_is_watched_in_the_queue_from_its_beginning_to_its_end(alice: Visit, page_world: World) -> None:
    page = alice.open("/queue")
    expect(page.get_by_text("Nothing is being made.")).to_be_visible()
    grace = page_world.people[1]
    page_world.imagine("a wombat reads a newspaper", steps=60)
    row = page.locator(".queue-row", has_text="a wombat reads a newspaper")
    expect(row).to_be_visible()
    page_world.imagine("a second wombat", user=grace)
    expect(page.locator(".queue-row", has_text="a second wombat")).to_contain_text("Grace")
    expect(page.locator("#queue-summary")).to_have_text("1 being made · 1 waiting")
    expect(row).to_contain_text(re.compile(r"step [1-9]\d*/60"))
    until(lambda: row.locator(".queue-picture img").evaluate("(picture) => picture.naturalWidth"))
    expect(page.get_by_text("Nothing is being made.")).to_be_visible()
    expect(page.locator(".queue-row")).to_have_count(0)
    until(lambda: alice.open("/?text=wombat").locator(".grid > .tile").count() == 2)


def test_somebody_cancels_their_own_job_and_no_other(alice: Visit, page_world: World) -> None:
    page = alice.open("/queue")
    page_world.imagine("a tapir for grace", steps=60, user=page_world.people[1])
    other = page.locator(".queue-row", has_text="a tapir for grace")
    expect(other).to_be_visible()
    page_world.imagine("a tapir for alice")
    own = page.locator(".queue-row", has_text="a tapir for alice")
    expect(own).to_be_visible()
    expect(other.get_by_role("button")).to_have_count(0)
    own.get_by_role("button", name="Cancel").click()
    expect(own).to_have_count(0)
    until(lambda: pictures_in(page_world, "a tapir for grace") == 1)
    assert pictures_in(page_world, "a tapir for alice") == 0
