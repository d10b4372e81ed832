"""Files of results: for one person, for some time, only as what they are, and only from where results are."""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from app.core.jobs.job import Variation
from app.http.page.results.files import FILE, LIFE, MARGIN, OTHER, POLICY, STEP, FileAddresses, file_name
from app.service.people.viewer import Viewer
from tests.http.page.exhibition import Exhibition, exhibition
from tests.http.page.site import ADA, GRACE, Browser

PICTURE = re.compile(r'<img src="([^"]*)"')


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Real time: files are read in threads."""
    return request.param


async def opened(browser: Browser, address: str, **headers: str) -> httpx.Response:
    """What the browser gets at an address that a page has."""
    return await browser.get(browser.origin + address, headers=headers)


def addresses(shown: Exhibition, person: str = ADA) -> FileAddresses:
    return FileAddresses(shown.site.context, Viewer(person))


async def test_a_thumbnail_of_the_grid_is_a_small_picture_that_the_browser_keeps(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("a")
        await shown.show(made)
        await shown.paint(made)
        address = html.unescape(PICTURE.findall((await ada.get("/")).text)[0])
        answer = await opened(ada, address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
        assert answer.content[8:12] == b"WEBP"
        match = re.fullmatch(r"private, max-age=(\d+), immutable", answer.headers["cache-control"])
        assert match is not None
        assert LIFE - MARGIN <= int(match[1]) <= LIFE + STEP - MARGIN
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in answer.headers


async def test_the_address_stays_the_same_for_a_while_and_ends(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("a")
        await shown.show(made)
        await shown.paint(made)
        # The clock of the site begins at a multiple of the step.
        shown.site.clock.now += 1
        first = addresses(shown).thumbnail("a", 0)
        shown.site.clock.now += STEP - 2
        assert addresses(shown).thumbnail("a", 0) == first
        assert (await opened(ada, first)).status_code == 200
        shown.site.clock.now += 2
        assert addresses(shown).thumbnail("a", 0) != first
        assert (await opened(ada, first)).status_code == 200
        shown.site.clock.now += LIFE
        assert (await opened(ada, first)).status_code == 404


async def test_an_address_is_worth_nothing_to_others_or_changed(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(GRACE) as grace, shown.site.browser(ADA) as ada:
        made = shown.job("a")
        await shown.show(made)
        await shown.paint(made)
        address = addresses(shown).original("a", 0, "a.png")
        assert (await opened(ada, address)).status_code == 200
        # Grace may see the picture, by an address of her own.
        assert (await opened(grace, address)).status_code == 404
        assert (await opened(grace, addresses(shown, GRACE).original("a", 0, "a.png"))).status_code == 200
        async with shown.site.browser() as nobody:
            nobody.headers["Accept"] = "image/webp,*/*"
            assert (await opened(nobody, address)).status_code == 401
        token = address.split("/")[3]
        for forged in (token[:-3] + "AAA", "x" + token, token[:-1], "", "x" * 5_000, "é" * 10):
            assert (await opened(ada, f"/atelier/files/{quote(forged)}/a.png")).status_code == 404
        other = shown.site.signer.sign("session", ADA, "o", "a", "0", life=LIFE)
        assert (await opened(ada, f"/atelier/files/{other}/a.png")).status_code == 404


async def test_the_rights_are_looked_at_whenever_a_file_is_opened(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(GRACE) as grace:
        made = shown.job("a")
        await shown.show(made)
        await shown.paint(made)
        made_for_grace = addresses(shown, GRACE)
        both = [made_for_grace.thumbnail("a", 0), made_for_grace.original("a", 0, "a.png")]
        assert [(await opened(grace, address)).status_code for address in both] == [200, 200]
        shown.channels.shown.clear()
        refused = [await opened(grace, address) for address in both]
        missing = await opened(grace, made_for_grace.original("nothing", 0, "a.png"))
        assert [answer.status_code for answer in (*refused, missing)] == [410, 410, 410]
        assert {answer.text for answer in refused} == {missing.text}


async def test_a_file_that_was_deleted_is_one_sentence(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("a")
        await shown.show(made)
        gone = await opened(ada, addresses(shown).original("a", 0, "a.png"))
        assert gone.status_code == 410
        assert "The result was deleted." in gone.text
        assert "immutable" not in gone.headers["cache-control"]


@pytest.mark.parametrize(
    ("suffix", "media_type", "disposition"),
    [
        (".png", "image/png", "inline"),
        (".MP4", "video/mp4", "inline"),
        (".mp3", "audio/mpeg", "inline"),
        (".html", OTHER, "attachment"),
        (".svg", OTHER, "attachment"),
        (".xml", OTHER, "attachment"),
        (".js", OTHER, "attachment"),
        (".glb", OTHER, "attachment"),
        (".txt", OTHER, "attachment"),
        ("", OTHER, "attachment"),
    ],
)
async def test_only_pictures_videos_and_sounds_are_shown_and_all_else_is_downloaded(
    tmp_path: Path, suffix: str, media_type: str, disposition: str
) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("a", files=("{}" + suffix,))
        await shown.show(made)
        await shown.paint(made)
        address = addresses(shown).original("a", 0, f"fox{suffix}")
        answer = await opened(ada, address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.headers["content-disposition"] == f'{disposition}; filename="fox{suffix}"'
        saved = await opened(ada, f"{address}?download=1")
        assert saved.headers["content-disposition"] == f'attachment; filename="fox{suffix}"'
        assert (await opened(ada, address.replace(f"fox{suffix}", "fox.exe"))).status_code == 404


async def test_videos_are_read_in_parts(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("a", files=("{}.mp4",))
        await shown.show(made)
        await shown.paint(made)
        address = addresses(shown).original("a", 0, "a.mp4")
        whole = await opened(ada, address)
        assert (whole.content, whole.headers["accept-ranges"]) == (b"0123456789", "bytes")
        part = await opened(ada, address, Range="bytes=2-4")
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
        assert (await opened(ada, address, Range="bytes=-3")).content == b"789"
        assert (await opened(ada, address, Range="bytes=50-")).status_code == 416
        assert (await ada.head(ada.origin + address)).headers["content-length"] == "10"


async def test_no_path_leads_out_of_the_results(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        (tmp_path / "secret.png").write_bytes(b"secret")
        made = shown.job("a")
        await shown.show(made)
        await shown.paint(made)
        token = addresses(shown).original("a", 0, "a.png").split("/")[3]
        for name in (
            "../secret.png",
            "..%2Fsecret.png",
            "%2e%2e/secret.png",
            ".png",
            "a%00.png",
            "a/../b.png",
            "a%0a.png",
        ):
            request = httpx.Request("GET", f"{ada.origin}/atelier/files/{token}/{name}")
            answer = await ada.send(request)
            assert answer.status_code in {303, 401, 404}, name
            assert b"secret" not in answer.content
        for index in (-1, 1, 10**30):
            signed = shown.site.signer.sign(FILE, ADA, "o", "a", str(index), life=LIFE)
            assert (await opened(ada, f"/atelier/files/{signed}/a.png")).status_code == 410


async def test_a_picture_that_was_changed_is_served_only_from_our_folders(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        inputs = tmp_path / "inputs"
        inputs.mkdir()
        for path in (inputs / "in.png", tmp_path / "private.png", inputs / "in.html"):
            path.write_bytes(b"x")
        for name, picture, status in (
            ("a", inputs / "in.png", 200),
            ("b", tmp_path / "private.png", 410),
            ("c", inputs / "in.html", 410),
            ("d", inputs / "none.png", 410),
        ):
            await shown.show(shown.job(name, variation=Variation("strong", str(picture))))
            address = addresses(shown).before(name, f"before{picture.suffix}")
            assert (await opened(ada, address)).status_code == status


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a fox, at dusk!", "a-fox-at-dusk-0f1e2d3c-2.png"),
        ("", "result-0f1e2d3c-2.png"),
        ("../../etc/passwd", "etc-passwd-0f1e2d3c-2.png"),
        ("雪の城", "雪の城-0f1e2d3c-2.png"),
        ('"; rm -rf <b>\r\n', "rm-rf-b-0f1e2d3c-2.png"),
        ("fox " * 50, "fox-" * 15 + "0f1e2d3c-2.png"),
    ],
)
def test_a_file_is_called_by_what_it_shows(prompt: str, name: str) -> None:
    assert file_name(prompt, "0f1e2d3c-4b5a", 2, ".png") == name


async def test_a_name_of_any_language_is_opened(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("a")
        await shown.show(made)
        await shown.paint(made)
        address = addresses(shown).original("a", 0, file_name("雪の城", "a", 1, ".png"))
        assert urlsplit(address).path.isascii()
        answer = await opened(ada, address)
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == f"inline; filename*=utf-8''{quote('雪の城-a-1.png')}"
