"""The queue on the page: the page itself, its events, previews, and cancelling."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from html import unescape
from pathlib import Path
from typing import cast

import anyio
import pytest
from msgspec import Struct
from msgspec.structs import replace
from starlette.types import Message

from app.core.scheduling.line.ahead import Ahead
from app.events import JobId
from app.http.application import Application
from app.http.page.page import Page
from app.http.page.parts import PageParts
from app.http.page.protection.rate_limits import RateLimits
from app.http.page.protection.sessions import Session
from app.http.page.queue.page import BEAT, CHECKED, PREVIEW_LIFE, QueuePage
from app.reasons.jobs import NoRoom
from app.service.page_actions import PageActions
from app.service.queue.live_queue import MOST_OF_ONE, MOST_STREAMS
from app.service.queue.rows import QueueRow, RowProgress
from app.service.reasons import NotYours
from app.service.results.gallery import Gallery
from app.texts import page as texts
from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError
from tests.http.page.site import BASE, Site
from tests.service.live import SECRET, House, house

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>{{ 7 * 7 }}"


class Event(Struct, frozen=True):
    """A server-sent event."""

    name: str
    data: dict[str, object] | list[str]
    ident: str


class Events:
    """An open page, which reads one piece of what is sent when a test asks for it."""

    def __init__(self) -> None:
        self.status = 0
        self.is_over = anyio.Event()
        self.gone = anyio.Event()
        """Set to close the page."""
        self._sender, self._pieces = anyio.create_memory_object_stream[bytes](0)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif body := message.get("body", b""):
            await self._sender.send(body)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def piece(self) -> str:
        """The next piece that was sent."""
        with anyio.fail_after(120.0):
            return (await self._pieces.receive()).decode()

    async def next(self, name: str, found: Callable[[Event], bool] = lambda _: True) -> Event:
        """The next such event."""
        while True:
            for each in read_events(await self.piece()):
                if each.name == name and found(each):
                    return each

    def end(self) -> None:
        """Let the reader know that nothing follows."""
        self._sender.close()

    def close(self) -> None:
        self._pieces.close()


def read_events(text: str) -> list[Event]:
    """The events of a piece; comments and the time of reconnecting are none."""
    read: list[Event] = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            read.append(Event(fields["event"], json.loads(fields["data"]), fields.get("id", "")))
    return read


class QueueSite(Site):
    """A site that has the queue of a house."""

    def __init__(self, at: House, *, everything: bool = False) -> None:
        super().__init__(everything=everything)
        self.sources.page = PageParts(gallery=cast("Gallery", None), live_queue=at.live)
        self.queue = QueuePage(self.context, lambda: 1e9 + anyio.current_time())
        page = Page(self.context, [self.queue], RateLimits([], self.clock))
        self.app = Application(page.routes(), page.middleware)

    @asynccontextmanager
    async def events(
        self, session: Session | None, query: str = "", last: str = "", wait: bool = True
    ) -> AsyncGenerator[Events]:
        """Open a page of this session."""
        opened = Events()
        headers = [(b"host", b"example.org"), (b"accept", b"text/event-stream")]
        if session is not None:
            headers.append((b"cookie", self.sessions.header(session).partition(";")[0].encode()))
        if last:
            headers.append((b"last-event-id", last.encode()))
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{BASE}/queue/events",
            "raw_path": f"{BASE}/queue/events".encode(),
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 40_000),
            "http_version": "1.1",
            "scheme": "https",
            "root_path": "",
            "server": ("example.org", 443),
        }

        async def talk() -> None:
            try:
                await self.app(scope, opened.receive, opened.send)
            finally:
                opened.is_over.set()
                opened.end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk)
            if wait:
                assert "retry: " in await opened.piece()
            try:
                yield opened
            finally:
                opened.gone.set()
                with anyio.CancelScope(shield=True):
                    await opened.is_over.wait()
                opened.close()


def html_of(event: Event) -> str:
    """The rows of an event, as the page shows them."""
    assert isinstance(event.data, dict)
    rows = event.data["rows"]
    assert isinstance(rows, list)
    return "".join(str(row["html"]) for row in rows)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def has_rows(event: Event) -> bool:
    return bool(html_of(event))


async def test_the_page_shows_the_queue_without_any_script(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=10.0) as at:
        site = QueueSite(at)
        await at.world.make(at.request())
        for owner in ("ada", "ada", "ada", "bob", "cy"):
            await at.submit(at.request(owner))
        await anyio.sleep(3.0)
        async with site.browser("ada") as browser, site.browser("cy") as stranger:
            page = await browser.get("/queue")
            assert page.status_code == 200
            text = unescape(re.sub(r"<[^>]*>", " ", page.text))
            assert "1 being made · 4 waiting" in text
            assert "on The studio" in text
            assert "done in about" in text
            assert "starts in about" in text
            assert "4th: 2 people have had less time than you" in " ".join(text.split())
            assert texts.QUEUE_RELOAD in text
            assert SECRET in text
            assert page.text.count('<li class="queue-row') == 5
            assert "<script>" not in page.text
            assert "style=" not in page.text

            hidden = (await stranger.get("/queue")).text
            # One is their own.
            assert hidden.count(SECRET) == 1
            assert hidden.count(texts.SOMEBODY.replace("'", "&#39;")) == 4
            assert "had less time" not in hidden


async def test_a_row_keeps_the_place_of_its_preview_and_bar_while_it_waits(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=30.0) as at:
        site = QueueSite(at)
        for owner in ("ada", "bob"):
            await at.submit(at.request(owner))
        await anyio.sleep(3.0)
        async with site.browser("bob") as browser, site.browser("cy") as stranger:
            page = (await browser.get("/queue")).text
            running, waiting = page.split("</li>")[:2]
            assert ("queue-picture" in running, "queue-progress" in running) == (True, True)
            assert ("queue-space" in waiting, "queue-why" in waiting) == (True, True)
            assert "<progress" not in waiting
            assert "queue-space" not in (await stranger.get("/queue")).text


async def test_an_empty_queue_says_so(tmp_path: Path) -> None:
    async with house(tmp_path) as at, QueueSite(at).browser("ada") as browser:
        assert texts.queue_summary(0, 0) in (await browser.get("/queue")).text


async def test_events_show_a_job_from_its_start_to_its_end(tmp_path: Path) -> None:
    async with house(tmp_path) as at, anyio.create_task_group() as tasks:
        site = QueueSite(at)
        async with site.events(site.sessions.begin("bob")) as page:
            assert (await page.next("queue")).data == {
                "rows": [],
                "progress": [],
                "order": [],
                "summary": texts.queue_summary(0, 0),
            }
            request = at.request()
            tasks.start_soon(at.world.make, request)
            row = await page.next("queue", has_rows)
            assert SECRET in html_of(row)

            def is_half_done(event: Event) -> bool:
                return '"step": "50 %' in json.dumps(event.data) or "step 5/10" in json.dumps(event.data)

            half = await page.next("queue", is_half_done)
            assert html_of(half) == ""
            result = await page.next("results")
            assert result.data == [request.job]
            assert page.status == 200


async def test_a_page_of_the_gallery_gets_results_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        site = QueueSite(at)
        async with site.events(site.sessions.begin("bob"), "only=results") as page, anyio.create_task_group() as tasks:
            request = at.request()
            tasks.start_soon(at.world.make, request)
            pieces: list[str] = []
            while not (events := read_events(piece := await page.piece())):
                pieces.append(piece)
            assert [event.name for event in events] == ["results"]
            assert events[0].data == [request.job]
            assert set(pieces) <= {":\n\n"}


async def test_a_page_that_connects_again_gets_what_it_missed_and_the_whole_state(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        site = QueueSite(at)
        session = site.sessions.begin("bob")
        async with site.events(session) as kept, anyio.create_task_group() as tasks:
            tasks.start_soon(at.world.make, first := at.request())
            result = await kept.next("results")
            assert result.data == [first.job]
            second = at.request()
            await at.world.make(second)
            async with site.events(session, last=result.ident) as again:
                assert (await again.next("results")).data == [second.job]
            async with site.events(session, last="another-1") as later:
                assert "results" not in [event.name for event in read_events(await later.piece())]


async def test_a_connection_shows_that_it_is_alive(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        site = QueueSite(at)
        async with site.events(site.sessions.begin("bob")) as page:
            await page.next("queue")
            began = anyio.current_time()
            assert await page.piece() == ":\n\n"
            assert anyio.current_time() - began == pytest.approx(BEAT, abs=CHECKED + 1.0)


async def test_the_stream_of_somebody_who_logs_out_ends(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        site = QueueSite(at)
        session = site.sessions.begin("bob")
        async with site.events(session) as page, site.events(site.sessions.begin("bob")) as other:
            await page.next("queue")
            site.sessions.end(session)
            began = anyio.current_time()
            await page.next("over")
            await page.is_over.wait()
            assert anyio.current_time() - began <= CHECKED + 1.0
            assert at.live.open_streams == 1
            assert not other.is_over.is_set()


async def test_nobody_follows_the_queue_without_a_session(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        site = QueueSite(at)
        async with site.events(None, wait=False) as page:
            await page.piece()
            assert page.status == 401
        assert at.live.open_streams == 0


async def test_where_everything_is_for_everybody_the_queue_is_open(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=30.0) as at:
        site = QueueSite(at, everything=True)
        await at.submit(at.request())
        async with site.events(None) as page:
            assert SECRET in html_of(await page.next("queue", has_rows))
            with anyio.move_on_after(60.0):
                await page.next("over")
            assert not page.is_over.is_set()


async def test_a_closed_page_leaves_nothing_behind(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        site = QueueSite(at)
        async with site.events(site.sessions.begin("bob")) as page:
            await page.next("queue")
            assert at.live.open_streams == 1
        assert at.live.open_streams == 0
        # Also one that has not read anything.
        async with site.events(site.sessions.begin("bob"), wait=False):
            await anyio.sleep(1.0)
        assert at.live.open_streams == 0


async def test_a_page_that_does_not_read_holds_nobody_up_and_gets_the_newest_state(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        site = QueueSite(at)
        async with site.events(site.sessions.begin("bob")) as slow, site.events(site.sessions.begin("bob")) as quick:
            await slow.next("queue")
            requests = [at.request() for _ in range(4)]
            async with anyio.create_task_group() as tasks:

                async def make() -> None:
                    for request in requests:
                        await at.world.make(request)

                tasks.start_soon(make)
                for request in requests:
                    assert (await quick.next("results")).data == [request.job]
            await anyio.sleep(1.0)
            # One piece was being sent when it stopped to read; everything since then is in the next one.
            assert len(await slow.piece()) < 4000
            events = read_events(await slow.piece())
            assert [event.name for event in events] == ["queue", "results"]
            assert events[1].data == [request.job for request in requests]
            assert html_of(events[0]) == ""


async def test_a_fifth_page_of_one_person_is_told_to_close_another(tmp_path: Path) -> None:
    async with house(tmp_path) as at, AsyncExitStack() as pages:
        site = QueueSite(at)
        session = site.sessions.begin("bob")
        for _ in range(MOST_OF_ONE):
            await pages.enter_async_context(site.events(session))
        async with site.events(session, wait=False) as refused:
            assert "Too many pages are open" in await refused.piece()
            assert refused.status == 409
        await pages.enter_async_context(site.events(site.sessions.begin("ada")))


async def test_a_thousand_streams_are_open_at_once(tmp_path: Path) -> None:
    heard = 0

    async def watch(site: QueueSite) -> None:
        nonlocal heard
        async with site.events(None) as page:
            await page.next("results")
            heard += 1
            await anyio.sleep_forever()

    async with house(tmp_path) as at, anyio.create_task_group() as tasks:
        site = QueueSite(at, everything=True)
        for _ in range(MOST_STREAMS):
            tasks.start_soon(watch, site)
        await anyio.wait_all_tasks_blocked()
        assert at.live.open_streams == MOST_STREAMS
        async with site.events(None, wait=False) as refused:
            await refused.piece()
            assert refused.status == 409
        await at.world.make(at.request())
        await anyio.sleep(10.0)
        assert heard == MOST_STREAMS
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
        assert at.live.open_streams == 0


async def test_names_of_servers_workflows_and_people_and_prompts_are_escaped(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=30.0, titles=lambda _: HOSTILE, server_name=HOSTILE) as at:
        site = QueueSite(at, everything=True)
        await at.submit(at.request(owner=HOSTILE, prompt=HOSTILE))
        await at.submit(replace(at.request(owner=HOSTILE), values={}))
        async with site.events(None) as page, site.browser() as browser:
            await anyio.sleep(2.0)
            live = html_of(await page.next("queue", has_rows))
            whole = (await browser.get("/queue")).text
            for text in (live, whole):
                assert "&lt;script&gt;" in text
                assert "<script>alert" not in text
                assert "<img src=x" not in text
                assert "49" not in re.sub(r'(data-at|data-key|value|src)="[^"]*"', "", text.split("<ol")[-1])


async def test_previews_are_sent_to_those_who_may_see_them(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=30.0) as at:
        site = QueueSite(at)
        await at.submit(at.request())
        async with (
            site.events(site.sessions.begin("ada")) as ada,
            site.events(site.sessions.begin("bob")) as bob,
            site.events(site.sessions.begin("cy")) as cy,
            anyio.create_task_group() as tasks,
        ):
            of_stranger: list[Event] = []

            async def read_all() -> None:
                while True:
                    of_stranger.extend(read_events(await cy.piece()))

            tasks.start_soon(read_all)
            first = await bob.next("preview")
            assert isinstance(first.data, dict)
            head, _, picture = str(first.data["picture"]).partition(",")
            assert head == "data:image/jpeg;base64"
            assert base64.b64decode(picture).startswith(b"\xff\xd8")
            assert (await ada.next("preview")).data == first.data
            second = await bob.next("preview")
            assert isinstance(second.data, dict)
            assert second.data["key"] == first.data["key"]
            assert second.data["picture"] != first.data["picture"]
            async with site.browser("bob") as browser:
                page = await browser.get("/queue")
                assert "img-src 'self' data:" in page.headers["content-security-policy"]
                assert "unsafe" not in page.headers["content-security-policy"]
                assert f'data-key="{first.data["key"]}"' in page.text
            assert {event.name for event in of_stranger} == {"queue"}
            tasks.cancel_scope.cancel()


async def test_previews_have_addresses_for_one_person_and_some_time(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=30.0) as at, anyio.create_task_group() as tasks:
        site = QueueSite(at)
        await at.submit(at.request())
        async with (
            site.browser("ada") as ada,
            site.browser("bob") as bob,
            site.browser("cy") as cy,
            site.events(site.sessions.begin("bob")),
        ):
            await anyio.sleep(65.0)
            page = (await bob.get("/queue")).text
            found = re.search(rf'<img [^>]*src="{BASE}(/queue/preview/[^"]+)"', page)
            assert found is not None
            address = found[1]
            preview = await bob.get(address)
            assert preview.status_code == 200
            assert preview.headers["content-type"] == "image/jpeg"
            assert preview.headers["cache-control"].startswith("private")
            assert preview.content.startswith(b"\xff\xd8")

            assert (await cy.get(address)).status_code == 404
            # Ada may see it, by an address of her own.
            assert (await ada.get(address)).status_code == 404
            token, key = address.split("/")[3:5]
            assert (await bob.get(f"/queue/preview/{token[:-2]}xx/{key}/1")).status_code == 404
            assert (await bob.get(f"/queue/preview/{token}/{'0' * 12}/1")).status_code == 404
            assert (await bob.get(f"/queue/preview/{token}/{key}/x")).status_code == 404
            theirs = site.signer.sign("preview", "cy", life=100.0)
            assert (await cy.get(f"/queue/preview/{theirs}/{key}/1")).status_code == 404
            assert "queue-picture" not in (await cy.get("/queue")).text

            at.rights.channels["bob"].clear()
            assert (await bob.get(address)).status_code == 404
            at.rights.channels["bob"].add("studio")
            site.clock.now += PREVIEW_LIFE + 1.0
            assert (await bob.get(address)).status_code == 404
        tasks.cancel_scope.cancel()


class Cancelling:
    """`PageActions` of which only `cancel` is used here."""

    def __init__(self) -> None:
        self.cancelled: list[tuple[str, JobId]] = []

    async def cancel(self, person: str, job: JobId) -> None:
        if job != "mine":
            raise WorkflowError(NotYours("cancel"))
        self.cancelled.append((person, job))


async def test_somebody_cancels_their_own_job_without_any_script(tmp_path: Path) -> None:
    async with house(tmp_path, step_time=30.0) as at:
        site, actions = QueueSite(at), Cancelling()
        own, other = at.request("bob"), at.request("ada")
        await at.submit(own)
        await at.submit(other)
        async with site.browser("bob") as browser:
            assert '<button type="submit" form' not in (await browser.get("/queue")).text
            site.sources.page = PageParts(
                gallery=cast("Gallery", None), live_queue=at.live, actions=cast("PageActions", actions)
            )
            page = (await browser.get("/queue")).text
            assert f'form="queue-cancel" name="job" value="{own.job}"' in page
            assert f'value="{other.job}"' not in page
            assert f'<form id="queue-cancel" action="{BASE}/queue/cancel" method="post">' in page

            done = await browser.send_form("/queue/cancel", csrf=browser.csrf, job="mine")
            assert (done.status_code, done.headers["location"]) == (303, f"{BASE}/queue")
            assert actions.cancelled == [("bob", "mine")]
            refused = await browser.send_form("/queue/cancel", csrf=browser.csrf, job="theirs")
            assert refused.status_code == 409
            assert reason_text(NotYours("cancel")) in refused.text
            assert (await browser.send_form("/queue/cancel", job="mine")).status_code == 403
            assert (await browser.get("/queue/cancel")).status_code == 405
            assert actions.cancelled == [("bob", "mine")]


def row(**changes: object) -> QueueRow:
    return QueueRow(**{"key": "k", "place": 3, "hidden": False, "title": "Picture", **changes})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        (row(ahead=Ahead(had_less=2), own=True), "3rd: 2 people have had less time than you"),
        (row(ahead=Ahead(had_less=1)), "3rd: 1 person has had less time"),
        (row(ahead=Ahead(asked_earlier=1, own=1), own=True), "3rd: 1 person asked earlier; 1 of yours is before it"),
        (row(ahead=Ahead(preferred=2), place=11), "11th: 2 people's jobs fit a server better now"),
        (row(ahead=Ahead(asked_earlier=2, own=2)), "3rd: 2 people asked earlier; 2 of theirs are before it"),
        (row(ahead=Ahead(), place=1), ""),
        (row(), ""),
        (row(note=NoRoom(), ahead=Ahead(own=2)), "There is no room for results at the moment. Your place is kept."),
    ],
)
def test_a_waiting_request_says_why(shown: QueueRow, sentence: str) -> None:
    assert texts.queue_why(shown) == sentence


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5.0, "5 s"), (3.0, "5 s"), (56.0, "60 s"), (61.0, "1 min"), (5399.0, "90 min"), (7100.0, "2 h")],
)
def test_when_something_starts_is_said_roughly(seconds: float, text: str) -> None:
    assert texts.queue_when(seconds, starts=True) == f"starts in about {text}"
    assert texts.queue_when(seconds, starts=False) == f"done in about {text}"


def test_a_row_says_what_it_is_about() -> None:
    shown = row(prompt="a fox", person="Ada", server="studio", pictures=4, ready=1)
    assert texts.queue_title(shown) == "a fox"
    assert texts.queue_about(shown) == "Ada · Picture · 1 of 4 pictures ready · on studio"
    assert texts.queue_title(row()) == "Picture"
    assert texts.queue_about(row()) == ""
    assert texts.queue_step(RowProgress(key="k", fraction=0.3, step=3, steps=10)) == "30 % · step 3/10"
    assert texts.queue_step(RowProgress(key="k", fraction=0.3)) == "30 %"
