"""Whose file is next: fair between people, and large files do not delay small ones."""

from __future__ import annotations

from msgspec import Struct

from app.media_worker.protocol import Lane
from app.media_worker.waiting import FairQueue

PICTURES: frozenset[Lane] = frozenset({"light", "heavy"})


class File(Struct, eq=False):
    person: str
    number: int
    lane: Lane = "light"


def names(files: list[File]) -> list[str]:
    return [f"{file.person}{file.number}" for file in files]


def queue(*files: File) -> FairQueue[File]:
    made: FairQueue[File] = FairQueue()
    for file in files:
        made.put(file)
    return made


def served(waiting: FairQueue[File], processes: int = 1) -> list[str]:
    """The order in which everything is served, each process finishing in turn."""
    order: list[File] = []
    busy: list[File] = []
    while True:
        while len(busy) < processes and (file := waiting.take(PICTURES)) is not None:
            order.append(file)
            busy.append(file)
        if not busy:
            return names(order)
        waiting.release(busy.pop(0))


def test_people_take_turns() -> None:
    waiting = queue(*(File("a", number) for number in range(4)), File("b", 0), File("b", 1), File("c", 0))
    assert served(waiting) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_one_person_never_has_both_processes() -> None:
    waiting = queue(*(File("a", number) for number in range(10)))
    assert waiting.take(PICTURES) is not None
    assert waiting.take(PICTURES) is None
    waiting.put(late := File("b", 0))
    assert waiting.take(PICTURES) is late


def test_only_one_large_file_is_served_at_a_time() -> None:
    large = [File(person, 0, "heavy") for person in "abc"]
    waiting = queue(*large, File("d", 0))
    assert waiting.take(PICTURES) is large[0]
    small = waiting.take(PICTURES)
    assert small is not None
    assert small.person == "d"
    assert waiting.take(PICTURES) is None
    waiting.release(large[0])
    assert waiting.take(PICTURES) is large[1]


def test_another_person_waits_for_no_more_than_one_of_ten_large_files() -> None:
    waiting = queue(*(File("a", number, "heavy") for number in range(10)))
    first = waiting.take(PICTURES)
    assert first is not None
    waiting.put(other := File("b", 0, "heavy"))
    waiting.release(first)
    assert waiting.take(PICTURES) is other


def test_large_files_that_were_put_back_keep_their_order() -> None:
    waiting = queue(*(File(person, 0) for person in "abc"), File("a", 1))
    for _ in "abc":
        file = waiting.take(PICTURES)
        assert file is not None
        waiting.release(file)
        file.lane = "heavy"
        waiting.put(file, first=True)
    assert served(waiting) == ["a0", "b0", "c0", "a1"]


def test_a_video_does_not_keep_its_person_from_sending_pictures() -> None:
    waiting = queue(File("a", 0, "video"), File("a", 1), File("b", 0, "video"))
    assert waiting.take(PICTURES) is not None
    video = waiting.take(frozenset({"video"}))
    assert video is not None
    assert names([video]) == ["a0"]


def test_nothing_is_left_of_what_was_given_up() -> None:
    waiting = queue(first := File("a", 0), File("b", 0))
    waiting.discard(first)
    waiting.discard(first)
    taken = waiting.take(PICTURES)
    assert taken is not None
    assert taken.person == "b"
    waiting.put(File("c", 0))
    assert sorted(names(waiting.drain())) == ["b0", "c0"]
    assert waiting.take(PICTURES) is None
