"""Which front holds which shard."""

from __future__ import annotations

from collections import Counter
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from app.core.shards import ShardTable, assign, may_release

NAMES = "abcde"

fronts = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)
tables = st.lists(st.sampled_from(NAMES), min_size=0, max_size=6)


def is_even(table: tuple[str, ...], living: list[str]) -> bool:
    held = Counter(table)
    return set(held) <= set(living) and max(held[front] for front in living) - min(held[front] for front in living) <= 1


def moved(table: tuple[str, ...], before: list[str]) -> int:
    return sum(now != then for now, then in zip(table, before, strict=True))


@given(count=st.integers(2, 6), living=fronts, before=tables)
def test_shards_are_divided_evenly_and_no_other_even_division_moves_fewer(
    count: int, living: list[str], before: list[str]
) -> None:
    table = assign(count, living, before)
    assert len(table) == count
    assert is_even(table, living)
    if len(before) == count:
        others = [other for other in product(living, repeat=count) if is_even(other, living)]
        assert moved(table, before) == min(moved(other, before) for other in others)


@given(count=st.integers(1, 40), living=fronts)
def test_a_table_stays_as_it_is_while_the_fronts_stay(count: int, living: list[str]) -> None:
    table = assign(count, living)
    assert assign(count, living, table) == table
    assert assign(count, [living[0], *reversed(living[1:])], table) == table


def test_a_single_shard_belongs_to_the_active_front_wherever_it_was() -> None:
    assert assign(1, ["a", "b"], ["b"]) == ("a",)
    assert not ShardTable(1, ("a",)).shards_of("a"), "it is not shared"


def test_the_active_front_has_no_more_than_the_others() -> None:
    assert Counter(assign(5, ["a", "b"])) == {"a": 2, "b": 3}
    assert Counter(assign(4, ["a", "b", "c"])) == {"a": 1, "b": 2, "c": 1}


def test_what_a_front_had_that_is_gone_goes_to_the_others() -> None:
    before = assign(4, ["a", "b"])
    assert ShardTable(1, assign(4, ["b"], before)).shards_of("b") == {0, 1, 2, 3}
    after = assign(4, ["b", "c"], assign(4, ["b"], before))
    assert Counter(after) == {"b": 2, "c": 2}


def test_a_front_closes_a_shard_once_the_next_one_has_connected_it() -> None:
    table = ShardTable(1, ("a", "b"))
    assert not may_release(1, table, {})
    assert not may_release(1, table, {"b": frozenset()})
    assert not may_release(1, table, {"a": frozenset({1})})
    assert may_release(1, table, {"b": frozenset({1})})
    assert not may_release(2, table, {"b": frozenset({2})}), "there is no such shard"
