"""The gallery's tables: what is added when, what is listed and searched, and what is left once something is removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core.gallery import Audience, GalleryQuery, Unmade, model_of
from app.core.jobs.job import Batch, FirstChoice, Job, JobRequest, State
from app.events import Cancelled, ChosenModel, Failed, Finished, JobId, NodeId, ServerName
from app.journal.errors import translate
from app.journal.opening import open_store
from app.journal.sqlite import open_journal
from app.journal.store import Store
from app.journal.tables.gallery import MOST_WORDS, search_of

# pyright: reportPrivateUsage=false

STUDIO = ServerName("studio")
ALL = Audience("", everything=True)


class Clock:
    """Seconds since 1970, one more with each call."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    with open_store(tmp_path / "atelier.db", clock=Clock(), durable=False) as store:
        yield store


def job(name: str, prompt: str = "a fox", *, files: tuple[str, ...] | None = None, **fields: object) -> Job:
    """A job with a result; `fields` are those of its request."""
    known: dict[str, object] = {
        "owner": "ada",
        "guild": "g1",
        "channel": "c1",
        "workflow": "w",
        "graph": {},
        "folder": "out",
    }
    request = JobRequest(job=JobId(name), values={"prompt": prompt}, **(known | fields))  # pyright: ignore[reportArgumentType]
    made = Job(request=request, state=State.DELIVERED, notified=True)
    made.terminal_update = Finished(STUDIO, files=(f"/out/{name}.png",) if files is None else files, job=made.id)
    return made


def write(store: Store, *jobs: Job) -> None:
    store.write([(jobs, [])])


def listed(store: Store, audience: Audience = ALL, **query: object) -> list[str]:
    """The ids of all entries that match."""
    rows = store.gallery(GalleryQuery(**query), audience, None, 100)  # pyright: ignore[reportArgumentType]
    return [row.entry.job for row in rows]


def test_a_result_is_an_entry_in_the_commit_that_records_it_and_once_however_often_it_is_recorded(store: Store) -> None:
    made = job("a", "a red  fox", owner="ada", guild="g1", channel="c1", workflow="txt2img")
    write(store, made)
    (row,) = store.gallery(GalleryQuery(), ALL, None, 10)
    entry = row.entry
    assert (entry.job, entry.owner, entry.guild, entry.channel) == ("a", "ada", "g1", "c1")
    assert (entry.workflow, entry.prompt, entry.ended) == ("txt2img", "a red  fox", 1_001.0)
    assert (row.files, row.width, row.hidden) == (("/out/a.png",), None, "")
    made.place = "there"
    write(store, made)
    (again,) = store.gallery(GalleryQuery(), ALL, None, 10)
    assert again == replace(row, place="there")
    assert store.gallery_row(JobId("a")) == again
    assert store.gallery_row(JobId("b")) is None


def test_only_what_somebody_asked_for_and_got_is_an_entry(store: Store) -> None:
    failed, waiting, nothing = job("failed"), job("waiting"), job("nothing", files=())
    failed.terminal_update = Failed(job=failed.id, reason="", files=("/out/half.png",))
    waiting.terminal_update = None
    part = job("part", lead=JobId("batch"))
    batch = job("batch", batch=Batch(2, ()))
    words = job("words", files=())
    assert isinstance(words.terminal_update, Finished)
    words.terminal_update = replace(words.terminal_update, texts=("a caption",))
    write(store, failed, waiting, nothing, batch, part, words)
    assert listed(store) == ["words"], "the first picture of a batch is not all of it"
    batch.gathered = True
    write(store, batch)
    assert listed(store) == ["words", "batch"]


def test_the_model_is_what_the_graph_names_or_what_the_server_chose() -> None:
    graph = {"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}}}
    assert model_of(job("a", graph=graph)) == "a.safetensors"
    assert model_of(job("a")) == ""
    left_open = job("a", graph=graph, choices=(FirstChoice(NodeId("4"), "ckpt_name"),))
    assert model_of(left_open) == "", "the workflow's own value was not used"
    assert isinstance(left_open.terminal_update, Finished)
    left_open.terminal_update = replace(
        left_open.terminal_update, chosen=(ChosenModel(NodeId("4"), "ckpt_name", "b.safetensors"),)
    )
    assert model_of(left_open) == "b.safetensors"


def test_pages_are_turned_by_key_whatever_comes_meanwhile(store: Store) -> None:
    write(store, *(job(f"{number}") for number in range(7)))
    first = store.gallery(GalleryQuery(), ALL, None, 3)
    assert [row.entry.job for row in first] == ["6", "5", "4"]
    write(store, job("new"))
    second = store.gallery(GalleryQuery(), ALL, first[-1].entry.key, 3)
    assert [row.entry.job for row in second] == ["3", "2", "1"]
    assert [row.entry.job for row in store.gallery(GalleryQuery(), ALL, second[-1].entry.key, 3)] == ["0"]


def test_entries_are_filtered_by_person_workflow_model_guild_and_time(store: Store) -> None:
    graph = {"4": {"class_type": "X", "inputs": {"unet_name": "flux.gguf"}}}
    write(store, job("a", owner="ada", workflow="w1"))
    write(store, job("b", owner="bob", guild="g2", graph=graph))
    assert listed(store, owner="bob") == ["b"]
    assert listed(store, workflow="w1") == ["a"]
    assert listed(store, model="flux.gguf") == ["b"]
    assert listed(store, guild="g1") == ["a"]
    assert listed(store, since=1_002.0) == ["b"]
    assert listed(store, until=1_002.0) == ["a"]
    assert listed(store, owner="bob", guild="g1") == []


def test_words_are_searched_in_any_order_and_the_last_one_by_its_beginning(store: Store) -> None:
    write(
        store,
        job("a", "A red fox, in the Snow"),
        job("b", "a red house"),
        job("c", "ein Füchslein"),
        job("d", "foxtrot, red", owner="bob"),
    )
    assert listed(store, text="red fox") == ["d", "a"]
    assert listed(store, text="fox red") == ["a"]
    assert listed(store, text="snow RED") == ["a"]
    assert listed(store, text="fuchs") == ["c"]
    assert listed(store, text="red f", owner="ada") == []
    assert listed(store, text="red fo", owner="ada") == ["a"]
    assert listed(store, text="the nothing") == []


def test_the_job_of_a_message_is_known_once_its_result_was_shown_there(store: Store) -> None:
    first, second = job("a"), job("b")
    write(store, first, second)
    assert store.shown_as("") is None
    for made, receipt in ((first, "m1"), (second, "m2")):
        made.receipt = receipt
        write(store, made)
    assert [store.shown_as(receipt) for receipt in ("m1", "m2", "m3", "", "\ud83d")] == ["a", "b", None, None, None]
    assert listed(store) == ["b", "a"]


@pytest.mark.parametrize(
    "text",
    ['"', "'", "a OR", "NOT a", "NEAR(", "*", "-", "prompt:x", "^a", "(", "a\0b", "\ud83d", "🦊", "???", " ", "+"],
)
def test_nothing_that_a_person_types_is_an_error(store: Store, text: str) -> None:
    write(store, job("a", "or not near"))
    assert set(listed(store, text=text)) <= {"a"}


@given(text=st.text(max_size=40))
@settings(max_examples=300)
def test_no_search_is_an_error(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE VIRTUAL TABLE prompts USING fts5 (prompt)")
        assert database.execute("SELECT 1 FROM prompts WHERE prompts MATCH ?", (search_of(text),)).fetchall() == []


def test_only_so_many_words_count(store: Store) -> None:
    write(store, job("a", "fox"))
    assert listed(store, text="fox " * (MOST_WORDS * 100)) == ["a"]


def test_others_see_nothing_without_a_guild_and_nothing_of_channels_that_are_left_out(store: Store) -> None:
    write(store, job("a", channel="c1"), job("b", channel="c2"), job("c", guild="", channel="9"))
    assert listed(store, Audience("bob")) == ["b", "a"]
    assert listed(store, Audience("bob", frozenset({"c1"}))) == ["b"]
    assert listed(store, Audience("ada", frozenset({"c1", "c2"}))) == ["c", "b", "a"]
    assert listed(store, Audience("")) == ["b", "a"]
    write(store, job("nobodys", guild="", owner=""))
    assert listed(store, Audience("")) == ["b", "a"], "what belongs to nobody is not everybody's"


def test_an_entry_is_hidden_from_others_or_from_everybody_and_stays_so(store: Store) -> None:
    made = job("a")
    write(store, made)
    store.hide_from_gallery(JobId("a"), "others")
    write(store, made)
    assert (listed(store, Audience("ada")), listed(store, Audience("bob"))) == (["a"], [])
    assert listed(store, Audience("ada"), text="fox") == ["a"]
    store.hide_from_gallery(JobId("a"), "everybody")
    store.hide_from_gallery(JobId("a"), "others")
    write(store, made)
    assert listed(store, ALL) == listed(store, Audience("ada")) == listed(store, ALL, text="fox") == []
    row = store.gallery_row(JobId("a"))
    assert row is not None
    assert row.hidden == "everybody"
    store.hide_from_gallery(JobId("unknown"), "everybody")


def test_what_was_hidden_before_it_ended_is_hidden_when_it_has_a_result(store: Store) -> None:
    made = job("a", "a fox")
    update, made.terminal_update = made.terminal_update, None
    write(store, made)
    store.hide_from_gallery(JobId("a"), "others")
    assert listed(store) == []
    assert store.without_thumbnails() is None
    made.terminal_update = update
    write(store, made)
    assert (listed(store, Audience("ada"), text="fox"), listed(store, Audience("bob"))) == (["a"], [])
    row = store.gallery_row(JobId("a"))
    assert row is not None
    assert (row.entry.guild, row.entry.channel, row.hidden) == ("g1", "c1", "others")
    assert store.without_thumbnails() == Unmade(JobId("a"), ("/out/a.png",))


def test_a_result_that_is_cancelled_before_it_was_shown_is_no_entry_any_more(store: Store) -> None:
    made = job("a")
    write(store, made)
    store.hide_from_gallery(JobId("a"), "others")
    made.state, made.terminal_update = State.CANCELLED, Cancelled(job=made.id)
    write(store, made)
    assert listed(store) == listed(store, text="fox") == []
    row = store.gallery_row(JobId("a"))
    assert row is not None
    assert row.hidden == "others"
    assert store.without_thumbnails() is None


def test_an_entry_whose_record_is_damaged_has_no_files_and_hides_no_other(store: Store) -> None:
    write(store, job("a"), job("b"))
    store._database.execute("UPDATE jobs SET record = x'00' WHERE id = 'b'")
    assert [(row.entry.job, row.files) for row in store.gallery(GalleryQuery(), ALL, None, 5)] == [
        ("b", ()),
        ("a", ("/out/a.png",)),
    ]
    assert store.without_thumbnails() == Unmade(JobId("b"), ())


def test_where_entries_come_from_is_read_newest_first(store: Store) -> None:
    write(store, job("a", channel="c1"), job("b", channel="c2"), job("c", guild=""))
    assert [origin.channel for origin in store.gallery_origins(Audience("bob"), 5)] == ["c2", "c1"]
    assert [origin.channel for origin in store.gallery_origins(Audience("bob", frozenset({"c2"})), 5)] == ["c1"]
    assert [origin.channel for origin in store.gallery_origins(ALL, 2)] == ["c1", "c2"]


def test_the_newest_entry_without_thumbnails_comes_first_until_it_was_tried(store: Store) -> None:
    write(store, job("a"), job("b"))
    assert store.without_thumbnails() == Unmade(JobId("b"), ("/out/b.png",))
    store.keep_dimensions(JobId("b"), 0, 0)
    assert store.without_thumbnails() == Unmade(JobId("a"), ("/out/a.png",))
    store.keep_dimensions(JobId("a"), 384, 200)
    assert store.without_thumbnails() is None
    sizes = [(row.width, row.height) for row in store.gallery(GalleryQuery(), ALL, None, 5)]
    assert sizes == [(0, 0), (384, 200)]


def forget_the_gallery(store: Store, *jobs: Job) -> None:
    """Make the journal look as if these jobs were recorded by a version without a gallery."""
    write(store, *jobs)
    for table in ("gallery", "gallery_prompts"):
        store._database.execute(f"DELETE FROM {table}")
    store._database.execute("UPDATE gallery_filled SET number = (SELECT max(number) + 1 FROM jobs)")


def fill(store: Store, limit: int, is_public: Callable[[Job], bool] = lambda _: True) -> list[str] | None:
    backlog = store.gallery_backlog(limit, is_public)
    if backlog is None:
        return None
    store.add_to_gallery(backlog)
    return [entry.job for entry in backlog.entries]


def test_results_of_an_earlier_version_are_added_in_steps_newest_first_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    lost = job("lost")
    lost.state, lost.terminal_update = State.LOST, None
    with open_store(path, clock=Clock(), durable=False) as store:
        forget_the_gallery(store, job("a"), job("b", "a whale"), lost, job("c"), job("part", lead=JobId("c")))
        assert fill(store, 2) == ["c"]
        write(store, job("new"))
    with open_store(path, clock=Clock(), durable=False) as store:
        assert listed(store) == ["new", "c"]
        assert fill(store, 2, lambda job: job.id != "b") == ["b"]
        assert fill(store, 2) == ["a"]
        assert fill(store, 2) is None
        assert listed(store) == ["new", "c", "b", "a"]
        assert listed(store, Audience("bob")) == ["new", "c", "a"]
        assert listed(store, text="whale") == ["b"]


def test_a_job_that_was_removed_while_it_was_read_is_not_added(store: Store) -> None:
    forget_the_gallery(store, job("a"), job("b"))
    backlog = store.gallery_backlog(5, lambda _: True)
    assert backlog is not None
    store._database.execute("DELETE FROM jobs WHERE id = 'a'")
    store.add_to_gallery(backlog)
    assert listed(store) == ["b"]
    assert listed(store, text="fox") == ["b"]


def test_a_job_is_hidden_also_before_it_was_added(store: Store) -> None:
    forget_the_gallery(store, job("a"), job("b"))
    store.hide_from_gallery(JobId("a"), "others")
    fill(store, 5)
    assert (listed(store, Audience("ada")), listed(store, Audience("bob"))) == (["b", "a"], ["b"])


def test_an_entry_goes_with_its_job_and_its_words_leave_the_file(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    with open_store(path, clock=Clock(), durable=False) as store:
        for number in range(40):
            write(store, job(f"ada-{number}", f"quokka{number} sits", owner="ada"))
            write(store, job(f"bob-{number}", f"wombat{number} sits", owner="bob"))
        assert store.forget_jobs("ada", 100) == 40
        while store.give_back(5):
            pass
        assert listed(store, text="sits") == [f"bob-{number}" for number in reversed(range(40))]
        assert listed(store, text="quokka1") == []
        content = path.read_bytes() + path.with_name("atelier.db-wal").read_bytes()
        assert b"quokka" not in content
        assert b"wombat" in content
        # FTS5 stores only what differs from the word before.
        terms = "SELECT count(*) FROM gallery_terms WHERE term LIKE 'quokka%'"
        store._database.execute("CREATE VIRTUAL TABLE temp.gallery_terms USING fts5vocab (main, gallery_prompts, row)")
        assert store._database.execute(terms).fetchone() == (0,)
        entries = "SELECT count(*), min(owner) FROM gallery"
        assert store._database.execute(entries).fetchone() == (40, "bob")


def test_giving_back_ends_although_prompts_are_added_meanwhile(store: Store) -> None:
    write(store, *(job(f"{number}", f"prompt {number}") for number in range(50)))
    store.remove_jobs(2_000.0, 0, 10)
    steps = 0
    while store.give_back(5):
        steps += 1
        write(store, job(f"new {steps}"))
        assert steps < 50


def test_a_python_whose_sqlite_cannot_search_is_one_sentence() -> None:
    error = translate(Path("atelier.db"), sqlite3.OperationalError("no such module: fts5"))
    sentence = "needs SQLite with FTS5, which this Python lacks: use the Python of python.org or uv."
    assert str(error) == f"The journal atelier.db {sentence}"


async def test_who_waits_for_an_entry_without_thumbnails_is_woken_by_a_result(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "atelier.db", durable=False) as journal:
        unmade: list[Unmade] = []

        async def wait() -> None:
            unmade.append(await journal.next_without_thumbnails())

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                waiting = job("waiting")
                waiting.terminal_update = None
                await journal.record([waiting], [])
                await journal.record([job("a")], [])
        assert unmade == [Unmade(JobId("a"), ("/out/a.png",))]
        await journal.keep_dimensions(JobId("a"), 384, 100)
        await journal.hide_from_gallery(JobId("a"))
        row = await journal.gallery_row(JobId("a"))
        assert row is not None
        assert (row.width, row.height, row.hidden) == (384, 100, "others")
        assert not await journal.fill_gallery(5, lambda _: True)
