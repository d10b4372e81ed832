"""The frame of the page: who gets in, what is said to everybody else, and what every answer has."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from app.http.page.protection.headers import HEADERS, POLICY
from app.http.page.protection.rate_limits import PER_SESSION
from app.http.page.protection.sessions import DAY
from app.http.page.rendering import FOLDER as TEMPLATES
from app.http.page.rendering import environment
from app.http.page.static_files import FOLDER, StaticFiles
from app.service.reasons import JobRemoved
from app.texts.reasons.text import reason_text
from tests.http.page.site import ADA, BASE, ORIGIN, Site, cookie_of

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>{{ 7 * 7 }}"


def is_protected(response: httpx.Response) -> bool:
    return {name: response.headers.get(name) for name in HEADERS} == dict(HEADERS)


async def test_who_is_logged_in_sees_the_page_and_others_are_led_to_the_login() -> None:
    site = Site()
    async with site.browser(ADA) as ada, site.browser() as nobody:
        assert f"shown to {ADA}" in (await ada.get("/")).text
        led = await nobody.get("/?text=a b&owner=1")
        assert led.status_code == 303
        assert led.headers["location"] == f"{BASE}/login?next=%2Fatelier%2F%3Ftext%3Da%2520b%26owner%3D1"
        login = await nobody.get("/login")
        assert login.status_code == 200
        assert "/page in Discord" in login.text
        assert "search" not in login.text
        for what in ({"Accept": "image/avif,image/webp"}, {"Accept": "text/event-stream"}):
            assert (await nobody.get("/", headers=what)).status_code == 401
        part = await nobody.get("/", headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, f"{BASE}/login")


async def test_until_the_bot_has_started_every_page_says_so() -> None:
    site = Site(ready=False)
    async with site.browser(ADA) as ada, site.browser() as nobody:
        for browser in (ada, nobody):
            starting = await browser.get("/")
            assert starting.status_code == 503
            assert "The bot is starting" in starting.text


async def test_where_everything_is_for_everybody_nobody_logs_in() -> None:
    site = Site("", everything=True)
    async with site.browser() as browser:
        first = await browser.get("/")
        assert first.status_code == 200
        browser.headers["Cookie"] = cookie_of(first)
        session, _ = site.sessions.read(cookie_of(first))
        assert session is not None
        token = site.sessions.csrf_token(session)
        assert (await browser.send_form("/change", csrf=token, what="one")).status_code == 204
        assert (await browser.send_form("/change", what="two")).status_code == 403
    assert site.sample.changes == [" one"]


async def test_a_foreign_site_cannot_pretend_to_be_a_page_of_this_machine() -> None:
    site = Site("", everything=True)
    async with site.browser() as browser:
        for host, status in (
            *(("127.0.0.1:8899", 200), ("localhost:1234", 200), ("[::1]:8899", 200)),
            *(("evil.example:8899", 421), ("127.0.0.1.evil.example", 421), ("[::", 421), ("", 421)),
        ):
            assert (await browser.get("/", headers={"Host": host})).status_code == status, host


async def test_refusals_and_bugs_are_one_sentence_each() -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        gone = await ada.get("/gone")
        assert gone.status_code == 404
        assert reason_text(JobRemoved()) in gone.text
        with capture_logs() as lines:
            broken = await ada.get("/bug/a-secret-token")
        assert broken.status_code == 500
        (line,) = lines
        assert (line["event"], line["part"]) == ("a page could not be shown", "bug")
        assert line["id"] in broken.text
        assert "a-secret-token" not in str(lines)
        assert "a bug" not in broken.text
        part = await ada.get("/gone", headers={"HX-Request": "true"})
        assert part.text.startswith('<p class="problem" role="alert">')


async def test_every_answer_has_the_headers_that_protect_people() -> None:
    site = Site()
    async with site.browser(ADA) as ada, site.browser() as nobody:
        answers = [
            *[await ada.get(path) for path in ("/", "/gone", "/bug/x", "/nowhere", "/change", "/login")],
            *[
                await nobody.get(path)
                for path in ("/", "/login", site.context.static.address("style.css")[len(BASE) :])
            ],
            await ada.post("/change", content=b"x" * 100_000),
            await ada.send_form("/change", origin="https://evil.example"),
            await ada.send_form("/change", csrf=ada.csrf),
            await ada.get(f"{ORIGIN}/elsewhere"),
            await ada.get(f"{ORIGIN}{BASE}"),
            await ada.request("TRACE", "/"),
        ]
    assert [(each.request.method, each.url.path) for each in answers if not is_protected(each)] == []
    assert {each.status_code for each in answers} >= {200, 204, 303, 308, 403, 404, 405, 413, 500}
    assert "unsafe" not in POLICY


async def test_texts_of_people_are_shown_as_they_are_and_never_run() -> None:
    site = Site()
    session = site.sessions.begin(ADA, HOSTILE)
    async with site.browser() as browser:
        browser.headers["Cookie"] = site.sessions.header(session).partition(";")[0]
        page = (await browser.get("/", params={"text": HOSTILE})).text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    made = environment().get_template("problem_part.html").render(sentence=HOSTILE)
    assert "<script" not in made


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.glob("*.html")))
def test_templates_have_nothing_inline_and_no_words(template: str) -> None:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|\|\s*safe|<script(?![^>]* src=)", text)
    assert not re.search(r"https?://", text)
    words = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]*>|\s+|[–·…›‹×,.:/()-]", "", text, flags=re.DOTALL)
    assert words == "", "words belong into app/texts/page.py"
    for attribute in re.findall(r'\s(?:aria-label|placeholder|title|alt)="([^"]*)"', text):
        assert re.sub(r"\{\{.*?\}\}|\s", "", attribute) == ""


async def test_below_the_base_path_is_the_page_and_elsewhere_is_nothing_of_it() -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        page = (await ada.get("/")).text
        for link in re.findall(r'(?:href|action|src)="([^"]*)"', page):
            assert link.startswith((f"{BASE}/", "#")), link
        assert (await ada.get(f"{ORIGIN}/")).status_code == 404
        assert (await ada.get(f"{ORIGIN}/login")).status_code == 404
        led = await ada.get(f"{ORIGIN}{BASE}")
        assert (led.status_code, led.headers["location"]) == (308, f"{BASE}/")
        for path in ("/healthz", "/metrics", "/..%2fhealthz", "/%2e%2e/healthz"):
            assert (await ada.get(path)).status_code == 404


async def test_static_files_are_kept_for_good_and_their_address_changes_with_them() -> None:
    site = Site()
    static = site.context.static
    async with site.browser() as browser:
        for name in static.names:
            answer = await browser.get(f"{ORIGIN}{static.address(name)}")
            assert answer.content == (FOLDER / name).read_bytes()
            assert "immutable" in answer.headers["cache-control"]
            assert "set-cookie" not in answer.headers
        path = static.address("style.css")
        plain = await browser.get(f"{ORIGIN}{path}", headers={"Accept-Encoding": "identity"})
        assert plain.content == (FOLDER / "style.css").read_bytes()
        assert plain.headers["content-type"] == "text/css; charset=utf-8"
        earlier = await browser.get(f"{BASE}/static/0000/style.css".removeprefix(BASE))
        assert earlier.headers["cache-control"] == "no-cache"
        for trick in ("../page.py", "..%2fpage.py", "%2e%2e/templates/base.html", "/etc/passwd", "", ".", "vendor"):
            assert (await browser.get(f"/static/1/{trick}")).status_code == 404
        assert (await browser.get("/static/1/vendor/README.md")).status_code == 404
    with pytest.raises(KeyError):
        static.address("nothing.css")


def test_another_content_has_another_address(tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text("a {}")
    first = StaticFiles("", tmp_path).address("style.css")
    assert StaticFiles("", tmp_path).address("style.css") == first
    (tmp_path / "style.css").write_text("b {}")
    assert StaticFiles("", tmp_path).address("style.css") != first


async def test_a_session_that_is_used_gets_a_new_cookie_after_a_day() -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        assert "set-cookie" not in (await ada.get("/")).headers
        site.clock.now += 2 * DAY
        renewed = await ada.get("/")
        assert site.sessions.read(cookie_of(renewed)) == (ada.session, False)
        kept = await ada.get(site.context.static.address("style.css")[len(BASE) :])
        assert "set-cookie" not in kept.headers


async def test_who_logs_out_is_out_also_with_a_copy_of_the_cookie() -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        out = await ada.send_form("/logout", csrf=ada.csrf)
        assert (out.status_code, out.headers["location"]) == (303, f"{BASE}/login")
        assert "Max-Age=0;" in out.headers["set-cookie"]
        assert (await ada.get("/")).status_code == 303


async def test_who_asks_too_often_waits_and_others_do_not() -> None:
    site = Site()
    async with site.browser(ADA) as ada, site.browser(ADA) as again:
        for _ in range(int(PER_SESSION.burst)):
            await ada.get("/nowhere")
        refused = await ada.get("/")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert is_protected(refused)
        assert (await again.get("/")).status_code == 200
        site.clock.now += 1
        assert (await ada.get("/")).status_code == 200
