"""Whose job is next, and on which server: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from app.events import JobId, ServerName


def choose(
    waiting: Sequence[tuple[JobId, Collection[ServerName]]], free: Mapping[ServerName, int]
) -> list[tuple[JobId, ServerName]]:
    """Pair waiting jobs with servers that have places left: first come first served, emptiest server first.

    `waiting` is in order of arrival, each job with the servers that can run it; `free` is the number of places on
    each server that takes another job now. Each gets one: of two POSTs on their way the later could arrive first.
    """
    places = dict(free)
    pairs: list[tuple[JobId, ServerName]] = []
    for job, able in waiting:
        open_to_it = [name for name, left in places.items() if left > 0 and name in able]
        # Who must wait for one server holds up nobody who can go to another.
        if open_to_it:
            server = max(open_to_it, key=lambda name: places[name])
            del places[server]
            pairs.append((job, server))
        if not places:
            break
    return pairs


def positions(
    at_server: Iterable[tuple[JobId, ServerName, int]],
    waiting: Iterable[JobId],
    load: Mapping[ServerName, int],
) -> dict[JobId, int]:
    """How many are ahead of each job that does not run yet, ours and other people's; 0 is next.

    `at_server` are our prompts on servers, oldest first, each with the number of foreign prompts before it;
    running ones before the others. `load` is all that each server has or is being sent, anybody's.
    """
    ahead: dict[JobId, int] = {}
    ours: dict[ServerName, int] = {}
    for job, server, foreign in at_server:
        ahead[job] = ours.get(server, 0) + foreign
        ours[server] = ours.get(server, 0) + 1
    base = sum(load.values())
    for place, job in enumerate(waiting):
        ahead[job] = base + place
    return ahead
