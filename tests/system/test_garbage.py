"""Garbage: what is there at the start is not looked through again."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

from app import __main__ as program
from app.system.garbage import NEW_OBJECTS, collect_rarely


@pytest.fixture
def usual() -> Generator[None]:
    """The settings of now, afterwards."""
    threshold, frozen = gc.get_threshold(), gc.get_freeze_count()
    yield
    gc.set_threshold(*threshold)
    if not frozen:
        gc.unfreeze()


@pytest.mark.usefixtures("usual")
def test_what_exists_is_left_out_and_what_comes_later_is_still_found() -> None:
    class Node:
        other: Node | None = None

    old = Node()
    collect_rarely()
    new, known = Node(), gc.get_objects()
    assert gc.get_threshold()[0] == NEW_OBJECTS
    assert not any(each is old for each in known)
    assert any(each is new for each in gc.get_objects())
    new.other = new
    del new, known
    assert gc.collect() > 0


@pytest.mark.usefixtures("usual")
def test_the_program_looks_rarely_from_its_start_and_not_through_everything_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Node:
        other: Node | None = None

    made, thresholds = Node(), list[int]()

    def start(_argv: object) -> int:
        thresholds.append(gc.get_threshold()[0])
        made.other = Node()
        return 3

    def install(_argv: object) -> None:
        """Leave the signals of this process alone."""

    monkeypatch.setattr("app.system.signals.install", install)
    monkeypatch.setattr("app.system.standard_streams.prepare", lambda: None)
    monkeypatch.setattr("app.cli.main.start", start)
    assert program.main() == 3
    assert thresholds == [NEW_OBJECTS]
    assert not any(each is made.other for each in gc.get_objects())
