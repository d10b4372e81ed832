"""The grid: paging, the search and the filters, what is written by people, and what nobody may see."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import cast

import httpx
import pytest
from msgspec import Struct
from msgspec.structs import replace

from app.events import JobId
from app.http.page.results.gallery import MOST_NEW, PER_PAGE
from app.http.page.results.ratios import NARROWEST, WIDEST, ratio_class, style_rules
from app.http.page.static_files import FOLDER
from app.service.queue.live_queue import LiveQueue
from app.texts import page as texts
from tests.http.page.exhibition import Called, Exhibition, exhibition
from tests.http.page.site import ADA, BASE, GRACE, Browser
from tests.http.page.test_page import HOSTILE

TILE = re.compile(r'<li class="tile ([^"]*)" id="j(\d+)">(.*?)</li>', re.DOTALL)
LINK = re.compile(r'<a href="([^"]*)"')
OLDER = re.compile(r'id="older" href="([^"]*)"')


class Open(Struct):
    """A live queue that so many pages follow."""

    open_streams: int


def jobs_of(page: httpx.Response) -> list[str]:
    """The jobs whose tiles stand on a page."""
    links = [html.unescape(match[1]) for _, _, tile in TILE.findall(page.text) if (match := LINK.search(tile))]
    return [httpx.URL(link).path.rpartition("/")[2] for link in links]


def older_of(page: httpx.Response) -> str:
    """The address of the next page; "" on the last one."""
    link = OLDER.search(page.text)
    return html.unescape(link[1]) if link else ""


async def all_jobs(browser: Browser, address: str) -> list[str]:
    """All jobs, from page to page by the links."""
    listed: list[str] = []
    while address:
        page = await browser.get(browser.origin + address)
        assert page.status_code == 200
        listed += jobs_of(page)
        address = older_of(page)
    return listed


async def test_every_entry_stands_on_one_page(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(*(shown.job(f"job-{number}") for number in range(3 * PER_PAGE + 7)))
        assert await all_jobs(ada, f"{BASE}/") == [f"job-{number}" for number in reversed(range(3 * PER_PAGE + 7))]
        first = await ada.get("/")
        assert len(jobs_of(first)) == PER_PAGE
        assert texts.NEWEST not in first.text
        assert texts.NEWEST in (await ada.get(ada.origin + older_of(first))).text


async def test_links_keep_the_search_and_the_search_field_keeps_what_was_typed(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(*(shown.job(f"job-{number}", "a red & blue fox") for number in range(PER_PAGE + 1)))
        await shown.show(*(shown.job(f"other-{number}", "a castle") for number in range(PER_PAGE)))
        search = "/?text=red+%26+fox&workflow=txt2img"
        page = await ada.get(search)
        assert 'value="red &amp; fox"' in page.text
        assert f'href="{BASE}/jobs/job-60?text=red+%26+fox&amp;workflow=txt2img"' in page.text
        assert await all_jobs(ada, BASE + search) == [f"job-{number}" for number in reversed(range(PER_PAGE + 1))]


async def test_an_open_page_gets_what_is_new_and_matches_and_nothing_that_its_person_may_not_see(
    tmp_path: Path,
) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("old", "a fox"))
        assert 'id="new"' not in (await ada.get("/")).text, "nothing is told where nothing runs"
        assert shown.site.sources.page is not None
        shown.site.sources.page = replace(shown.site.sources.page, live_queue=cast("LiveQueue", Open(10)))
        page = await ada.get("/?text=fox&workflow=txt2img")
        assert f'data-events="{BASE}/queue/events?only=results"' in page.text
        assert 'data-since="1799999990" data-spread="70"' in page.text
        assert f'src="{shown.site.context.static.address("new.js")}"' in page.text
        await shown.show(
            shown.job("new", "a red fox"),
            shown.job("another", "a castle"),
            shown.job("secret", "a white fox", owner=GRACE, channel="c2"),
        )
        new = await ada.get("/new?text=fox&workflow=txt2img&since=1799989998", headers={"Accept": "*/*"})
        assert (new.status_code, jobs_of(new)) == (200, ["new", "old"])
        assert f"{BASE}/jobs/new?text=fox&amp;workflow=txt2img" in new.text
        assert " data-more" not in new.text
        await shown.show(*(shown.job(f"job-{number}") for number in range(MOST_NEW)))
        assert " data-more" in (await ada.get("/new?since=1799989998")).text
        assert jobs_of(await ada.get("/new?since=1799999999")) == []
        for since in ("soon", "-1", "99999999999999999999"):
            assert (await ada.get(f"/new?since={since}")).status_code == 400
        for other in ("/?before=9", "/?from=soon", "/?person=nobody"):
            assert 'id="new"' not in (await ada.get(other)).text, other
    async with shown.site.browser() as nobody:
        assert (await nobody.get("/new?since=0", headers={"Accept": "*/*"})).status_code == 401


async def test_the_filters_limit_what_is_shown(tmp_path: Path) -> None:
    async with exhibition(tmp_path, names=Called({GRACE: "Grace", "g1": "The guild"})) as shown:
        graph = {"1": {"class_type": "X", "inputs": {"ckpt_name": "dream-xl.safetensors"}}}
        await shown.show(
            shown.job("a", "a fox"), shown.job("b", owner=GRACE, workflow="upscale"), shown.job("c", graph=graph)
        )
        async with shown.site.browser(ADA) as ada:
            for search, expected in (
                ("text=fox", ["a"]),
                (f"person={GRACE}", ["b"]),
                ("workflow=txt2img", ["c", "a"]),
                ("model=dream-xl.safetensors", ["c"]),
                ("guild=g1", ["c", "b", "a"]),
                ("from=2027-01-15&to=2027-01-15", ["c", "b", "a"]),
                ("from=2027-01-16", []),
                ("to=2027-01-14", []),
                (f"person={GRACE}&workflow=txt2img", []),
            ):
                page = await ada.get(f"/?{search}")
                assert (page.status_code, jobs_of(page)) == (200, expected), search
            form = (await ada.get(f"/?person={GRACE}&filters=1")).text
            assert f'<option value="{GRACE}" selected>Grace</option>' in form
            assert f'<option value="{ADA}">{texts.YOU}</option>' in form
            assert '<option value="dream-xl.safetensors">Dream XL</option>' in form
            assert '<option value="g1">The guild</option>' in form
            chips = (await ada.get(f"/?person={GRACE}&text=the")).text
            assert f'<a class="chip" href="{BASE}/?text=the" aria-label="Remove the filter Person: Grace">' in chips
            assert f'<input type="hidden" name="person" value="{GRACE}">' in chips, "a new search keeps the filters"


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ("from=2027-02-01&to=2027-01-01", texts.DATES_REVERSED),
        ("from=soon", "“soon” is not a date"),
        ("to=2027-13-45", "is not a date"),
        ("person=nobody", texts.UNKNOWN["person"]),
        ("workflow=magic", texts.UNKNOWN["workflow"]),
        ("model=magic", texts.UNKNOWN["model"]),
        ("guild=elsewhere", texts.UNKNOWN["guild"]),
        ("before=soon", texts.NO_SUCH_PLACE),
        ("before=-5", texts.NO_SUCH_PLACE),
        ("before=99999999999999999999", texts.NO_SUCH_PLACE),
        ("before=٣", texts.NO_SUCH_PLACE),
        (f"text={'x' * 300}", texts.TOO_LONG),
    ],
)
async def test_a_search_that_makes_no_sense_gets_one_sentence_and_keeps_what_was_typed(
    tmp_path: Path, search: str, sentence: str
) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("a"))
        page = await ada.get(f"/?{search}")
        assert page.status_code == 400
        assert page.text.count('<p class="problem" role="alert">') == 1
        assert sentence in page.text
        for part in search.split("&"):
            name, _, value = part.partition("=")
            assert name == "before" or f'value="{value}"' in page.text


async def test_an_empty_page_says_what_to_do(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        assert texts.EMPTY in (await ada.get("/")).text
        await shown.show(shown.job("a"))
        nothing = await ada.get("/?text=whale")
        assert nothing.status_code == 200
        assert texts.NOTHING_FOUND in nothing.text
        assert f'href="{BASE}/">{texts.SHOW_ALL}' in nothing.text
        end = (await ada.get("/?before=1")).text
        assert texts.NOTHING_OLDER in end
        assert f'href="{BASE}/">{texts.NEWEST}' in end


async def test_nobody_sees_a_channel_that_is_not_theirs_to_see(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(GRACE) as grace, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("a"), shown.job("secret", "a hidden fox", channel="c2"))
        assert jobs_of(await ada.get("/")) == ["secret", "a"]
        assert jobs_of(await grace.get("/")) == ["a"]
        assert "a hidden fox" not in (await grace.get("/?text=hidden&filters=1")).text
        assert jobs_of(await grace.get("/?text=hidden")) == []
        shown.channels.shown.clear()
        assert jobs_of(await grace.get("/")) == []


async def test_what_people_write_is_never_a_part_of_the_page(tmp_path: Path) -> None:
    hostile = {GRACE: HOSTILE, "g1": HOSTILE}
    async with exhibition(tmp_path, names=Called(hostile)) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("a", HOSTILE, owner=GRACE, workflow=HOSTILE, files=('x"onerror=alert(1).png',))
        graph = {"1": {"class_type": "X", "inputs": {"ckpt_name": HOSTILE}}}
        await shown.show(made, shown.job("b", graph=graph))
        await shown.journal.keep_dimensions(JobId("a"), 300, 200)
        for address in ("/", "/?filters=1", "/?" + str(httpx.QueryParams({"text": HOSTILE, "person": HOSTILE}))):
            page = (await ada.get(address)).text
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert "49" not in re.sub(r'"[^"]*"', "", page).replace("149", "")
            assert "onerror='" not in page
        assert html.escape(HOSTILE, quote=False)[:20] in page.replace("&#34;", '"')


async def test_a_tile_has_the_shape_of_its_picture_and_describes_it(tmp_path: Path) -> None:
    async with exhibition(tmp_path, names=Called({GRACE: "Grace"})) as shown, shown.site.browser(ADA) as ada:
        wide, batch = shown.job("wide", "a wide   fox"), shown.job("batch", files=("{}-1.png", "{}-2.png"), owner=GRACE)
        song, hidden = shown.job("song", "a song", files=("{}.mp3",)), shown.job("hidden", place="p")
        shown.spoilers.add("p")
        await shown.show(wide, batch, song, hidden)
        await shown.journal.keep_dimensions(wide.id, 384, 192)
        await shown.journal.keep_dimensions(batch.id, 200, 200)
        await shown.journal.keep_dimensions(song.id, 0, 0)
        await shown.journal.keep_dimensions(hidden.id, 100, 200)
        tiles = dict(zip(["hidden", "song", "batch", "wide"], TILE.findall((await ada.get("/")).text), strict=True))
        assert tiles["wide"][0] == ratio_class(384, 192)
        assert 'width="384" height="192" alt="a wide fox"' in tiles["wide"][2]
        assert ">You<" in tiles["wide"][2]
        assert '<span>2<span class="hidden-label"> pictures</span></span>' in tiles["batch"][2]
        assert ">Grace<" in tiles["batch"][2]
        assert "Audio" in tiles["song"][2]
        assert "<img" not in tiles["song"][2]
        assert "a song" in tiles["song"][2]
        assert '<details class="spoiler">' in tiles["hidden"][2]
        assert "spoiler" not in tiles["wide"][2]


async def test_only_the_first_pictures_are_loaded_at_once(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        for number in range(12):
            await shown.show(shown.job(f"{number}"))
            await shown.journal.keep_dimensions(JobId(f"{number}"), 200, 200)
        assert ["lazy" in tile for _, _, tile in TILE.findall((await ada.get("/")).text)] == [False] * 8 + [True] * 4


@pytest.mark.parametrize(
    "prompt", ["a lighthouse at dusk, oil on canvas, by a calm sea with boats " * 3, "雪の中の城" * 40]
)
async def test_a_page_is_small_without_its_pictures(tmp_path: Path, prompt: str) -> None:
    async with exhibition(tmp_path, names=Called({ADA: "Ada", GRACE: "Grace of the hills"})) as shown:
        for number in range(PER_PAGE + 1):
            name = f"0f1e2d3c-4b5a-6978-8796-a5b4c3d2{number:04}"
            await shown.show(shown.job(name, prompt, owner=GRACE, files=("{}-1.png", "{}-2.png")))
            await shown.journal.keep_dimensions(JobId(name), 384, 256)
        async with shown.site.browser(ADA) as ada:
            page = await ada.get("/")
            assert page.text.count("<img") == PER_PAGE
            assert len(page.content) <= 60_000


def test_every_shape_is_in_the_style_sheet_and_near_the_shape_of_its_picture() -> None:
    sheet = (FOLDER / "style.css").read_text()
    assert style_rules() in sheet
    shapes = {
        line[1:].partition(" ")[0]: float(line.partition("--r: ")[2].partition(";")[0])
        for line in style_rules().split("\n")
    }
    assert len(shapes) == WIDEST - NARROWEST + 1
    for width in range(1, 400, 7):
        for height in range(1, 400, 7):
            ratio, shown = width / height, shapes[ratio_class(width, height)]
            assert 0.98 < shown / min(max(ratio, 0.4), 3.0) < 1.025
    assert shapes[ratio_class(0, 0)] == 1.0


async def test_the_page_works_without_scripts(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(*(shown.job(f"{number}") for number in range(PER_PAGE + 1)))
        page = (await ada.get("/?filters=1")).text
        assert not re.search(r"\son\w+=|javascript:|style=", page)
        assert re.findall(r"<script(?! src)", page) == []
        assert '<form class="filters" action="/atelier/" method="get">' in page
        assert older_of(await ada.get("/"))


async def test_in_the_demo_everybody_sees_everything_and_people_by_their_names(tmp_path: Path) -> None:
    async with exhibition(tmp_path, everything=True) as shown, shown.site.browser() as anybody:
        await shown.show(shown.job("a", owner="Ada", channel=""), shown.job("b", owner="Linus", channel="c9"))
        page = await anybody.get("/")
        assert jobs_of(page) == ["b", "a"]
        assert ">Linus<" in page.text


async def test_a_journal_that_cannot_be_read_now_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await fail_journal(shown, monkeypatch)
        page = await ada.get("/")
        assert page.status_code == 503
        assert texts.JOURNAL_UNAVAILABLE in page.text


async def fail_journal(shown: Exhibition, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every reading of the gallery fail."""
    from app.core.journal_port import JournalUnavailable

    async def fail(*_: object, **__: object) -> None:
        raise JournalUnavailable("restore the backup")

    monkeypatch.setattr(shown.journal, "gallery", fail)


async def test_a_page_on_which_nothing_may_be_seen_leads_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.service.results.gallery.MOST_CHANNELS", 5)
    async with exhibition(tmp_path) as shown, shown.site.browser(GRACE) as grace:
        hidden = [shown.job(f"hidden-{number}", channel=f"x{number}") for number in range(2 * PER_PAGE)]
        await shown.show(shown.job("seen"), *hidden)
        first = await grace.get("/")
        assert (jobs_of(first), texts.MORE_TO_LOOK_AT in first.text) == ([], True)
        assert await all_jobs(grace, older_of(first)) == ["seen"]
