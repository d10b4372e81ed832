"""The fuzzers find nothing in the code as it is, and each finds a bug that is planted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.jobs.job import JobRequest
from app.discord import custom_id
from app.discord.custom_id import Press
from app.discord.gateway.interactions import handlers
from app.discord.requests import dispatcher
from app.discord.requests.builtin_commands import BuiltinCommands
from app.events import JobId
from app.service.jobs.job_factory import JobFactory
from app.service.requests import CreateJob, Person
from tests.discord.fuzz import FUZZERS, Dead, fuzz, living

EXAMPLES = 40

# The bot runs in another thread and draws its pauses there, which Hypothesis takes for a strategy that does.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_people_and_discord_send_the_bot_goes_on(tmp_path: Path, backend: Any) -> None:
    with living(tmp_path, backend) as run:
        for fuzzer in FUZZERS.values():
            fuzz(run, fuzzer, EXAMPLES)


def _naive_read(told: str) -> Press | None:
    left, _, job = told.rpartition(":")
    verb, _, number = left.partition(".")[0].partition("-")
    return Press(verb, JobId(job), left.partition(".")[2], int(number)) if number else None


def test_the_fuzzer_of_custom_ids_finds_a_number_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_id, "read", _naive_read)
    with living(tmp_path) as run, pytest.raises(AssertionError, match="an interaction failed: ValueError"):
        fuzz(run, FUZZERS["custom ids"], EXAMPLES)


def test_the_fuzzer_of_forms_finds_a_line_without_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def naive(*args: Any, **options: Any) -> Any:
        [line.split(" = ")[1] for text in args[1].values() for line in text.splitlines()]
        return {}, 1

    monkeypatch.setattr(handlers.modals, "answers", naive)
    with living(tmp_path) as run, pytest.raises(AssertionError, match="an interaction failed: IndexError"):
        fuzz(run, FUZZERS["forms"], EXAMPLES)


def test_the_fuzzer_of_autocomplete_finds_a_search_for_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def naive(_: BuiltinCommands, workflow: str, slot: str, typed: str) -> list[str]:
        typed.encode("ascii")
        return []

    monkeypatch.setattr(BuiltinCommands, "suggest_values", naive)
    with living(tmp_path) as run, pytest.raises(AssertionError, match="autocomplete failed: UnicodeEncodeError"):
        fuzz(run, FUZZERS["autocomplete"], EXAMPLES)


def test_the_fuzzer_of_payloads_finds_a_request_without_a_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = JobFactory.create

    async def unguarded(work: Callable[[], Awaitable[object]], what: str, *_: Any, **__: Any) -> bool:
        await work()
        return True

    async def naive(self: JobFactory, request: CreateJob, person: Person) -> JobRequest:
        """Take an option for granted that is usually there."""
        assert request.values["width"]
        return await create(self, request, person)

    monkeypatch.setattr(dispatcher, "run_request", unguarded)
    monkeypatch.setattr(JobFactory, "create", naive)
    # It ends the bot, which the block says once more at its end.
    with pytest.raises((Dead, ExceptionGroup)), living(tmp_path) as run:
        fuzz(run, FUZZERS["payloads"], 400)
