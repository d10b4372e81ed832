"""Which workflows can use a result as their input."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from app.events import Finished, JobId, ServerName
from app.service.jobs.follow_ups import FollowUpAction, find_follow_up, is_kept, list_follow_ups, results
from app.workflows.manifest.schema import FollowUp
from tests.discord.flows import TXT2IMG, slot, workflow

FILM = slot("clip", "video", required=True)
PHOTO = slot("image", "image", required=True)


def finished(*files: str, texts: tuple[str, ...] = ()) -> Finished:
    return Finished(ServerName("here"), files, texts, job=JobId("job"))


def followed(*follow_ups: FollowUp) -> list[FollowUpAction]:
    others = [workflow(PHOTO, name="grow"), workflow(FILM, name="film"), workflow(slot("prompt"), name="words")]
    return list_follow_ups(replace(TXT2IMG, follow_ups=follow_ups), {follower.name: follower for follower in others})


def test_ways_into_the_same_workflow_are_counted_so_that_buttons_can_tell_them_apart() -> None:
    twice = [FollowUp(workflow="grow", slot="image", title=f"×{n}", values={"factor": n}) for n in (2, 4)]
    actions = followed(twice[0], FollowUp(workflow="gone", slot="x"), FollowUp(workflow="film", slot="clip"), twice[1])
    assert [(action.workflow, action.number, action.values) for action in actions] == [
        ("grow", 1, {"factor": 2}),
        ("film", 1, {}),
        ("grow", 2, {"factor": 4}),
    ]


def test_a_way_takes_the_results_that_its_slot_takes() -> None:
    grow, film, words = followed(
        FollowUp(workflow="grow", slot="image"),
        FollowUp(workflow="film", slot="clip"),
        FollowUp(workflow="words", slot="prompt"),
    )
    made = finished("a.png", "b.mp4", "c.flac", texts=("a cat",))
    assert [list(results(made, action)) for action in (grow, film, words)] == [["a.png"], ["b.mp4"], ["a cat"]]


def test_a_manifest_may_say_which_results_a_follow_up_is_for() -> None:
    (still,) = followed(FollowUp(workflow="film", slot="clip", result="image"))
    (mute,) = followed(FollowUp(workflow="film", slot="clip", result="text"))
    made = finished("a.png", "b.mp4", texts=("a cat",))
    assert list(results(made, still)) == ["a.png"]
    assert not results(made, mute), "a text is no file"


def test_a_file_goes_into_the_one_slot_that_must_have_one_or_the_first_that_may() -> None:
    both = workflow(slot("mask", "image"), PHOTO)
    assert [action.slot.name for action in map(find_follow_up, (both, workflow(FILM))) if action is not None] == [
        "image",
        "clip",
    ]
    assert find_follow_up(workflow(PHOTO, FILM)) is None
    assert find_follow_up(TXT2IMG) is None


def test_a_file_is_kept_while_it_is_there_and_a_name_that_no_file_can_have_is_not(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.touch()
    assert is_kept(str(picture))
    assert not is_kept(str(tmp_path / "b.png"))
    assert not is_kept("x" * 5000 + ".png")
    assert not is_kept("a\0.png")
