"""What a viewer of the page sees of the gallery, how much is asked for that, and how pages end."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from anyio import lowlevel
from msgspec.structs import replace
from PIL import Image

from app.core.gallery import GalleryQuery
from app.core.jobs.job import Job, JobRequest, State
from app.events import Finished, JobId, ServerName
from app.journal.sqlite import SqliteJournal, open_journal
from app.retention.files import thumbnail_path
from app.service.people.viewer import Viewer
from app.service.people.visibility import Place
from app.service.reasons import JobRemoved, ResultNotKept
from app.service.results import gallery as service
from app.service.results.gallery import Gallery, GalleryPage, Relatives
from app.service.results.gallery_filler import GalleryFiller
from app.service.results.kinds import kind_of
from app.workflows.model import WorkflowError
from tests.conftest import inline, virtual
from tests.elsewhere import Elsewhere

ADA, BOB, DEMO = Viewer("ada"), Viewer("bob"), Viewer("", everything=True)
ANY = GalleryQuery()


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(request.param)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncGenerator[SqliteJournal]:
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, clock=lambda: 5.0, durable=False) as journal:
        yield journal


class Channels:
    """A `Visibility` that shows some channels to everybody, and counts the questions."""

    def __init__(self, *shown: str, slow: float = 0.0) -> None:
        self.shown = set(shown)
        self.slow = slow
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def may_see(self, person: str, place: Place) -> bool:
        assert person
        self.asked.append(place.channel)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await (anyio.sleep(self.slow) if self.slow else lowlevel.checkpoint())
        finally:
            self.at_once -= 1
        if place.channel == "broken":
            raise ValueError(place.channel)
        return place.channel in self.shown


def job(name: str, channel: str = "c1", owner: str = "ada", **fields: object) -> Job:
    """A job with a result; `fields` are those of its request."""
    known: dict[str, object] = {
        "owner": owner,
        "guild": "g",
        "channel": channel,
        "workflow": "w",
        "graph": {},
        "folder": "out",
    }
    request = JobRequest(job=JobId(name), values={"prompt": f"the {name}"}, **(known | fields))  # pyright: ignore[reportArgumentType]
    made = Job(request=request, state=State.DELIVERED, notified=True)
    made.terminal_update = Finished(ServerName("studio"), files=(f"/out/{name}.png",), job=made.id)
    return made


def names(page: GalleryPage) -> list[str]:
    return [tile.entry.job for tile in page.entries]


async def all_pages(gallery: Gallery, viewer: Viewer, limit: int = 2) -> list[str]:
    """All entries that a viewer sees, page after page."""
    listed: list[str] = []
    key = None
    while True:
        page = await gallery.page(viewer, ANY, before=key, limit=limit)
        assert len(page.entries) <= limit
        listed += names(page)
        if page.older is None:
            return listed
        assert key is None or page.older < key
        key = page.older


async def test_a_page_has_what_one_sees_and_ones_own_and_ends_with_a_key_only_if_there_is_more(
    journal: SqliteJournal,
) -> None:
    await journal.record(
        [job("1"), job("2", "c2"), job("3", owner="bob", channel="c2"), job("4", guild=""), job("5")], []
    )
    gallery = Gallery(journal, Channels("c1"), run_sync=inline)
    assert names(await gallery.page(ADA, ANY)) == ["5", "4", "2", "1"]
    assert await gallery.page(BOB, ANY, limit=3) == await gallery.page(BOB, ANY, limit=50)
    assert names(await gallery.page(BOB, ANY)) == ["5", "3", "1"]
    page = await gallery.page(BOB, ANY, limit=2)
    assert (names(page), page.older) == (["5", "3"], 3)
    assert names(await gallery.page(BOB, ANY, before=3)) == ["1"]
    assert names(await gallery.page(DEMO, ANY)) == ["5", "4", "3", "2", "1"]
    assert names(await gallery.page(Viewer("cy"), GalleryQuery(text="the 2"))) == []


async def test_what_ended_since_a_moment_is_told_to_who_may_see_it_in_whatever_order_it_was_asked_for(
    tmp_path: Path,
) -> None:
    now = 100.0
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, clock=lambda: now, durable=False) as journal:
        slow = replace(job("slow"), state=State.QUEUED, terminal_update=None, notified=False)
        await journal.record([slow, job("before")], [])
        now = 200.0
        await journal.record([job("late", "c2", "bob"), job("own", "c2"), job("other")], [])
        await journal.record([job("slow")], [])
        gallery = Gallery(journal, Channels("c1"), run_sync=inline)
        page = await gallery.ended_since(ADA, ANY, 200.0, limit=10)
        assert (names(page), page.older) == (["other", "own", "slow"], None)
        assert names(await gallery.ended_since(ADA, GalleryQuery(text="own"), 200.0, limit=10)) == ["own"]
        assert names(await gallery.ended_since(ADA, GalleryQuery(since=300.0), 200.0, limit=10)) == []
        page = await gallery.ended_since(ADA, ANY, 100.0, limit=2)
        assert names(page) == ["before", "slow"]
        assert page.older is not None


async def test_a_new_result_has_the_shape_of_its_file_until_its_thumbnail_is_there_which_is_waited_for(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    made = job("new")
    path = tmp_path / "new.png"
    Image.new("RGB", (60, 20)).save(path)
    made.terminal_update = Finished(ServerName("studio"), files=(str(path),), job=made.id)
    await journal.record([made], [])
    gallery = Gallery(journal, Channels("c1"), run_sync=inline, clock=lambda: 6.0)
    tile = await gallery.tile(ADA, "new")
    assert tile is not None
    assert (tile.width, tile.height, tile.soon) == (60, 20, True)
    began = anyio.current_time()
    assert await gallery.thumbnail(ADA, "new", 0) is None
    assert anyio.current_time() - began == service.PATIENCE_FOR_THUMBNAIL
    found: list[Path | None] = []

    async def wait() -> None:
        found.append(await gallery.thumbnail(ADA, "new", 0))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(1.0)
        thumbnail_path(str(path)).touch()
        await journal.keep_dimensions(made.id, 30, 10)
    assert found == [thumbnail_path(str(path))]
    tile = await gallery.tile(ADA, "new")
    assert tile is not None
    assert (tile.width, tile.height, tile.soon) == (30, 10, False)
    # Nobody waits for one that was not made in time.
    await journal.record([job("old")], [])
    old = Gallery(journal, Channels("c1"), run_sync=inline, clock=lambda: 5.0 + service.SOON)
    began = anyio.current_time()
    assert await old.thumbnail(ADA, "old", 0) is None
    assert anyio.current_time() == began


async def test_what_only_another_disk_has_is_copied_when_somebody_opens_it_and_its_thumbnail_is_made_again(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    made, gone = job("made"), job("gone")
    path = tmp_path / "made.png"
    for each, file in ((made, path), (gone, tmp_path / "gone.png")):
        each.terminal_update = Finished(ServerName("studio"), files=(str(file),), job=each.id)
        await journal.record([each], [])
        await journal.keep_dimensions(each.id, 384, 100)
    gallery = Gallery(journal, Channels("c1"), run_sync=inline, others=Elsewhere({str(path): b"picture"}))
    assert (await gallery.job(ADA, "made")).id == "made"
    assert path.read_bytes() == b"picture"
    path.unlink()
    assert await gallery.file(ADA, "made", 0) == path
    with pytest.raises(WorkflowError):
        await gallery.file(ADA, "gone", 0)

    async def make() -> None:
        unmade = await journal.next_without_thumbnails()
        assert unmade.job == "made", "of the other one nobody has the result"
        thumbnail_path(str(path)).touch()
        await journal.keep_dimensions(unmade.job, 384, 100)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make)
        assert await gallery.thumbnail(ADA, "gone", 0) is None
        path.unlink()
        assert await gallery.thumbnail(ADA, "made", 0) == thumbnail_path(str(path))
    row = await journal.gallery_row(gone.id)
    assert row is not None
    assert row.width == 384, "who has the result can still show it in its shape"


async def test_a_channel_is_asked_for_once_on_a_page_and_only_some_at_a_time(journal: SqliteJournal) -> None:
    await journal.record([job(f"{number}", f"c{number % 50}", "bob") for number in range(200)], [])
    channels = Channels("c7", slow=0.1)
    gallery = Gallery(journal, channels, run_sync=inline)
    assert names(await gallery.page(ADA, ANY, limit=10)) == ["157", "107", "57", "7"]
    assert sorted(channels.asked) == sorted(f"c{number}" for number in range(50))
    assert 1 < channels.most_at_once <= service.AT_ONCE


async def test_a_page_ends_early_after_many_channels_and_the_next_one_goes_on(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_CHANNELS", 5)
    await journal.record([job(f"{number}", f"c{number}", "bob") for number in range(40)], [])
    channels = Channels("c0", "c20")
    gallery = Gallery(journal, channels, run_sync=inline)
    first = await gallery.page(ADA, ANY, limit=3)
    assert (names(first), len(channels.asked) < 12, first.older is not None) == ([], True, True)
    assert await all_pages(gallery, ADA) == ["20", "0"]


async def test_a_page_does_not_wait_long_for_the_frontend(journal: SqliteJournal) -> None:
    await journal.record([job(f"{number}", f"c{number}", "bob") for number in range(10)] + [job("mine")], [])
    gallery = Gallery(journal, Channels("c1", slow=math.inf), run_sync=inline)
    began = anyio.current_time()
    assert names(await gallery.page(ADA, ANY, limit=5)) == ["mine"]
    assert anyio.current_time() - began <= service.PATIENCE + 0.1
    assert (await gallery.choices(ADA)).people == ("ada",)


async def test_a_channel_of_which_it_cannot_be_found_out_is_hidden_and_hides_no_other(journal: SqliteJournal) -> None:
    await journal.record([job("1", "broken"), job("2", "c1")], [])
    assert names(await Gallery(journal, Channels("c1"), run_sync=inline).page(BOB, ANY)) == ["2"]


async def test_choices_are_those_of_what_one_sees_newest_first(journal: SqliteJournal) -> None:
    graph = {"1": {"class_type": "X", "inputs": {"ckpt_name": "xl"}}}
    await journal.record(
        [
            job("1", workflow="old", guild="g1"),
            job("2", "hidden", "cy", workflow="secret", guild="g2"),
            job("3", owner="bob", workflow="new", guild="g1", graph=graph),
        ],
        [],
    )
    gallery = Gallery(journal, Channels("c1"), run_sync=inline)
    choices = await gallery.choices(BOB)
    assert (choices.people, choices.workflows) == (("bob", "ada"), ("new", "old"))
    assert (choices.models, choices.guilds) == (("xl",), ("g1",))
    assert (await gallery.choices(DEMO)).people == ("bob", "cy", "ada")


async def test_many_hidden_entries_do_not_take_the_places_of_those_that_can_be_chosen(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_ORIGINS", 5)
    await journal.record([job("seen"), *(job(f"{number}", "hidden", "bob") for number in range(9))], [])
    assert (await Gallery(journal, Channels("c1"), run_sync=inline).choices(Viewer("cy"))).people == ("ada",)


async def test_nothing_can_be_chosen_of_channels_that_were_not_asked_for(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_CHANNELS", 5)
    monkeypatch.setattr(service, "MOST_ENTRIES", 1)
    await journal.record([job(f"{number}", f"c{number}", f"p{number}") for number in range(40)], [])
    channels = Channels("c39")
    assert (await Gallery(journal, channels, run_sync=inline).choices(ADA)).people == ("p39",)
    assert len(channels.asked) == 5


async def test_a_job_is_found_by_its_whole_id_if_one_may_see_it(journal: SqliteJournal) -> None:
    waiting, part = job("waiting"), job("part", lead=JobId("abc"))
    waiting.terminal_update = None
    await journal.record([job("abc"), job("secret", "c2"), waiting, part, job("direct", guild="")], [])
    gallery = Gallery(journal, Channels("c1"), run_sync=inline)
    assert (await gallery.job(BOB, "abc")).id == "abc"
    assert (await gallery.job(BOB, "waiting")).id == "waiting"
    assert (await gallery.job(ADA, "secret")).id == "secret"
    assert (await gallery.job(DEMO, "direct")).id == "direct"
    for unseen in ("ab", "secret", "direct", "part", "nothing", "", "\ud83d"):
        with pytest.raises(WorkflowError) as refusal:
            await gallery.job(BOB, unseen)
        assert isinstance(refusal.value.reason, JobRemoved)


async def test_relatives_are_those_that_one_may_see(journal: SqliteJournal) -> None:
    middle = job("middle", parent=JobId("top"))
    await journal.record(
        [job("top", "c2"), middle, job("x", parent=JobId("middle")), job("y", "c2", parent=JobId("middle"))], []
    )
    gallery = Gallery(journal, Channels("c1"), run_sync=inline)

    def ids(relatives: Relatives) -> tuple[str, list[str]]:
        parent = relatives.made_from.job.id if relatives.made_from else ""
        return parent, [made.job.id for made in relatives.made_into]

    assert ids(await gallery.relatives(BOB, middle)) == ("", ["x"])
    assert ids(await gallery.relatives(ADA, middle)) == ("top", ["y", "x"])


async def test_files_and_thumbnails_are_for_those_who_may_see_the_result_and_only_while_they_are_kept(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    made = job("1")
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    made.terminal_update = Finished(ServerName("studio"), files=tuple(map(str, paths)), job=made.id)
    await journal.record([made], [])
    for path in paths:
        path.write_bytes(b"picture")
    thumbnail_path(str(paths[1])).write_bytes(b"small")
    gallery = Gallery(journal, Channels(), run_sync=inline)
    assert await gallery.file(ADA, "1", 1) == paths[1]
    assert await gallery.thumbnail(ADA, "1", 1) is None, "one of an earlier version may have any format"
    await journal.keep_dimensions(JobId("1"), 384, 200)
    assert await gallery.thumbnail(ADA, "1", 1) == thumbnail_path(str(paths[1]))
    assert await gallery.thumbnail(ADA, "1", 0) is None
    assert await gallery.thumbnail(BOB, "1", 1) is None
    paths[0].unlink()
    for viewer, name, index in ((ADA, "1", 0), (ADA, "1", 2), (ADA, "1", -1), (ADA, "2", 0), (BOB, "1", 1)):
        with pytest.raises(WorkflowError) as refusal:
            await gallery.file(viewer, name, index)
        assert isinstance(refusal.value.reason, ResultNotKept)


async def test_what_is_hidden_is_hidden_everywhere(journal: SqliteJournal) -> None:
    waiting = job("waiting")
    waiting.terminal_update = None
    await journal.record([job("1"), waiting], [])
    gallery = Gallery(journal, Channels("c1"), run_sync=inline)
    for name in ("1", "waiting"):
        await journal.hide_from_gallery(JobId(name))
        assert (await gallery.job(ADA, name)).id == name
        with pytest.raises(WorkflowError):
            await gallery.job(BOB, name)
    assert names(await gallery.page(ADA, ANY)) == ["1"]
    await journal.hide_from_gallery(JobId("1"), everybody=True)
    for viewer in (ADA, BOB, DEMO):
        with pytest.raises(WorkflowError):
            await gallery.job(viewer, "1")
        assert (await gallery.page(viewer, ANY)).entries == ()
        assert (await gallery.choices(viewer)).people == ()


async def test_a_tile_says_what_the_grid_needs(journal: SqliteJournal) -> None:
    made = job("1")
    made.place = "hidden place"
    await journal.record([made], [])
    gallery = Gallery(journal, Channels(), is_spoiler=lambda place: place == "hidden place", run_sync=inline)
    (tile,) = (await gallery.page(ADA, ANY)).entries
    assert (tile.files, tile.kind, tile.width, tile.height, tile.spoiler) == (("1.png",), "picture", 0, 0, True)
    await journal.keep_dimensions(JobId("1"), 300, 384)
    (tile,) = (await gallery.page(ADA, ANY)).entries
    assert (tile.width, tile.height) == (300, 384)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (("a.PNG",), "picture"),
        (("a.flac", "b.mp4"), "video"),
        (("a.glb",), "model"),
        (("a.opus",), "audio"),
        ((), "text"),
        (("a.zip", "b"), "text"),
    ],
)
def test_the_kind_of_a_result_is_that_of_its_files(files: tuple[str, ...], kind: str) -> None:
    assert kind_of(files) == kind


async def test_older_results_are_added_for_others_only_if_they_are_kept_and_were_not_deleted(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    kept, gone, deleted, caption = (job(name) for name in ("kept", "gone", "deleted", "caption"))
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"picture")
    for made, files in ((kept, (str(picture),)), (deleted, (str(picture),)), (caption, ())):
        made.terminal_update = Finished(ServerName("studio"), files=files, texts=("text",), job=made.id)
    deleted.place = "deleted"
    await journal.record([kept, gone, deleted, caption], [])
    database = journal._store._database  # pyright: ignore[reportPrivateUsage]
    for statement in ("DELETE FROM gallery", "DELETE FROM gallery_prompts", "UPDATE gallery_filled SET number = 9"):
        database.execute(statement)
    gallery = Gallery(journal, Channels("c1"), run_sync=inline)
    with pytest.raises(WorkflowError):
        await gallery.job(BOB, "kept")
    assert (await gallery.job(ADA, "kept")).id == "kept"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(GalleryFiller(journal, lambda place, _: place == "deleted").run)
        await anyio.sleep(60)
        tasks.cancel_scope.cancel()
    assert names(await gallery.page(BOB, ANY)) == ["caption", "kept"]
    assert names(await gallery.page(ADA, ANY)) == ["caption", "deleted", "gone", "kept"]


async def test_the_entries_next_to_a_key_are_those_that_one_sees_in_the_same_search(journal: SqliteJournal) -> None:
    await journal.record([job("1"), job("2", "c2"), job("3"), job("4", workflow="other"), job("5")], [])
    gallery = Gallery(journal, Channels("c1"), run_sync=inline)
    three = await gallery.tile(BOB, "3")
    assert three is not None

    async def next_to(viewer: Viewer, query: GalleryQuery, *, newer: bool) -> str:
        tile = await gallery.next_to(viewer, query, three.entry.key, newer=newer)
        return tile.entry.job if tile is not None else ""

    assert [await next_to(BOB, ANY, newer=newer) for newer in (True, False)] == ["4", "1"]
    assert [await next_to(ADA, ANY, newer=newer) for newer in (True, False)] == ["4", "2"]
    searched = GalleryQuery(workflow="w", text="the")
    assert [await next_to(BOB, searched, newer=newer) for newer in (True, False)] == ["5", "1"]
    assert await next_to(BOB, GalleryQuery(workflow="none"), newer=True) == ""


async def test_a_tile_of_one_job_is_only_for_those_who_see_its_result(journal: SqliteJournal) -> None:
    waiting = job("waiting")
    waiting.terminal_update = None
    await journal.record([job("1"), waiting], [])
    await journal.hide_from_gallery(JobId("waiting"))
    gallery = Gallery(journal, Channels(), run_sync=inline)
    tile = await gallery.tile(ADA, "1")
    assert tile is not None
    assert tile.entry.prompt == "the 1"
    assert await gallery.tile(BOB, "1") is None
    assert await gallery.tile(ADA, "waiting") is None
    assert await gallery.tile(ADA, "nothing") is None
