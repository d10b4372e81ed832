"""How long people wait for their first message while Discord is slow for all, or hangs for one of them.

Measured for the bot, and for the same bot with hikari's own buckets, where all first requests share one for each route.
"""

from __future__ import annotations

import statistics
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench.discord import BOTS, bot_process, imagine
from bench.lag import server
from tests.discord.fake import FakeDiscord, Interaction, Person, running

PEOPLE = 50
"""People who ask at the same moment."""

EACH_CALL = 2.0
"""Seconds that each request takes while Discord is slow."""

OTHERS = 10
"""People who ask while one request hangs."""

PATIENCE = 300.0

SHARING = """
import runpy, sys
import app.discord.gateway.bot
app.discord.gateway.bot.separate_buckets = lambda rest: None
sys.argv[0] = "app"
runpy.run_module("app", run_name="__main__")
"""

BOTS_HERE: Mapping[str, tuple[str, ...]] = {
    "atelier_trio": BOTS["atelier_trio"],
    "atelier_asyncio": BOTS["atelier_asyncio"],
    "hikaris_own_buckets": ("-c", SHARING, "run", "--backend", "trio"),
}


@contextmanager
def _discord(name: str) -> Generator[tuple[FakeDiscord, list[Person]]]:
    """Run a bot between a fake Discord and a simulated ComfyUI; yields Discord and its people."""
    with TemporaryDirectory() as folder, server() as (url, _, _), running() as discord:
        people = [Person(str(10**18 + number), f"person-{number}") for number in range(PEOPLE)]
        with bot_process(BOTS_HERE[name], discord, url, Path(folder)):
            yield discord, people


def _waits(discord: FakeDiscord, asked: list[Interaction]) -> list[float]:
    """Seconds until each person sees more than that the bot is thinking."""
    history = discord.state.messages.history

    def all_shown() -> bool:
        return all(one.original and len(history[one.original]) > 1 for one in asked)

    anyio.run(discord.until, all_shown, PATIENCE)
    return [discord.history(one)[1].at - one.at for one in asked]


def _slow(name: str) -> dict[str, float]:
    with _discord(name) as (discord, people):
        discord.fail(delay=EACH_CALL, times=None)
        waits = _waits(discord, [imagine(discord, "a cat", person) for person in people])
        return {"median_s": statistics.median(waits), "longest_s": max(waits), "refused": discord.refused}


def _hanging(name: str) -> dict[str, float]:
    with _discord(name) as (discord, (unlucky, *others)):
        fault = discord.fail("PATCH", "/webhooks/", hold=True)
        imagine(discord, "a cat", unlucky)
        anyio.run(discord.until, lambda: fault.times == 0, PATIENCE)
        waits = _waits(discord, [imagine(discord, "a dog", person) for person in others[:OTHERS]])
        discord.heal()
        return {"median_s": statistics.median(waits), "longest_s": max(waits), "refused": discord.refused}


def slow_discord(rounds: int) -> dict[str, object]:
    """Medians over the rounds: seconds until the first message, and how many requests Discord refused with 429."""
    figures: dict[str, object] = {}
    for name in BOTS_HERE:
        found = {"fifty_people_two_seconds_each_call": _slow, "ten_people_one_call_hangs": _hanging}
        figures[name] = {case: _medians([measure(name) for _ in range(rounds)]) for case, measure in found.items()}
    return figures


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(one[key] for one in rounds), 2) for key in rounds[0]}
