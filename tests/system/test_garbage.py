"""Garbage: what is there at the start is not looked through again."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

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
