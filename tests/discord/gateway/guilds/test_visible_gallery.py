"""Nobody sees a result, a choice, a relative or a file on the page that Discord would not show them."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from app.core.gallery import GalleryQuery
from app.core.jobs.job import Job, JobRequest, State
from app.discord.gateway.guilds.visibility import ChannelFacts, GuildFacts, GuildVisibility, MemberFacts
from app.events import Failed, Finished, JobId, ServerName
from app.journal.sqlite import SqliteJournal, open_journal
from app.retention.files import thumbnail_path
from app.service.people.viewer import Viewer
from app.service.results.gallery import Gallery
from app.workflows.model import WorkflowError
from tests.conftest import inline, virtual
from tests.discord.gateway.guilds.test_visibility import GUILD, PEOPLE, PLACES, World, change, random_world, truth

ABROAD = "2"
"""A second Discord server. Its channels, and its role of everybody, have names of their own."""

VIEWERS = (*PEOPLE, "stranger", "")


class Worlds:
    """A `FactReader` of two Discord servers."""

    def __init__(self, home: World, abroad: World) -> None:
        self.home, self.abroad = home, abroad

    async def guild(self, guild: str) -> GuildFacts | None:
        if guild != ABROAD:
            return await self.home.guild(guild)
        facts = await self.abroad.guild(GUILD)
        return GuildFacts(facts.owner, {_there(role): given for role, given in facts.roles.items()}) if facts else None

    async def channel(self, channel: str) -> ChannelFacts | None:
        if not channel.startswith("2-"):
            return await self.home.channel(channel)
        facts = await self.abroad.channel(channel.removeprefix("2-"))
        if facts is None:
            return None
        overwrites = {_there(ident): overwrite for ident, overwrite in facts.overwrites.items()}
        guild = ABROAD if facts.guild == GUILD else "3"
        return ChannelFacts(guild, facts.kind, f"2-{facts.parent}" if facts.parent else "", overwrites)

    async def member(self, guild_and_person: tuple[str, str]) -> MemberFacts | None:
        guild, person = guild_and_person
        if guild == ABROAD:
            return await self.abroad.member((GUILD, person))
        return await self.home.member(guild_and_person)

    async def is_in_thread(self, thread_and_person: tuple[str, str]) -> bool:
        thread, person = thread_and_person
        if thread.startswith("2-"):
            return await self.abroad.is_in_thread((thread.removeprefix("2-"), person))
        return await self.home.is_in_thread(thread_and_person)

    def shows(self, person: str, guild: str, channel: str) -> bool:
        """Whether Discord shows a channel to a person, computed independently of the program."""
        match guild:
            case "1":
                return truth(self.home, person, channel)
            case "2":
                return truth(self.abroad, person, channel.removeprefix("2-"))
            case _:
                return False


def _there(ident: str) -> str:
    return ABROAD if ident == GUILD else ident


class Known(Struct):
    """A job, and from whom it was hidden: "", "others" or "all"."""

    job: Job
    hidden: str

    @property
    def listed(self) -> bool:
        return isinstance(self.job.terminal_update, Finished)


def random_jobs(rng: random.Random, folder: Path) -> list[Known]:
    jobs: list[Known] = []
    for number in range(rng.randint(1, 14)):
        guild = rng.choice((GUILD, GUILD, ABROAD, ""))
        place = rng.choice(PLACES)
        channel = f"2-{place}" if guild == ABROAD else place
        owner = rng.choice((*PEOPLE, "p4", ""))
        parent = rng.choice(jobs).job.id if jobs and rng.random() < 0.5 else JobId("")
        request = JobRequest(
            job=JobId(f"job-{number:02}"),
            workflow=f"workflow-{number:02}",
            graph={"1": {"class_type": "X", "inputs": {"ckpt_name": f"model-{number:02}"}}},
            folder=str(folder),
            owner=owner,
            guild=guild,
            channel=channel,
            parent=parent,
            values={"prompt": f"picture {number:02}"},
        )
        job = Job(request=request, state=State.DELIVERED, notified=True)
        file = folder / f"{number:02}.png"
        file.touch()
        thumbnail_path(str(file)).touch()
        finished = Finished(ServerName("studio"), files=(str(file),), job=job.id)
        failed = Failed(job=job.id, reason="", files=(str(file),))
        job.terminal_update = rng.choice((finished, finished, finished, failed, None))
        jobs.append(Known(job, rng.choice(("", "", "", "", "others", "all"))))
    return jobs


def may_see(worlds: Worlds, person: str, known: Known) -> bool:
    request = known.job.request
    if known.hidden == "all":
        return False
    if person and request.owner == person:
        return True
    return not known.hidden and bool(request.guild) and worlds.shows(person, request.guild, request.channel)


async def listed(gallery: Gallery, person: str, query: GalleryQuery, rng: random.Random) -> list[str]:
    entries: list[str] = []
    key = None
    while True:
        page = await gallery.page(Viewer(person), query, before=key, limit=rng.randint(1, 6))
        entries += [tile.entry.job for tile in page.entries]
        if (key := page.older) is None:
            return entries


async def check(gallery: Gallery, worlds: Worlds, jobs: list[Known], rng: random.Random) -> None:
    """Ask for everything as everybody."""
    for person in VIEWERS:
        viewer = Viewer(person)
        seen = [known for known in jobs if may_see(worlds, person, known)]
        expected = [known.job.id for known in reversed(seen) if known.listed]
        assert await listed(gallery, person, GalleryQuery(), rng) == expected
        assert await listed(gallery, person, GalleryQuery(text="picture"), rng) == expected
        requests = [known.job.request for known in reversed(seen) if known.listed]
        choices = await gallery.choices(viewer)
        assert choices.workflows == tuple(request.workflow for request in requests)
        assert choices.models == tuple(f"model-{request.job[-2:]}" for request in requests)
        assert choices.people == tuple(dict.fromkeys(request.owner for request in requests if request.owner))
        assert choices.guilds == tuple(dict.fromkeys(request.guild for request in requests if request.guild))
        visible = {known.job.id for known in seen}
        for known in jobs:
            await check_one(gallery, viewer, known, visible)


async def check_one(gallery: Gallery, viewer: Viewer, known: Known, visible: set[JobId]) -> None:
    job = known.job
    try:
        assert (await gallery.job(viewer, job.id)).id == job.id
        assert job.id in visible
    except WorkflowError:
        assert job.id not in visible
    relatives = await gallery.relatives(viewer, job)
    made_from = {relatives.made_from.job.id} if relatives.made_from is not None else set[JobId]()
    assert made_from == {job.request.parent} & visible
    assert {made.job.id for made in relatives.made_into} <= visible
    if job.id not in visible:
        assert await gallery.thumbnail(viewer, job.id, 0) is None
        with pytest.raises(WorkflowError):
            await gallery.file(viewer, job.id, 0)
    elif known.listed:
        assert await gallery.thumbnail(viewer, job.id, 0) is not None
        assert (await gallery.file(viewer, job.id, 0)).exists()


async def fill(journal: SqliteJournal, jobs: list[Known]) -> None:
    for known in jobs:
        await journal.record([known.job], [])
        await journal.keep_dimensions(known.job.id, 384, 384)
        if known.hidden:
            await journal.hide_from_gallery(known.job.id, everybody=known.hidden == "all")


async def run(seed: int) -> None:
    rng = random.Random(seed)
    worlds = Worlds(random_world(rng), random_world(rng))
    with TemporaryDirectory() as folder:
        opened = open_journal(Path(folder) / "atelier.db", run_sync=inline, durable=False)
        async with opened as journal, anyio.create_task_group() as tasks:
            jobs = random_jobs(rng, Path(folder))
            await fill(journal, jobs)
            visibility = GuildVisibility(tasks, worlds)
            gallery = Gallery(journal, visibility, run_sync=inline)
            await check(gallery, worlds, jobs, rng)
            for _ in range(rng.randint(1, 3)):
                change(worlds.home, rng)
                change(worlds.abroad, rng)
            for guild in (GUILD, ABROAD):
                visibility.forget(guild)
            await check(gallery, worlds, jobs, rng)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_nobody_sees_anything_that_discord_would_not_show_them_also_after_a_revocation(backend: str, seed: int) -> None:
    name, options = virtual(backend)
    anyio.run(run, seed, backend=name, backend_options=options)
