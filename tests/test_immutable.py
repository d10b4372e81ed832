"""What crosses a stream or lies in several hands cannot be changed by any of them."""

from __future__ import annotations

import inspect

import pytest
from msgspec import Struct

from app import events
from app.core import effects
from app.core.jobs import job

CHANGING = {job.Job, job.Attempt}
"""Records of the registry, which nobody else changes."""

SHARED = [
    member
    for module in (effects, events, job)
    for _, member in inspect.getmembers(module, inspect.isclass)
    if issubclass(member, Struct)
    and member is not Struct
    and member.__module__ == module.__name__
    and member not in CHANGING
]


@pytest.mark.parametrize("shared", SHARED, ids=lambda shared: shared.__qualname__)
def test_events_effects_and_requests_are_frozen(shared: type[Struct]) -> None:
    assert shared.__struct_config__.frozen
