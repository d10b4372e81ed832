"""What people and Discord servers are called on the page, where only their ids are known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

import anyio

from app.entry_points import run_request
from app.service.people.names import Names

PATIENCE = 1.5
"""Seconds that a page waits for names; those that are not known by then are missing on it."""

AT_ONCE = 16
"""Names that are asked for at the same time."""


async def names_of_people(names: Names | None, people: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The names of people, each with a Discord server where they are, by id; "" for those that are not known.

    Without `names`, people are called by their ids.
    """
    if names is None:
        return {person: person for person, _ in people}
    known = {person: guild for person, guild in people if person}
    return await _all({person: partial(names.person, person, guild) for person, guild in known.items()})


async def names_of_guilds(names: Names | None, guilds: Iterable[str]) -> Mapping[str, str]:
    """The names of Discord servers, by id."""
    if names is None:
        return {guild: guild for guild in guilds}
    return await _all({guild: partial(names.guild, guild) for guild in guilds if guild})


async def _all(questions: Mapping[str, Callable[[], Awaitable[str]]]) -> Mapping[str, str]:
    answers = dict.fromkeys(questions, "")
    turns = anyio.Semaphore(AT_ONCE)

    async def ask(key: str, question: Callable[[], Awaitable[str]]) -> None:
        async with turns:
            answers[key] = await question()

    with anyio.move_on_after(PATIENCE):
        async with anyio.create_task_group() as asking:
            for key, question in questions.items():
                work = partial(run_request, partial(ask, key, question), "a name is not known")
                asking.start_soon(work, name="name")
    return answers
