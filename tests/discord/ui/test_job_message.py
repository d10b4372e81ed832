"""What a job's message shows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.core.job import JobRequest
from app.discord.ui.components import (
    BUTTONS_IN_A_ROW,
    LONGEST_ALT_TEXT,
    MOST_COMPONENTS,
    MOST_PICTURES,
    MOST_TEXT,
    Card,
    File,
    Gallery,
    Line,
    Row,
    Text,
    Upload,
    weight,
)
from app.discord.ui.job_message import render
from app.discord.ui.job_view import JobView, Setting, view_of
from app.events import (
    AnyUpdate,
    Cancelled,
    Edited,
    Failed,
    Finished,
    JobId,
    Lost,
    Previewed,
    Progressed,
    Queued,
    ServerName,
    Started,
)
from app.media_worker.mark import PACKET
from app.reasons.jobs import NodeFailed, OutOfMemory, ServersOffline
from app.service.follow_ups import FollowUpAction
from app.workflows.load import Workflow
from tests.discord.flows import TXT2IMG, slot
from tests.media_worker.samples import encoded, noise

JOB = JobId("0b7a3f0e-7c1d-4a53-9d0c-3d6f0a1b2c3d")
HERE = ServerName("studio")


def view(*updates: AnyUpdate, **more: object) -> JobView:
    told: dict[str, object] = {"job": JOB, "owner": "42", "title": "Text to image", "prompt": "a cat", **more}
    made = JobView(**told)  # pyright: ignore[reportArgumentType]
    for update in updates:
        made.handle(update, 1000.0)
    return made


def words(card: Card) -> str:
    return "\n".join(block.text for block in card.blocks if isinstance(block, (Text, Line)))


def labels(card: Card) -> list[str]:
    return [button.label for block in card.blocks if isinstance(block, Row) for button in block.buttons]


def test_a_waiting_job_tells_its_position_and_when_it_is_expected_to_start() -> None:
    (card,) = render(view(Queued(job=JOB, position=3, starts_in=90.0)))
    assert "In line: 3 ahead of you · starts <t:1090:R>" in words(card)
    assert labels(card) == ["Cancel"]


@pytest.mark.parametrize(
    ("workflow", "server", "shown"),
    [
        (TXT2IMG, None, ["Edit", "Cancel"]),
        (TXT2IMG, HERE, ["Cancel"]),
        (None, None, ["Cancel"]),
        (replace(TXT2IMG, slots=(slot("seed", "seed"), slot("image", "image"))), None, ["Cancel"]),
    ],
    ids=["here", "at a server", "workflow removed", "nothing to ask"],
)
def test_a_job_can_be_edited_while_it_waits_here(
    workflow: Workflow | None, server: ServerName | None, shown: list[str]
) -> None:
    waiting = view(Queued(job=JOB, position=3, server=server), workflow=workflow)
    assert labels(render(waiting)[0]) == shown
    waiting.handle(Started(job=JOB, server=HERE), 1000.0)
    assert labels(render(waiting)[0]) == ["Cancel"]


def test_an_edited_job_shows_its_new_prompt_and_settings() -> None:
    edited = Edited(job=JOB, values={"prompt": "a dog", "steps": 9}, seed=7)
    shown = view(Queued(job=JOB, position=3), edited, workflow=TXT2IMG)
    assert "> a dog" in words(render(shown)[0])
    assert "a cat" not in words(render(shown)[0])
    shown.handle(Finished(HERE, (), (), (), 7, job=JOB), 1000.0)
    assert "steps 9" in words(render(shown)[0])


def test_a_job_that_waits_for_a_server_that_is_offline_tells_so_and_no_time() -> None:
    (card,) = render(view(Queued(job=JOB, position=3, note=ServersOffline(("studio",)))))
    assert "In line: 3 ahead of you" in words(card)
    assert "starts" not in words(card), "nobody knows when it comes back"
    assert "The image server is offline. Your place is kept." in words(card)
    assert "studio" not in words(card), "which server it is says nothing to people"
    assert labels(card) == ["Cancel"]


def test_a_running_job_tells_how_far_it_is() -> None:
    progress = Progressed(job=JOB, fraction=0.5, node="Sampler", step=8, steps=20, remaining=30.0)
    (card,) = render(view(Started(job=JOB, server=HERE), progress))
    assert "▰▰▰▰▰▰▱▱▱▱▱▱ 50 % · step 8/20 · Sampler · done <t:1030:R>" in words(card)


def test_a_preview_is_shown_until_the_end() -> None:
    seen = view(Started(job=JOB, server=HERE), Previewed(job=JOB, image=b"jpeg", media_type="image/jpeg"))
    assert render(seen)[0].uploads == (Upload("preview.jpeg", data=b"jpeg", alt="a cat"),)
    seen.handle(Finished(HERE, job=JOB), 1000.0)
    assert not render(seen)[0].uploads


def test_every_picture_is_described_by_the_prompt() -> None:
    files = [Upload(f"{number}.png", f"{number}.png") for number in range(12)]
    paths = tuple(one.path for one in files)
    for prompt, alt in {"a *cat*": "a *cat*", "": "Text to image", " \n": "Text to image"}.items():
        cards = render(view(Finished(HERE, paths, job=JOB), prompt=prompt), files)
        assert {one.alt for card in cards for one in card.uploads} == {alt}
    long = "a cat, " * 500
    running = view(Previewed(job=JOB, image=b"x", media_type="image/png"), Started(job=JOB, server=HERE), prompt=long)
    for card in (*render(running), *render(view(Finished(HERE, paths, job=JOB), prompt=long), files)):
        for one in card.uploads:
            assert len(one.alt) <= LONGEST_ALT_TEXT
            assert one.alt.startswith(long[:1_000])


def test_a_preview_is_marked_where_results_are() -> None:
    image = encoded(noise((16, 16)), "JPEG")
    updates = (Started(job=JOB, server=HERE), Previewed(job=JOB, image=image, media_type="image/jpeg"))
    assert [PACKET in one.data for one in render(view(*updates, mark_previews=True))[0].uploads] == [True]
    assert [one.data for one in render(view(*updates))[0].uploads] == [image]


def test_a_result_says_that_a_machine_made_it_where_that_is_wanted() -> None:
    finished = Finished(HERE, ("a.png",), job=JOB)
    assert "-# AI-generated" in words(render(view(finished, labelled=True), [Upload("a.png", "a.png")])[0])
    assert "AI-generated" not in words(render(view(finished), [Upload("a.png", "a.png")])[0])


def test_an_expected_time_that_hardly_changes_is_not_shown_anew() -> None:
    first = view(Progressed(job=JOB, fraction=0.5, remaining=30.0))
    before = render(first)
    first.handle(Progressed(job=JOB, fraction=0.5, remaining=29.0), 1003.0)
    assert render(first) == before


def test_an_expected_start_that_hardly_changes_is_not_shown_anew() -> None:
    waiting = view(Queued(job=JOB, position=3, starts_in=90.0))
    waiting.handle(Queued(job=JOB, position=2, starts_in=84.0), 1003.0)
    assert "In line: 2 ahead of you · starts <t:1090:R>" in words(render(waiting)[0])
    waiting.handle(Queued(job=JOB, position=2, starts_in=140.0), 1004.0)
    assert "In line: 2 ahead of you · starts <t:1144:R>" in words(render(waiting)[0])


@pytest.mark.parametrize("starts_in", [None, 0.0])
def test_a_start_that_is_unknown_or_due_now_has_no_time(starts_in: float | None) -> None:
    waiting = view(Queued(job=JOB, position=1, starts_in=90.0), Queued(job=JOB, position=0, starts_in=starts_in))
    assert "In line: you are next" in words(render(waiting)[0])
    assert "<t:" not in words(render(waiting)[0])


def test_a_job_that_starts_forgets_when_it_was_expected_to() -> None:
    (card,) = render(view(Queued(job=JOB, position=0, starts_in=90.0), Started(job=JOB, server=HERE)))
    assert "<t:" not in words(card)


def test_a_result_tells_seed_settings_and_notes() -> None:
    finished = Finished(HERE, ("a.png",), (), ("All of it was cached.",), 77, job=JOB)
    seen = view(
        finished,
        settings=(Setting("Steps", "7"),),
        follow_up=(FollowUpAction("img2img", "Edit", slot("image", "image"), "image"),),
    )
    (card,) = render(seen, [Upload("a.png", "a.png")])
    assert "seed `77` · steps 7" in words(card)
    assert "All of it was cached." in words(card)
    assert labels(card) == ["Again", "Edit prompt", "Settings", "Delete", "Edit"]


@pytest.mark.parametrize(
    ("dimensions", "footer"),
    [
        ([(1024, 768)], "<@42> · 1024 × 768 · seed `77`"),
        ([(1024, 768), (1024, 768)], "<@42> · 1024 × 768 · seed `77`"),
        ([(512, 512), None, (2048, 2048)], "<@42> · 512 × 512, 2048 × 2048 · seed `77`"),
        ([(1, 1), (2, 2), (3, 3), (4, 4)], "<@42> · 1 × 1, 2 × 2, 3 × 3 and 1 more size · seed `77`"),
        ([(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], "<@42> · 1 × 1, 2 × 2, 3 × 3 and 2 more sizes · seed `77`"),
        ([None], "<@42> · seed `77`"),
    ],
)
def test_the_footer_states_the_size_of_the_pictures_as_they_were_made(
    dimensions: list[tuple[int, int] | None], footer: str
) -> None:
    finished = Finished(HERE, tuple(f"{number}.png" for number in range(len(dimensions))), (), (), 77, job=JOB)
    uploads = [Upload(f"{number}.png", "a.png", dimensions=size) for number, size in enumerate(dimensions)]
    (card,) = render(view(finished), uploads)
    assert f"-# {footer}" in words(card).splitlines()


def test_only_what_differs_from_the_defaults_is_told() -> None:
    values = {"prompt": "a cat", "steps": 24, "cfg": 4.0, "negative": ""}
    request = JobRequest(job=JOB, workflow="txt2img", graph={}, folder="out", owner="42", values=dict(values))
    seen = view_of(request, TXT2IMG, (), spoiler=False)
    assert seen.settings == (Setting("Guidance", "4.0"),)


@pytest.mark.parametrize(
    ("word", "said", "buttons"),
    [
        (
            Failed(job=JOB, reason=OutOfMemory("S")),
            "Failed: The server ran out of memory. Choose a smaller size or fewer pictures.",
            ["Retry", "Settings", "Delete"],
        ),
        (Lost(job=JOB, reason="studio forgot it."), "Lost: studio forgot it.", ["Retry", "Settings", "Delete"]),
        (Cancelled(job=JOB), "Cancelled.", ["Settings", "Delete"]),
    ],
)
def test_other_ends_say_why_and_what_to_do(word: AnyUpdate, said: str, buttons: list[str]) -> None:
    (card,) = render(view(word))
    assert said in words(card)
    assert labels(card) == buttons


def test_ten_pictures_are_one_gallery_and_more_go_into_further_messages() -> None:
    files = [Upload(f"{number}.png", f"{number}.png") for number in range(23)]
    cards = render(view(Finished(HERE, tuple(one.path for one in files), job=JOB)), files)
    assert [len(card.uploads) for card in cards] == [10, 10, 3]
    assert [one.path for card in cards for one in card.uploads] == [one.path for one in files]
    assert not labels(cards[1])


def test_files_that_discord_cannot_show_are_there_to_download() -> None:
    (card,) = render(view(Finished(HERE, ("a.flac",), job=JOB)), [Upload("a.flac", "a.flac")])
    assert [block.file.name for block in card.blocks if isinstance(block, File)] == ["a.flac"]
    assert not [block for block in card.blocks if isinstance(block, Gallery)]


def test_texts_are_texts_and_long_ones_are_files() -> None:
    assert "two words" in words(render(view(Finished(HERE, (), ("two words",), job=JOB)))[0])
    (card,) = render(view(Finished(HERE, (), ("x" * 5000,), job=JOB)))
    assert [one.name for one in card.uploads] == ["text.txt"]


def test_a_spoiler_is_hidden_from_the_first_preview_to_the_result() -> None:
    seen = view(Previewed(job=JOB, image=b"x", media_type="image/png"), Started(job=JOB, server=HERE), spoiler=True)
    assert all(one.spoiler for one in render(seen)[0].uploads)
    seen.handle(Finished(HERE, ("a.png",), job=JOB), 1000.0)
    assert all(one.spoiler for one in render(seen, [Upload("a.png", "a.png")])[0].uploads)


def test_what_people_typed_is_shown_as_they_typed_it() -> None:
    (card,) = render(view(Queued(job=JOB, position=0), prompt="**bold** [x](http://y) @everyone"))
    assert "**bold**" not in words(card)
    assert "[x](" not in words(card)


@pytest.mark.parametrize("awkward", ["*_~`|>" * 2000, "line\n" * 900, "ß" * 9000])
def test_no_card_is_larger_than_discord_allows(awkward: str) -> None:
    settings = tuple(Setting(awkward[:50], awkward) for _ in range(30))
    follow_up = tuple(
        FollowUpAction(f"w{number}", awkward[:40] or "x", slot("image", "image"), "image") for number in range(30)
    )
    finished = Finished(HERE, ("a.png",), (awkward, awkward), (awkward,) * 9, 1, job=JOB)
    files = [Upload(f"{number}.png", "x.png") for number in range(10)]
    note = NodeFailed(awkward, awkward)
    ends: list[AnyUpdate] = [
        finished,
        Failed(job=JOB, reason=awkward),
        Failed(job=JOB, reason=note),
        Queued(job=JOB, position=2, note=note),
        Progressed(job=JOB, fraction=0.3, node=awkward, note=note, step=1, steps=2),
    ]
    for end in ends:
        seen = view(end, title=awkward, prompt=awkward, settings=settings, follow_up=follow_up, labelled=True)
        for card in render(seen, files if end is finished else ()):
            assert weight(card) <= MOST_COMPONENTS
            assert len(words(card)) <= MOST_TEXT
            assert len(card.uploads) <= MOST_PICTURES
            assert all(len(block.buttons) <= BUTTONS_IN_A_ROW for block in card.blocks if isinstance(block, Row))
