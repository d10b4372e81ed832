"""What a job's message shows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.core.jobs.job import JobRequest
from app.discord.ui.components import (
    BUTTONS_IN_A_ROW,
    LONGEST_ALT_TEXT,
    MOST_CHOICES,
    MOST_COMPONENTS,
    MOST_PICTURES,
    MOST_TEXT,
    Card,
    Choice,
    File,
    Gallery,
    Line,
    Row,
    Select,
    Text,
    Upload,
    weight,
)
from app.discord.ui.job_message import LONGEST_HEADLINE, listed, render
from app.discord.ui.job_view import JobView, view_of
from app.events import (
    AnyUpdate,
    Arrived,
    Cancelled,
    ChosenModel,
    Edited,
    Failed,
    Finished,
    JobId,
    Lost,
    NodeId,
    Previewed,
    Progressed,
    Queued,
    ServerName,
    Started,
)
from app.media_worker.mark import PACKET
from app.reasons.jobs import NodeFailed, OutOfMemory, ServersOffline
from app.service.jobs.follow_ups import FollowUpAction
from app.texts.discord.job_message import OUTSIDE, SHORTENED, took
from app.workflows.load import Workflow
from app.workflows.variations.derive import CHANGES, Change
from tests.discord.flows import TXT2IMG, slot, workflow
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
    ("maker", "server", "shown"),
    [
        (TXT2IMG, None, ["Edit", "Settings…", "Cancel"]),
        (TXT2IMG, HERE, ["Cancel"]),
        (None, None, ["Cancel"]),
        (replace(TXT2IMG, slots=(slot("seed", "seed"), slot("image", "image"))), None, ["Cancel"]),
    ],
    ids=["here", "at a server", "workflow removed", "nothing to ask"],
)
def test_a_job_can_be_edited_while_it_waits_here(
    maker: Workflow | None, server: ServerName | None, shown: list[str]
) -> None:
    waiting = view(Queued(job=JOB, position=3, server=server), workflow=maker)
    assert labels(render(waiting)[0]) == shown
    waiting.handle(Started(job=JOB, server=HERE), 1000.0)
    assert labels(render(waiting)[0]) == ["Cancel"]


def test_an_edited_job_shows_its_new_prompt() -> None:
    edited = Edited(job=JOB, values={"prompt": "a dog", "steps": 9}, seed=7)
    shown = view(Queued(job=JOB, position=3), edited, workflow=TXT2IMG)
    assert "### a dog" in words(render(shown)[0])
    assert "a cat" not in words(render(shown)[0])


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


def test_a_batch_tells_how_many_of_its_pictures_are_ready_and_how_many_are_being_made() -> None:
    progress = Progressed(job=JOB, fraction=0.5, node="Sampler", step=8, steps=20, running=2)
    running = view(Started(job=JOB, server=HERE), progress, pictures=4)
    assert "50 % · 0 of 4 ready, 2 being made · step 8/20" in words(render(running)[0])
    running.handle(Arrived(job=JOB, files=("a.png", "b.png", "c.png"), total=4), 1000.0)
    running.handle(replace(progress, running=1), 1000.0)
    assert "50 % · 3 of 4 ready · step 8/20" in words(render(running)[0])


def test_the_text_below_a_job_where_the_bot_is_not_says_what_happens_after_fifteen_minutes() -> None:
    waiting = view(Queued(job=JOB, position=1), outside=True)
    assert OUTSIDE in words(render(waiting)[0])
    waiting.handle(Cancelled(job=JOB), 1000.0)
    assert OUTSIDE not in words(render(waiting)[0])


def test_a_preview_is_shown_until_the_end() -> None:
    seen = view(Started(job=JOB, server=HERE), Previewed(job=JOB, image=b"jpeg", media_type="image/jpeg"))
    assert render(seen)[0].uploads == (Upload("preview.jpeg", data=b"jpeg", alt="a cat"),)
    seen.handle(Finished(HERE, job=JOB), 1000.0)
    assert not render(seen)[0].uploads


def test_the_preview_of_a_picture_goes_when_it_arrives() -> None:
    preview = Previewed(job=JOB, image=b"jpeg", media_type="image/jpeg")
    seen = view(Started(job=JOB, server=HERE), preview, pictures=2)
    seen.handle(Arrived(job=JOB, files=("1.png",), total=2), 1000.0)
    seen.arrived = (Upload("1.png", "1.png"),)
    assert [one.name for one in render(seen)[0].uploads] == ["1.png"]
    seen.handle(preview, 1000.0)
    assert [one.name for one in render(seen)[0].uploads] == ["1.png", "preview.jpeg"]


def test_every_picture_is_described_by_the_prompt() -> None:
    files = [Upload(f"{number}.png", f"{number}.png") for number in range(12)]
    paths = tuple(one.path for one in files)
    for prompt, alt in {"a *cat*": "a *cat*", "": "Text to image", " \n": "Text to image"}.items():
        cards = render(view(Finished(HERE, paths, job=JOB), prompt=prompt), files)
        alts = [one.alt for card in cards for one in card.uploads]
        assert alts == [f"Picture {number} of 12: {alt}" for number in range(1, 13)]
    long = "a cat, " * 500
    running = view(Previewed(job=JOB, image=b"x", media_type="image/png"), Started(job=JOB, server=HERE), prompt=long)
    for card in (*render(running), *render(view(Finished(HERE, paths, job=JOB), prompt=long), files)):
        for one in card.uploads:
            assert len(one.alt) <= LONGEST_ALT_TEXT
            assert long[:1_000] in one.alt


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


def test_a_result_tells_what_made_it_and_how_long_that_took() -> None:
    chosen = (ChosenModel(NodeId("1"), "checkpoint", "sd/dreamscape-v1.safetensors"),)
    finished = Finished(HERE, ("a.png",), (), ("All of it was cached.",), 77, 12.4, chosen, job=JOB)
    maker = workflow(slot("prompt"), slot("checkpoint", "model"))
    (card,) = render(view(finished, workflow=maker, follow_up=(edit(),)), [Upload("a.png", "a.png")])
    assert words(card).startswith("### a cat\n")
    assert "-# <@42> · Dreamscape v1 · 12 s · seed `77`" in words(card).splitlines()
    assert "All of it was cached." in words(card)
    assert labels(card) == ["Again", "Edit prompt", "Edit", "Details", "More…"]


def edit() -> FollowUpAction:
    return FollowUpAction("img2img", "Edit", slot("image", "image"), "image")


EACH = (
    FollowUpAction("upscale", "Upscale…", slot("image", "image"), "image", each=True),
    FollowUpAction("img2img", "Vary", slot("image", "image"), "image", number=2, each=True),
)


def lines(card: Card) -> list[list[str]]:
    """The labels of each row of buttons."""
    return [[button.label for button in block.buttons] for block in card.blocks if isinstance(block, Row)]


def finished_with(count: int, *follow_up: FollowUpAction, **more: object) -> Card:
    files = tuple(f"{number}.png" for number in range(count))
    finished = Finished(HERE, files, job=JOB)
    return render(view(finished, follow_up=follow_up, **more), [Upload(name, name) for name in files])[0]


def test_a_single_picture_is_upscaled_and_varied_with_one_button_each() -> None:
    assert lines(finished_with(1, *EACH)) == [["Again", "Edit prompt", "Upscale", "Vary"], ["Details", "More…"]]
    (again, *_, upscale, vary), _ = [
        block.buttons for block in finished_with(1, *EACH).blocks if isinstance(block, Row)
    ]
    assert (again.style, upscale.style) == ("primary", "secondary")
    assert (upscale.custom_id, vary.custom_id) == (f"go.upscale:{JOB}", f"go-2.img2img:{JOB}")


UPSCALE = FollowUpAction("upscale", "Upscale…", slot("image", "image"), "image", each=True)
CHANGES_OF = frozenset(CHANGES.values())


def test_a_result_says_what_was_done_to_a_picture() -> None:
    assert "-# <@42> · Vary subtle · Text to image" in words(finished_with(1, change="subtle")).splitlines()


def test_a_single_picture_is_varied_in_two_strengths() -> None:
    card = finished_with(1, UPSCALE, edit(), changes=CHANGES_OF)
    assert lines(card) == [
        ["Again", "Edit prompt", "Upscale", "Vary subtle", "Vary strong"],
        ["Edit", "Details", "More…"],
    ]
    first, _ = [block.buttons for block in card.blocks if isinstance(block, Row)]
    assert [button.custom_id for button in first[3:]] == [f"subtle:{JOB}", f"strong:{JOB}"]


def test_of_several_pictures_each_is_varied_strongly() -> None:
    card = finished_with(4, UPSCALE, edit(), changes=CHANGES_OF)
    assert lines(card) == [
        ["Upscale 1", "Upscale 2", "Upscale 3", "Upscale 4", "Again"],
        ["Vary 1", "Vary 2", "Vary 3", "Vary 4", "Edit prompt"],
        ["Edit", "Details", "More…"],
    ]
    _, vary, _ = [block.buttons for block in card.blocks if isinstance(block, Row)]
    assert vary[2].custom_id == f"strong+3:{JOB}"
    selects = [block for block in finished_with(6, UPSCALE, changes=CHANGES_OF).blocks if isinstance(block, Select)]
    assert [select.custom_id for select in selects] == [f"go.upscale:{JOB}", f"strong:{JOB}"]


def test_a_picture_that_can_only_be_extended_or_has_a_vary_of_its_own_is_not_varied() -> None:
    extended = frozenset[Change]({"zoom", "left", "right", "up", "down"})
    assert lines(finished_with(1, changes=extended)) == [["Again", "Edit prompt", "Details", "More…"]]
    assert lines(finished_with(2, *EACH, changes=CHANGES_OF))[1] == ["Vary 1", "Vary 2", "Edit prompt"]
    finished = Finished(HERE, ("a.mp4",), job=JOB)
    (video,) = render(view(finished, changes=CHANGES_OF), [Upload("a.mp4", "a.mp4")])
    assert labels(video) == ["Again", "Edit prompt", "Details", "More…"]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_few_pictures_have_a_button_each_in_order(count: int) -> None:
    card = finished_with(count, *EACH, edit())
    numbers = range(1, count + 1)
    assert lines(card) == [
        [*(f"Upscale {number}" for number in numbers), "Again"],
        [*(f"Vary {number}" for number in numbers), "Edit prompt"],
        ["Edit", "Details", "More…"],
    ]
    vary = [button for block in card.blocks if isinstance(block, Row) for button in block.buttons][count + 1]
    assert vary.custom_id == f"go-2+1.img2img:{JOB}"


def test_more_pictures_are_chosen_from_a_list_with_numbers() -> None:
    card = finished_with(9, *EACH)
    selects = [block for block in card.blocks if isinstance(block, Select)]
    assert [select.custom_id for select in selects] == [f"go.upscale:{JOB}", f"go-2.img2img:{JOB}"]
    assert selects[0].placeholder == "Upscale: choose a picture, 1 to 9"
    assert selects[0].choices[0] == Choice("Picture 1", "1")
    assert [choice.value for choice in selects[1].choices] == [str(number) for number in range(1, 10)]
    assert lines(card) == [["Again", "Edit prompt", "Details", "More…"]]


def test_a_list_has_no_more_choices_than_discord_takes() -> None:
    (upscale, _) = [block for block in finished_with(40, *EACH).blocks if isinstance(block, Select)]
    assert len(upscale.choices) == MOST_CHOICES


def test_what_finds_no_room_on_the_card_is_listed_elsewhere() -> None:
    others = [FollowUpAction(f"w{number}", f"Do {number}", slot("image", "image"), "image") for number in range(5)]
    assert lines(finished_with(1, *others))[-1] == ["Do 0", "Do 1", "Do 2", "Details", "More…"]
    seen = view(Finished(HERE, ("a.png",), job=JOB), follow_up=(*EACH, *others))
    assert [action.label for action in listed(seen)] == ["Upscale…", "Vary", "Do 3", "Do 4"]
    assert listed(view(Failed(job=JOB, reason="x"), follow_up=EACH)) == []


def test_a_picture_that_was_changed_is_shown_beside_what_it_was() -> None:
    finished = Finished(HERE, ("a.png",), job=JOB)
    before, after = Upload("before.webp", data=b"x"), Upload("a.png", "a.png")
    (card,) = render(view(finished), [after], before)
    assert [one.name for one in card.uploads] == ["before.webp", "a.png"]
    assert [one.alt for one in card.uploads] == ["Before the change", "a cat"]
    assert "-# Left: before · right: after" in words(card).splitlines()
    for uploads in ([after, Upload("b.png", "b.png")], [Upload("a.mp4", "a.mp4")]):
        (card,) = render(view(finished), uploads, before)
        assert "before" not in words(card), "several pictures keep their numbers"
        assert len(card.uploads) == len(uploads)


def test_only_a_picture_that_is_changed_as_a_prompt_says_has_a_before() -> None:
    request = JobRequest(job=JOB, workflow="w", graph={}, folder="out", values={"prompt": "x", "image": "/in.png"})
    prompt, image = slot("prompt"), slot("image", "image")
    assert view_of(request, workflow(prompt, image), (), spoiler=False).before == "/in.png"
    assert view_of(request, workflow(image), (), spoiler=False).before == ""
    assert view_of(request, replace(workflow(prompt, image), result="video"), (), spoiler=False).before == ""
    assert view_of(replace(request, values={"prompt": "x"}), workflow(prompt, image), (), spoiler=False).before == ""


def test_a_long_prompt_is_a_headline_of_two_lines() -> None:
    card = finished_with(1, prompt="a very long description, " * 40)
    headline = words(card).splitlines()[0].removeprefix("### ")
    assert 100 < len(headline) <= LONGEST_HEADLINE
    assert headline.endswith("long…")
    assert words(finished_with(1, prompt="two\nlines")).startswith("### two lines\n")
    assert words(finished_with(1, prompt="")).startswith("### Text to image\n-# <@42>\n"[:-1])


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.02, "0.1 s"), (4.24, "4.2 s"), (9.96, "10 s"), (59.4, "59 s"), (60.0, "1 min 0 s"), (156.0, "2 min 36 s")],
)
def test_the_time_is_short(seconds: float, shown: str) -> None:
    assert took(seconds) == shown


@pytest.mark.parametrize(
    ("dimensions", "facts"),
    [
        ([(1024, 768)], "1024 × 768 · seed `77`"),
        ([(1024, 768), (1024, 768)], "1024 × 768 · seed `77`"),
        ([(512, 512), None, (2048, 2048)], "512 × 512, 2048 × 2048 · seed `77`"),
        ([(1, 1), (2, 2), (3, 3), (4, 4)], "1 × 1, 2 × 2, 3 × 3 and 1 more size · seed `77`"),
        (
            [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)],
            "1 × 1, 2 × 2, 3 × 3 and 2 more sizes · seed `77`",
        ),
        ([None], "seed `77`"),
    ],
)
def test_the_footer_states_the_size_of_the_pictures_as_they_were_made(
    dimensions: list[tuple[int, int] | None], facts: str
) -> None:
    finished = Finished(HERE, tuple(f"{number}.png" for number in range(len(dimensions))), (), (), 77, job=JOB)
    uploads = [Upload(f"{number}.png", "a.png", dimensions=size) for number, size in enumerate(dimensions)]
    (card,) = render(view(finished), uploads)
    assert f"-# <@42> · Text to image · {facts}" in words(card).splitlines()


@pytest.mark.parametrize(
    ("word", "said", "buttons"),
    [
        (
            Failed(job=JOB, reason=OutOfMemory("S")),
            "Failed: The server ran out of memory. Choose a smaller size or fewer pictures.",
            ["Retry", "Edit prompt", "Details", "More…"],
        ),
        (
            Lost(job=JOB, reason="studio forgot it."),
            "Lost: studio forgot it.",
            ["Retry", "Edit prompt", "Details", "More…"],
        ),
        (Cancelled(job=JOB), "Cancelled.", ["Edit prompt", "Details", "More…"]),
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


def test_a_text_of_nothing_but_blanks_is_no_text_block() -> None:
    """Discord refuses such a block, and with it the whole message."""
    (card,) = render(view(Finished(HERE, (), (" \n\t ", "two words", ""), job=JOB)))
    assert all(block.text.strip() for block in card.blocks if isinstance(block, Text))
    assert "two words" in words(card)
    (card,) = render(view(Finished(HERE, (), (" \n",), job=JOB)))
    assert all(block.text.strip() for block in card.blocks if isinstance(block, Text))
    assert not card.uploads


def test_a_text_of_ten_megabytes_is_a_file_that_fits_into_a_message() -> None:
    (card,) = render(view(Finished(HERE, (), ("ß" * 5_500_000,), job=JOB)))
    (file,) = card.uploads
    assert 10_000_000 <= len(file.data) < 10 * 2**20
    assert file.data.decode().endswith(SHORTENED)
    assert sum(len(block.text) for block in card.blocks if isinstance(block, Text)) < MOST_TEXT


@pytest.mark.parametrize(
    ("megabytes", "pages"), [([9, 9, 9, 9], [2, 2]), ([24, 1], [1, 1]), ([12, 12], [2]), ([30, 1], [1, 1])]
)
def test_the_files_of_one_message_are_no_larger_than_discord_takes_in_one_request(
    megabytes: list[int], pages: list[int]
) -> None:
    files = [Upload(f"{number}.png", f"{number}.png", size=size * 2**20) for number, size in enumerate(megabytes)]
    cards = render(view(Finished(HERE, tuple(one.path for one in files), job=JOB)), files)
    assert [len(card.uploads) for card in cards] == pages


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
    follow_up = tuple(
        FollowUpAction(f"w{number}", awkward[:40] or "x", slot("image", "image"), "image", each=number % 2 == 0)
        for number in range(30)
    )
    files = [Upload(f"{number}.png", "x.png") for number in range(10)]
    chosen = (ChosenModel(NodeId("1"), "model", awkward),)
    maker = workflow(slot("prompt"), slot("model", "model"))
    paths = tuple(upload.name for upload in files)
    few, many = (
        Finished(HERE, paths[:count], (awkward, awkward), (awkward,) * 9, 1, 9e9, chosen, job=JOB) for count in (4, 10)
    )
    note = NodeFailed(awkward, awkward)
    ends: list[AnyUpdate] = [
        few,
        many,
        Failed(job=JOB, reason=awkward),
        Failed(job=JOB, reason=note),
        Queued(job=JOB, position=2, note=note),
        Progressed(job=JOB, fraction=0.3, node=awkward, note=note, step=1, steps=2),
    ]
    for end in ends:
        seen = view(end, title=awkward, prompt=awkward, workflow=maker, follow_up=follow_up, labelled=True)
        for card in render(seen, files if end in (few, many) else ()):
            assert weight(card) <= MOST_COMPONENTS
            assert len(words(card)) <= MOST_TEXT
            assert len(card.uploads) <= MOST_PICTURES
            assert all(len(block.buttons) <= BUTTONS_IN_A_ROW for block in card.blocks if isinstance(block, Row))
