"""Nothing is changed by a form that another page sends, and no form is too large or too slow."""

from __future__ import annotations

import anyio
import httpx
import pytest

from app.http.page.forms import MAX_FORM, PATIENCE
from app.http.page.protection.sessions import LIFE
from tests.http.page.site import ADA, GRACE, ORIGIN, Browser, Site


async def test_a_form_of_the_page_itself_is_accepted() -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        assert (await ada.send_form("/change", csrf=ada.csrf, what="one")).status_code == 204
        headers = {"X-CSRF-Token": ada.csrf, "Origin": ORIGIN}
        assert (await ada.post("/change", headers=headers)).status_code == 204
        # Some old browsers name no origin.
        assert (await ada.send_form("/change", origin=None, csrf=ada.csrf, what="two")).status_code == 204
    assert site.sample.changes == [f"{ADA} one", f"{ADA} ", f"{ADA} two"]


async def test_a_form_without_the_token_of_its_session_is_refused() -> None:
    site = Site()
    async with site.browser(ADA) as ada, site.browser(ADA) as elsewhere, site.browser(GRACE) as grace:
        old = ada.csrf
        for token in ("", "x", elsewhere.csrf, grace.csrf, old[:-4] + "AAAA"):
            refused = await ada.send_form("/change", csrf=token)
            assert refused.status_code == 403
            assert "This form is out of date" in refused.text
        assert (await ada.send_form("/change")).status_code == 403
        assert (await ada.post(f"/change?csrf={old}")).status_code == 403
        site.clock.now += LIFE - 1
        assert ada.session is not None
        ada.headers["Cookie"] = site.sessions.header(ada.session).partition(";")[0]
        site.clock.now += 2
        assert (await ada.send_form("/change", csrf=old)).status_code == 403
    assert site.sample.changes == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://example.org", "https://example.org:444"])
async def test_a_form_of_another_page_is_refused_although_it_has_the_token(origin: str) -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        assert (await ada.send_form("/change", origin=origin, csrf=ada.csrf)).status_code == 403
    assert site.sample.changes == []


async def test_a_form_of_somebody_who_is_not_logged_in_is_refused() -> None:
    site = Site()
    async with site.browser(ADA) as ada, site.browser() as nobody:
        assert (await nobody.send_form("/change", csrf=ada.csrf)).status_code == 401
        assert (await nobody.send_form("/logout", csrf=ada.csrf)).status_code == 403
        assert (await ada.get("/change")).status_code == 405
    assert site.sample.changes == []


class Pieces(httpx.AsyncByteStream):
    """A body in pieces, of which the server does not know how many there are, with a pause before each."""

    def __init__(self, piece: bytes, number: int, pause: float = 0.0) -> None:
        self._piece = piece
        self._left = number
        self._pause = pause

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        await anyio.sleep(self._pause)
        return self._piece


async def send_in_pieces(browser: Browser, pieces: Pieces) -> httpx.Response:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN}
    request = browser.build_request("POST", "/change", headers=headers)
    request.stream = pieces
    del request.headers["Content-Length"]
    return await browser.send(request)


async def test_fifty_megabytes_are_refused_however_they_are_sent() -> None:
    site = Site()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN}
    async with site.browser(ADA) as ada:
        announced = await ada.post("/change", content=b"x" * 50_000_000, headers=headers)
        assert announced.status_code == 413
        assert announced.text == "What you sent is larger than 64 kB: go back, shorten it, and send it again.\n"
        pieces = await send_in_pieces(ada, Pieces(b"x" * 65_536, 800))
        assert pieces.status_code == 413
        assert "too large" in pieces.text
        just = await ada.send_form("/change", csrf=ada.csrf, what="x" * (MAX_FORM - len(ada.csrf) - 20))
        assert just.status_code == 204
        little_more = Pieces(b"x" * (MAX_FORM // 2 + 1), 2)
        assert (await send_in_pieces(ada, little_more)).status_code == 413


async def test_a_form_that_arrives_too_slowly_is_refused() -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        began = anyio.current_time()
        assert (await send_in_pieces(ada, Pieces(b"a", 100, PATIENCE / 10))).status_code == 408
        assert anyio.current_time() - began < 2 * PATIENCE


async def test_what_is_no_form_is_refused_with_a_sentence() -> None:
    site = Site()
    async with site.browser(ADA) as ada:
        for content, media_type in ((b"{}", "application/json"), (b"x", "multipart/form-data"), (b"a=\xff", "")):
            headers = {"Content-Type": media_type or "application/x-www-form-urlencoded", "Origin": ORIGIN}
            refused = await ada.post("/change", content=content, headers=headers)
            assert refused.status_code in {400, 415}
            assert "does not understand" in refused.text
        many = "&".join(f"f{number}=1" for number in range(1_000)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN}
        assert (await ada.post("/change", content=many, headers=headers)).status_code == 400
