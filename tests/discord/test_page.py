"""The command /page lets one person into the web page, and is there only if there is a page."""

from __future__ import annotations

import re

import anyio
import httpx
from msgspec import Struct

from app.application import open_page_parts
from app.config.settings import Config, Http, Page
from app.events import JobId
from app.http.application import Application
from app.http.page.opening import open_page
from app.http.sources import Sources
from tests.discord.fake import Interaction
from tests.discord.one_backend import only_on
from tests.discord.stage import EPHEMERAL, Stage, ended, job_of, parts, words

anyio_backend = only_on("trio")


class Access(Struct, frozen=True):
    """A page that remembers nothing of its links."""

    address: str
    has_login: bool

    def link(self, person: str) -> str:
        return f"{self.address}/login/link/for-{person}"


async def links(stage: Stage, asked: Interaction) -> list[str]:
    """The addresses in the answer, which only its person sees."""
    await stage.until("logs you in", asked)
    message = stage.discord.message(asked)
    assert message["flags"] & EPHEMERAL
    return [str(part["url"]) for part in parts(message) if part.get("url")]


async def test_page_answers_its_person_with_a_link_and_with_the_address_if_people_can_log_in_there(
    stage: Stage,
) -> None:
    discord = stage.discord
    for has_login in (False, True):
        async with stage.bot(page=Access("https://example.org/atelier", has_login)):
            asked = discord.slash("page")
            person = discord.state.alice.id
            assert await links(stage, asked) == [f"https://example.org/atelier/login/link/for-{person}"]
            assert ("at https://example.org/atelier" in words(discord.message(asked))) is has_login
            assert "/page" in await stage.ephemeral_followup(discord.slash("help"))


async def test_without_a_page_there_is_no_such_command(stage: Stage) -> None:
    async with stage.bot():
        assert "page" not in {str(command["name"]) for command in stage.discord.commands()}
        assert "page" not in await stage.ephemeral_followup(stage.discord.slash("help"))


async def test_somebody_asks_discord_for_a_link_follows_it_and_sees_the_queue(stage: Stage) -> None:
    settings = Page(enabled=True, url="https://example.org/atelier")
    config = Config(servers=(), data=stage.data, workflows=stage.workflows, page=settings, http=Http(host="127.0.0.1"))
    stage.data.mkdir()
    sources = Sources()
    opened = open_page(config, sources)
    app = Application(opened.page.routes(), opened.page.middleware)
    async with (
        stage.bot(page=opened.access) as life,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=settings.url) as browser,
    ):
        (link,) = await links(stage, stage.discord.slash("page"))
        starting = await browser.get("/queue")
        assert (starting.status_code, "is starting" in starting.text) == (503, True)
        assert life.app.page_frontend is not None
        async with open_page_parts(life.house, life.journal, life.app.page_frontend) as sources.page:
            page = await browser.get(link)
            done = await browser.post(link, data={"csrf": token_of(page)}, headers={"Origin": "https://example.org"})
            assert done.status_code == 303
            stage.hold()
            stage.discord.slash("txt2img", prompt="a quokka at dawn", width=64, height=64)
            queue = await browser.get("/queue")
            assert queue.status_code == 200
            assert stage.discord.state.alice.name.title() in queue.text, "the header says who is logged in"
            stage.go_on()


async def test_somebody_finds_a_picture_on_the_page_and_makes_it_again_there(stage: Stage) -> None:
    settings = Page(enabled=True, url="https://example.org/atelier")
    config = Config(servers=(), data=stage.data, workflows=stage.workflows, page=settings, http=Http(host="127.0.0.1"))
    stage.data.mkdir()
    sources = Sources()
    opened = open_page(config, sources)
    app = Application(opened.page.routes(), opened.page.middleware)
    headers = {"Origin": "https://example.org"}
    async with (
        stage.bot(page=opened.access) as life,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://example.org") as browser,
    ):
        asked = stage.discord.slash("txt2img", prompt="a quokka at dawn", width=64, height=64, count=1)
        message = await stage.result(asked)
        job = await ended(life, job_of(message))
        (link,) = await links(stage, stage.discord.slash("page"))
        assert life.app.page_frontend is not None
        async with open_page_parts(life.house, life.journal, life.app.page_frontend) as sources.page:
            await browser.post(link, data={"csrf": token_of(await browser.get(link))}, headers=headers)
            grid = await browser.get("/atelier/?text=quokka")
            assert f'href="/atelier/jobs/{job.id}?text=quokka"' in grid.text
            page = await browser.get(f"/atelier/jobs/{job.id}")
            assert f"/{message['channel_id']}/{message['id']}" in page.text, "a link to the message"
            assert "/txt2img prompt: a quokka at dawn" in page.text
            address = re.search(r'<a href="(/atelier/files/[^"]*)"', page.text)
            assert address is not None
            picture = await browser.get(address[1])
            size = (await anyio.Path(job.paths[0]).stat()).st_size
            assert (picture.headers["content-type"], len(picture.content)) == ("image/png", size)
            fields = {"csrf": token_of(page), "verb": "again", "number": "0", "result": "0", "workflow": ""}
            made = await browser.post(f"/atelier/jobs/{job.id}/do", data=fields, headers=headers)
            assert made.status_code == 303
            again = await ended(life, JobId(made.headers["location"].rpartition("/")[2]))
            assert again.request.parent == job.id
            assert "Being made" not in (await browser.get(made.headers["location"])).text
            assert f'href="/atelier/jobs/{again.id}"' in (await browser.get(f"/atelier/jobs/{job.id}")).text
            # What Discord refuses is refused in the same words, and what was typed stays.
            typed = fields | {"verb": "vary", "field.prompt": "a quokka at noon", "field.steps": "many"}
            refused = await browser.post(f"/atelier/jobs/{job.id}/do", data=typed, headers=headers)
            assert refused.status_code == 409
            assert "a whole number" in refused.text
            assert "a quokka at noon" in refused.text
            asked = await browser.get(f"/atelier/jobs/{job.id}/delete")
            deleted = await browser.post(str(asked.url), data={"csrf": token_of(asked)}, headers=headers)
            assert (deleted.status_code, deleted.headers["location"]) == (303, "/atelier/")
            assert (await browser.get(f"/atelier/jobs/{job.id}")).status_code == 404
            assert (await browser.get(address[1])).status_code == 410
            assert message["id"] not in {each["id"] for each in stage.discord.messages}


def token_of(page: httpx.Response) -> str:
    """What the forms of a page have to send along."""
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    return token[1]
