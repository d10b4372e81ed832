"""Logging in: with Discord, by a link, and never as somebody else."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.http.page.login import discord as discord_login
from app.http.page.login.discord import DiscordLogin
from app.http.page.login.links import PURPOSE
from app.http.page.login.login import PATIENCE
from app.service.page_access import LINK_MINUTES
from tests.discord.fake import APPLICATION, FakeDiscord, running
from tests.http.page.site import ADA, BASE, GRACE, ORIGIN, TOKEN, Browser, Site, cookie_of

REDIRECT = f"{ORIGIN}{BASE}/login/callback"


@pytest.fixture(scope="module")
def discord() -> Iterator[FakeDiscord]:
    with running() as fake:
        fake.oauth.redirects.append(REDIRECT)
        yield fake


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Real time, because Discord answers by real sockets."""
    return request.param


def site(discord: FakeDiscord, secret: str = "") -> Site:
    return Site(discord=DiscordLogin(APPLICATION, secret or discord.oauth.secret, discord.rest_url, REDIRECT))


class Visitor(Browser):
    """A browser that keeps its cookie."""

    async def send(self, request: httpx.Request, **more: object) -> httpx.Response:  # pyright: ignore[reportIncompatibleMethodOverride]
        response = await super().send(request, **more)  # pyright: ignore[reportArgumentType]
        if "set-cookie" in response.headers:
            self.headers["Cookie"] = cookie_of(response)
        return response

    @property
    def person(self) -> str:
        """Who is logged in."""
        session, _ = self.site.sessions.read(self.headers.get("cookie", ""))
        return session.person if session is not None else ""


def visitor(site: Site) -> Visitor:
    return Visitor(site, "", "203.0.113.5")


@asynccontextmanager
async def internet() -> AsyncGenerator[httpx.AsyncClient]:
    """What the same browser sends to Discord."""
    async with httpx.AsyncClient() as client:
        yield client


async def agree(client: httpx.AsyncClient, discord: FakeDiscord, address: str, person: str) -> str:
    """Press “Authorize” on Discord's page, or “Cancel” if `person` is "": the path to which Discord leads."""
    page = await client.get(address)
    assert page.status_code == 200
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)">', page.text.partition("<button")[0]))
    led = await client.post(f"{discord.url}/oauth2/authorize", data={**fields, "person": person})
    assert led.status_code == 302
    assert led.headers["location"].startswith(REDIRECT)
    return led.headers["location"].removeprefix(ORIGIN + BASE)


async def test_somebody_logs_in_with_discord_and_gets_where_they_wanted(discord: FakeDiscord) -> None:
    alice = discord.state.alice
    here = site(discord)
    async with visitor(here) as browser, internet() as client:
        login = await browser.get(f"/login?next={BASE}/jobs/1%3Fa=b")
        begin = re.search(r'href="([^"]*/login/discord[^"]*)"', login.text)
        assert begin is not None
        sent = await browser.get(ORIGIN + begin[1].replace("&amp;", "&"))
        assert sent.status_code == 303
        asked = parse_qs(urlsplit(sent.headers["location"]).query)
        assert asked["scope"] == ["identify"]
        assert asked["client_id"] == [APPLICATION]
        assert asked["code_challenge_method"] == ["S256"]
        before = browser.headers["cookie"]
        back = await agree(client, discord, sent.headers["location"], alice.id)
        done = await browser.get(back)
        assert (done.status_code, done.headers["location"]) == (303, f"{BASE}/jobs/1?a=b")
        assert browser.person == alice.id
        assert "Alice" in (await browser.get("/")).text
        # The session of before is worthless, so whoever knew it has nothing.
        assert here.sessions.read(before) == (None, False)
        again = await browser.get(back)
        assert again.status_code == 400
        assert browser.person == alice.id
        assert (await browser.get("/login")).headers["location"] == f"{BASE}/"
    assert discord.requested("POST", "/oauth2/token")[-1].authorization != ""


async def test_a_login_that_began_in_another_browser_ends_nowhere(discord: FakeDiscord) -> None:
    here = site(discord)
    async with visitor(here) as ada, visitor(here) as mallory, internet() as client:
        sent = await mallory.get("/login/discord")
        back = await agree(client, discord, sent.headers["location"], discord.state.alice.id)
        for path in (back, back.replace("state=", "state=x"), back.partition("&state")[0], "/login/callback"):
            refused = await ada.get(path)
            assert refused.status_code == 400
            assert "another browser" in refused.text
            assert ada.person == ""
        # A login that she has begun herself is another one.
        await ada.get("/login/discord")
        assert (await ada.get(back)).status_code == 400
        assert ada.person == ""
        here.clock.now += PATIENCE
        assert (await mallory.get(back)).status_code == 400
        assert mallory.person == ""


async def test_a_code_without_the_verifier_of_its_login_is_refused(discord: FakeDiscord) -> None:
    here = site(discord)
    async with visitor(here) as ada, internet() as client:
        backs: list[dict[str, list[str]]] = []
        for _ in range(2):
            sent = await ada.get("/login/discord")
            back = await agree(client, discord, sent.headers["location"], discord.state.alice.id)
            backs.append(parse_qs(urlsplit(back).query))
        query = {"code": backs[0]["code"][0], "state": backs[1]["state"][0]}
        swapped = await ada.get("/login/callback", params=query)
        assert swapped.status_code == 502
        assert "did not accept this login" in swapped.text
        assert ada.person == ""


async def test_who_does_not_agree_reads_what_to_do(discord: FakeDiscord) -> None:
    here = site(discord)
    async with visitor(here) as ada, internet() as client:
        sent = await ada.get("/login/discord")
        refused = await ada.get(await agree(client, discord, sent.headers["location"], ""))
        assert refused.status_code == 403
        assert "type /page in Discord" in refused.text
        assert ada.person == ""


async def test_a_discord_that_is_away_or_talks_nonsense_is_one_sentence(
    discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord_login, "SECONDS", 2.0)
    here = site(discord)
    async with visitor(here) as ada, internet() as client:
        for method, path, how in (
            ("POST", "/oauth2/token", {"status": 500, "html": True}),
            ("POST", "/oauth2/token", {"status": 200, "body": "[]"}),
            ("POST", "/oauth2/token", {"status": 200, "body": '{"access_token": "' + "x" * 100_000 + '"}'}),
            ("POST", "/oauth2/token", {"abort": True}),
            ("POST", "/oauth2/token", {"hold": True}),
            ("GET", "/users/@me", {"status": 200, "body": '{"id": "../etc"}'}),
            ("GET", "/users/@me", {"status": 200, "body": "{}"}),
            ("GET", "/users/@me", {"status": 401}),
        ):
            discord.fail(method, path, **how)
            sent = await ada.get("/login/discord")
            refused = await ada.get(await agree(client, discord, sent.headers["location"], discord.state.alice.id))
            discord.heal()
            assert refused.status_code == 502, how
            assert "Discord does not answer" in refused.text
            assert ada.person == ""


async def test_a_wrong_secret_is_one_sentence_and_a_line_in_the_log_without_it(discord: FakeDiscord) -> None:
    here = site(discord, "wrong-secret")
    async with visitor(here) as ada, internet() as client:
        sent = await ada.get("/login/discord")
        refused = await ada.get(await agree(client, discord, sent.headers["location"], discord.state.alice.id))
        assert refused.status_code == 502
        assert "did not accept this login" in refused.text


async def test_without_a_secret_there_is_no_login_with_discord() -> None:
    here = Site()
    async with visitor(here) as ada:
        assert "Log in with Discord" not in (await ada.get("/login")).text
        for path in ("/login/discord", "/login/callback?code=x&state=y"):
            assert (await ada.get(path)).status_code == 404


async def follow(browser: Visitor, link: str) -> httpx.Response:
    """Open a link and press “Continue”."""
    page = await browser.get(link)
    token = TOKEN.search(page.text)
    assert page.status_code == 200
    assert token is not None
    return await browser.send_form(link, csrf=token[1])


async def test_a_link_logs_its_person_in_once() -> None:
    here = Site()
    link = here.links.link(ADA)
    assert len(link) <= 512, "Discord's limit for a button"
    async with visitor(here) as ada, visitor(here) as other:
        for _ in range(3):
            # Programs that look at links, for a preview, use nothing up.
            assert (await other.get(link)).status_code == 200
            assert (await other.head(link)).status_code == 200
        before = other.headers["cookie"]
        ada.headers["Cookie"] = before
        done = await follow(ada, link)
        assert (done.status_code, done.headers["location"]) == (303, f"{BASE}/")
        assert ada.person == ADA
        assert here.sessions.read(before) == (None, False)
        used = await other.get(link)
        assert used.status_code == 410
        assert "type /page in Discord" in used.text
        fresh = visitor(here)
        page = await fresh.get(here.links.link(GRACE))
        token = TOKEN.search(page.text)
        assert token is not None
        assert (await fresh.send_form(link, csrf=token[1])).status_code == 410
        assert fresh.person == ""


async def test_a_link_is_not_followed_by_another_page_or_without_pressing_continue() -> None:
    here = Site()
    link = here.links.link(ADA)
    async with visitor(here) as ada:
        page = await ada.get(link)
        token = TOKEN.search(page.text)
        assert token is not None
        for origin, csrf in (("https://evil.example", token[1]), ("", "x"), ("", "")):
            assert (await ada.send_form(link, origin=origin, csrf=csrf)).status_code == 403
        assert ada.person == ""
        assert (await follow(ada, link)).status_code == 303


async def test_a_link_that_is_old_or_forged_or_of_an_earlier_process_is_worthless() -> None:
    here = Site()
    link, other = here.links.link(ADA), here.signer.sign(PURPOSE, ADA, "elsewhere", "x", life=900)
    async with visitor(here) as ada:
        forged = [link[:-2] + "AA", link.replace("/link/", "/link/x"), f"{ORIGIN}{BASE}/login/link/{other}"]
        forged += [f"{ORIGIN}{BASE}/login/link/{here.sessions.csrf_token(here.sessions.begin(ADA))}"]
        forged += [f"{ORIGIN}{BASE}/login/link/{here.signer.sign(PURPOSE, ADA, life=900)}"]
        for each in forged:
            assert (await ada.get(each)).status_code == 410, each
        here.clock.now += LINK_MINUTES * 60 - 1
        assert (await ada.get(link)).status_code == 200
        here.clock.now += 1
        assert (await ada.get(link)).status_code == 410
        assert ada.person == ""
