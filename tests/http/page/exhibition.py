"""A page with a real gallery: a journal, files in a folder, and channels that some people may see."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image

from app.core.jobs.job import Job, JobRequest, State
from app.events import Finished, JobId, ServerName
from app.http.application import Application
from app.http.page.page import Page
from app.http.page.parts import PageParts
from app.http.page.protection.rate_limits import RateLimits
from app.http.page.results.actions import ActionsPart
from app.http.page.results.files import Files
from app.http.page.results.gallery import GalleryPart
from app.http.page.results.picture import PicturePart
from app.journal.sqlite import SqliteJournal, open_journal
from app.retention.files import thumbnail_path
from app.service.page_actions import PageActions
from app.service.people.names import Names
from app.service.people.visibility import Place
from app.service.results.gallery import Gallery
from app.workflows.load import Workflow
from tests.conftest import inline
from tests.http.page.site import ADA, BASE, ORIGIN, Site

PNG = b"\x89PNG\r\n\x1a\n"


class Channels:
    """A `Visibility`: everybody sees the channels in `shown`."""

    def __init__(self, *shown: str) -> None:
        self.shown = set(shown)

    async def may_see(self, person: str, place: Place) -> bool:
        del person
        return place.channel in self.shown


class Called:
    """Names that people and servers have."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)

    async def person(self, person: str, guild: str = "") -> str:
        del guild
        return self.names.get(person, "")

    async def guild(self, guild: str) -> str:
        return self.names.get(guild, "")

    async def channel(self, channel: str) -> str:
        return self.names.get(channel, "")


class Exhibition:
    """The journal, the folder of results, and the page that shows them."""

    def __init__(
        self,
        journal: SqliteJournal,
        data: Path,
        *,
        names: Names | None,
        actions: PageActions | None,
        workflows: Mapping[str, Workflow],
        everything: bool,
        base: str,
    ) -> None:
        self.journal = journal
        self.folder = data / "results"
        self.folder.mkdir(exist_ok=True)
        self.channels = Channels("c1")
        self.spoilers: set[str] = set()
        self.site = Site(ORIGIN + base, everything=everything)
        self.site.sources.page = PageParts(
            gallery=Gallery(journal, self.channels, is_spoiler=lambda place: place in self.spoilers, run_sync=inline),
            actions=actions,
            names=names,
            workflows=lambda: workflows,
            message_link=lambda place: f"https://discord.com/channels/{place}" if place else "",
        )
        context = self.site.context
        picture = PicturePart(context, run_sync=inline, clock=self.site.clock)
        parts = [
            GalleryPart(context, self.site.clock),
            picture,
            ActionsPart(context, picture),
            Files(context, run_sync=inline),
        ]
        page = Page(context, parts, RateLimits([], self.site.clock))
        self.site.app = Application(page.routes(), page.middleware)

    def job(
        self,
        name: str,
        prompt: str = "",
        *,
        owner: str = ADA,
        channel: str = "c1",
        files: Sequence[str] = ("{}.png",),
        place: str = "",
        **fields: object,
    ) -> Job:
        """A job with a result; `fields` are further ones of its request."""
        known: dict[str, object] = {"workflow": "txt2img", "graph": {}, "values": {"prompt": prompt or f"the {name}"}}
        request = JobRequest(
            job=JobId(name),
            owner=owner,
            guild="g1",
            channel=channel,
            folder=str(self.folder),
            **(known | fields),  # pyright: ignore[reportArgumentType]
        )
        made = Job(request=request, state=State.DELIVERED, notified=True, place=place)
        paths = tuple(str(self.folder / file.format(name)) for file in files)
        made.terminal_update = Finished(ServerName("studio"), files=paths, job=made.id, seconds=3.2, seed=7)
        return made

    async def show(self, *jobs: Job) -> None:
        """Record jobs."""
        await self.journal.record(list(jobs), [])

    async def paint(self, job: Job, width: int = 48, height: int = 32) -> None:
        """Write the files of a job, and their thumbnails."""
        self._write(job, width, height)
        await self.journal.keep_dimensions(job.id, width // 2, height // 2)

    def _write(self, job: Job, width: int, height: int) -> None:
        assert isinstance(job.terminal_update, Finished)
        for file in job.terminal_update.files:
            if file.endswith(".png"):
                Image.new("RGB", (width, height), "teal").save(file)
                Image.new("RGB", (width // 2, height // 2), "teal").save(thumbnail_path(file), "WEBP")
            else:
                Path(file).write_bytes(b"0123456789")


@asynccontextmanager
async def exhibition(
    data: Path,
    *,
    names: Names | None = None,
    actions: PageActions | None = None,
    workflows: Mapping[str, Workflow] | None = None,
    everything: bool = False,
    base: str = BASE,
) -> AsyncGenerator[Exhibition]:
    """An exhibition without jobs."""
    opened = open_journal(data / "atelier.db", run_sync=inline, clock=lambda: 1_799_990_000.0, durable=False)
    async with opened as journal:
        yield Exhibition(
            journal, data, names=names, actions=actions, workflows=workflows or {}, everything=everything, base=base
        )
