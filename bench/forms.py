"""How soon forms open: fifty presses a second of twenty people, on the real bot in a process of its own."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench.discord import A_SECOND, BOTS, CROWD, PATIENCE, RUSH, bot_process, imagine
from bench.lag import server
from tests.discord.fake import FakeDiscord, Interaction, Payload, Person, running
from tests.discord.fake.wire import walk

FORM = 9
"""Discord's number for the answer that is a form."""

BUTTONS = {"edit_prompt": "Edit prompt", "card_group": "Texts…"}
"""What is pressed: the button of a result, and one of its card of settings, whose draft is in the journal."""


def forms(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure how many milliseconds pass from a press to its form, for each bot; medians of all rounds."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for bot in ("atelier_trio", "atelier_asyncio"):
        measured = [_round(bot) for _ in range(rounds)]
        figures[bot] = {
            name: {key: statistics.median(each[name][key] for each in measured) for key in measured[0][name]}
            for name in BUTTONS
        }
    return figures


def _round(bot: str) -> dict[str, dict[str, float]]:
    with TemporaryDirectory() as folder, server() as (url, _, _), running() as discord:
        crowd = [Person(str(10**18 + number), f"person-{number}") for number in range(CROWD)]
        with bot_process(BOTS[bot], discord, url, Path(folder)):
            result = _answered(discord, imagine(discord, "a lighthouse", crowd[0]), "Edit prompt")
            cards = [_card(discord, result, person) for person in crowd]
            return {
                "edit_prompt": _rush(discord, [(result, person) for person in crowd], BUTTONS["edit_prompt"]),
                "card_group": _rush(discord, list(zip(cards, crowd, strict=True)), BUTTONS["card_group"]),
            }


def _card(discord: FakeDiscord, result: Payload, person: Person) -> Payload:
    """The card of settings that a person opens."""
    more = _answered(discord, _press(discord, result, "More…", person), "Settings…")
    return _answered(discord, _press(discord, more, "Settings…", person), BUTTONS["card_group"])


def _rush(discord: FakeDiscord, messages: list[tuple[Payload, Person]], label: str) -> dict[str, float]:
    """Press this button `RUSH` times, fifty times a second; the milliseconds until the forms opened."""
    pressed: list[Interaction] = []
    began = time.monotonic()
    for number in range(RUSH):
        time.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
        message, person = messages[number % len(messages)]
        pressed.append(_press(discord, message, label, person))
    anyio.run(discord.until, lambda: all(each.response is not None for each in pressed), PATIENCE)
    opened = [(each.latency or 0.0) * 1000 for each in pressed if each.response == FORM]
    if len(opened) < RUSH:
        raise RuntimeError(f"only {len(opened)} of {RUSH} presses opened a form")
    return {
        "p50_ms": statistics.median(opened),
        "p99_ms": statistics.quantiles(opened, n=100)[-1],
        "max_ms": max(opened),
    }


def _press(discord: FakeDiscord, message: Payload, label: str, person: Person) -> Interaction:
    custom_id = next(str(part["custom_id"]) for _, part in walk(message["components"]) if part.get("label") == label)
    return discord.click(message, custom_id, user=person)


def _answered(discord: FakeDiscord, interaction: Interaction, label: str) -> Payload:
    """The message that answers an interaction, once it has a button with this label."""
    messages = discord.state.messages.all

    def seen() -> bool:
        message = messages.get(interaction.original or "")
        return message is not None and any(part.get("label") == label for _, part in walk(message["components"]))

    anyio.run(discord.until, seen, PATIENCE)
    return messages[interaction.original or ""]
