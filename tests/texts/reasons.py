"""Reasons with arbitrary facts in them, for property tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from app.reasons import Reason
from app.reasons.files import MediaReason
from app.reasons.jobs import JobReason
from app.reasons.servers import NetworkReason, RefusalReason

KINDS = cast("tuple[type[Reason], ...]", get_args(JobReason))
"""All that may be the reason of a job."""

REFUSALS = cast("tuple[type[Reason], ...]", get_args(RefusalReason))
LOSSES = cast("tuple[type[Reason], ...]", get_args(NetworkReason))
MEDIA = cast("tuple[type[Reason], ...]", get_args(MediaReason))

HOSTILE = st.text() | st.sampled_from(["", " ", "a\nb\r\tc", "\u202e\u2028\x00\x1b[31m", "x" * 100_000, "\n" * 5000])


@cache
def reasons_of(kind: type[Reason], texts: st.SearchStrategy[str] = HOSTILE) -> st.SearchStrategy[Reason]:
    """Reasons of one kind with any facts that their types allow.

    Kept, because tests draw from it in each example, and to build and validate it takes longer than to draw from it.
    """
    return cast("st.SearchStrategy[Reason]", _of(kind, texts))


def job_reasons(texts: st.SearchStrategy[str] = HOSTILE) -> st.SearchStrategy[JobReason]:
    """Reasons of any kind."""
    return cast("st.SearchStrategy[JobReason]", st.one_of(*(_of(kind, texts) for kind in KINDS)))


def _of(kind: Any, texts: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is str:
        return texts
    if kind is float:
        return st.floats(0, 1e9)
    if kind is int:
        return st.integers(0, 2**40)
    if origin is tuple:
        return st.lists(_of(arguments[0], texts), max_size=3).map(tuple)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (UnionType, Union):
        return st.one_of(*(_of(hint_of_member, texts) for hint_of_member in arguments))
    if kind in (bool, type(None)):
        return st.booleans() if kind is bool else st.none()
    facts = get_type_hints(kind)
    names: tuple[str, ...] = kind.__struct_fields__
    build: Callable[..., object] = kind
    return st.builds(build, **{name: _of(facts[name], texts) for name in names})
