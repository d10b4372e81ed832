"""Fuzzing the Discord side: `python -m tests.discord.fuzz --minutes N`.

A real bot runs in a thread of its own, between the fake Discord and a simulator, and gets what no client of Discord's
would send. The bot must live, and after all of it a normal /imagine must still succeed. Where only people's input is
strange, and not Discord itself, nothing may reach the error boundary either: bad input has sentences of our own.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias, cast
from unittest.mock import patch

import anyio
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from msgspec import Struct

from app import boundary
from app.system import logging
from tests.discord.fake import FakeDiscord, Interaction, Payload, running
from tests.discord.fake.wire import copied
from tests.discord.stage import Stage, button, photo, stage_for, words

ENOUGH = 200.0
"""Seconds for an answer that does come: what was sent before has hundreds of pictures made. That the bot has ended
shows at once."""

BATCH = 300
"""Examples for one life of the bot, when it is fuzzed for minutes."""

SMALL = {"width": 64, "height": 64, "steps": 1}
UNREADABLE = "an event of Discord cannot be read"
"""The one report that Discord itself may cause: hikari could not decode an event."""

JSON: TypeAlias = Any
Act: TypeAlias = Callable[["Run"], object]


class Dead(Exception):
    """The bot ended, or does not answer any more."""


class Run:
    """One life of the bot, and what it reported."""

    def __init__(self, fake: FakeDiscord, stage: Stage, life: Future[None], reports: list[str]) -> None:
        self.fake = fake
        self.stage = stage
        self._life = life
        self.reports = reports
        self.message: Payload = self.imagine()
        self.picture = fake.say("look", files=[photo()])

    def until(self, predicate: Callable[[], Any]) -> None:
        """Wait for something in the fake. Raises `Dead` if the bot ends first, or does not do it."""
        loop = self.fake.state.loop
        assert loop is not None
        seen: Future[Any] = asyncio.run_coroutine_threadsafe(self.fake.state.until(predicate), loop)
        concurrent.futures.wait([seen, self._life], ENOUGH, FIRST_COMPLETED)
        if not seen.done():
            seen.cancel()
            raise Dead("the bot ended" if self._life.done() else "the bot does not answer")

    def imagine(self) -> Payload:
        """Have a picture made, as everybody does."""
        asked = self.fake.slash("txt2img", {"prompt": "a cat", **SMALL})
        messages = self.fake.state.messages.all
        self.until(lambda: "[Again]" in words(messages.get(asked.original or "") or {"components": []}))
        return self.fake.message(asked)

    def settle(self) -> None:
        """Wait until the bot has taken what was sent before: it answers in order of arrival."""
        asked = self.fake.slash("help")
        self.until(lambda: asked.response is not None)


@contextmanager
def living(folder: Path, backend: Literal["asyncio", "trio"] = "asyncio") -> Generator[Run]:
    """A bot in a thread of its own, for the length of the block."""
    reports: list[str] = []
    stages: Future[Stage] = Future()
    logger = boundary.logger

    class Recorder:
        def error(self, event: str, **context: Any) -> None:
            reports.append(f"{event}: {context.get('exc_info')!r} at {context.get('at')}")
            logger.error(event, **context)

    with running() as fake, patch.object(boundary, "logger", Recorder()), start_blocking_portal(backend) as portal:
        stop = portal.call(anyio.Event)

        async def live() -> None:
            async with stage_for(fake, folder, step_time=0.001) as stage, stage.bot():
                stages.set_result(stage)
                await stop.wait()

        life = portal.start_task_soon(live, name="bot")
        begun: list[Future[Any]] = [stages, life]
        concurrent.futures.wait(begun, ENOUGH, FIRST_COMPLETED)
        try:
            yield Run(fake, stages.result(0), life, reports)
        finally:
            portal.call(stop.set)
            concurrent.futures.wait([life], ENOUGH)


class Fuzzer(Struct, frozen=True):
    """What is sent, and whether Discord itself is strange in it."""

    acts: st.SearchStrategy[Act]
    strange_discord: bool = False


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)

verbs = st.sampled_from(
    [
        *("again", "fetch", "vary", "edit", "draft", "retry", "settings", "keep", "use", "menu", "order", "nonsense"),
        *("subtle", "strong", "zoom", "down", "picture", "more"),
        *("adjust", "group", "pick", "run", "save", "discard"),
    ]
) | st.text(max_size=12)
"""All but what takes the message or the job away that everything else is about."""
numbers = st.sampled_from(["", "-", "-1", "-0", "-²", "-x", "--1"]) | st.integers().map(lambda one: f"-{one}")
workflows = st.sampled_from(["", ".", ".txt2img", ".img2img", ".gone"]) | st.text(max_size=80).map(
    lambda one: f".{one}"
)


def custom_ids(job: str) -> st.SearchStrategy[str]:
    """Ids of buttons and forms: ours, nearly ours, and anybody's."""
    jobs = st.just(job) | st.sampled_from(["", ":", job[:8], job.upper()]) | st.text(max_size=40)
    ours = st.tuples(verbs, numbers, workflows, st.just(":"), jobs).map("".join)
    huge = st.integers(4290, 5000).map(lambda digits: f"use-{'9' * digits}.img2img:{job}")
    return ours | st.text(max_size=100) | huge


JOB = "{job}"
"""What stands in an id for the job of the run's finished message."""


def _press(told: str) -> Act:
    def act(run: Run) -> Interaction:
        data = {"custom_id": _filled(run, told), "component_type": 2, "id": 1}
        return run.fake.forge(3, data, message=run.message)

    return act


def _filled(run: Run, told: str) -> str:
    return told.replace(JOB, button(run.message, "Again").partition(":")[2])


def _send(told: str, values: Sequence[tuple[str, str]], attached: bool, kinds: Sequence[int] = ()) -> Act:
    """Send a form; `kinds` are those of its fields in labels, and the rest are texts in rows."""

    def act(run: Run) -> Interaction:
        rows: list[Payload] = []
        for number, (name, value) in enumerate(values):
            if number < len(kinds):
                component = {"type": kinds[number], "custom_id": name, "value": value, "values": [value]}
                rows.append({"type": 18, "id": number, "component": component})
            else:
                component = {"type": 4, "id": 100 + number, "custom_id": name, "value": value}
                rows.append({"type": 1, "id": number, "components": [component]})
        data = {"custom_id": _filled(run, told), "components": rows}
        return run.fake.forge(5, data, message=run.message if attached else None)

    return act


lines = st.lists(
    st.tuples(st.sampled_from(["steps", "Steps", "seed", "cfg", "preset", "image", "gone", ""]), st.text(max_size=30)),
    max_size=5,
).map(lambda told: "\n".join(" = ".join(one) for one in told))
typed = (
    st.text(max_size=60) | st.just("x" * 4000) | lines | st.sampled_from(["1e999", "-0", "²", "\x00", "NaN", "9" * 400])
)
names = ["prompt", "negative", "seed", "checkpoint", "+settings", "+format", "+result", "gone"]
fields = st.lists(
    st.tuples(st.sampled_from(names), typed), min_size=1, max_size=5, unique_by=lambda field: field[0]
) | st.lists(st.tuples(st.sampled_from(names) | st.text(max_size=20), typed), max_size=5)
kinds = st.lists(st.just(4), max_size=5) | st.lists(st.sampled_from([3, 4, 19, 21, 22, 23, 99]), max_size=5)
"""Kinds of fields."""

forms = st.sampled_from(
    [f"vary.txt2img:{JOB}", f"edit.txt2img:{JOB}", f"use.img2img:{JOB}", "menu.img2img:1", "order.txt2img:1"]
)


def _type(command: str, option: str, told: str) -> Act:
    return lambda run: run.fake.autocomplete(command, option, told)


completed = st.sampled_from(
    [
        ("imagine", "model"),
        ("imagine", "preset"),
        ("txt2img", "checkpoint"),
        ("remix", "checkpoint"),
        ("cancel", "job"),
        ("show", "job"),
        ("settings", "reset"),
    ]
)

VALID: tuple[Act, ...] = (
    lambda run: run.fake.slash("txt2img", {"prompt": "a dog", **SMALL}),
    lambda run: run.fake.slash("imagine", {"prompt": "a dog", "count": 1, "model": "Dreamscape v1"}),
    lambda run: run.fake.slash("remix", {"prompt": "a dog", "image": photo(), "steps": 1}),
    lambda run: run.fake.slash("show", {"job": "x"}),
    lambda run: run.fake.message_menu("Image to image", run.picture),
    lambda run: run.fake.click(run.message, button(run.message, "Again")),
    lambda run: run.fake.click(run.message, button(run.message, "Edit prompt")),
    lambda run: run.fake.click(run.message, button(run.message, "Details")),
    lambda run: run.fake.autocomplete("txt2img", "checkpoint", "dream"),
    lambda run: run.fake.autocomplete("imagine", "model", "dream"),
    _send(f"vary.txt2img:{JOB}", [("prompt", "a dog")], attached=True),
)
"""What people really do; what is sent of it is changed."""


class Change(Struct, frozen=True):
    """One change of a payload, at a place that `where` chooses."""

    where: int
    how: Literal["drop", "replace", "twist", "repeat"]
    value: JSON


changes = st.builds(Change, st.integers(0, 2**32), st.sampled_from(["drop", "replace", "twist", "repeat"]), json_values)


def _places(node: JSON) -> Iterator[tuple[Any, Any]]:
    """Every place in a payload: what it is in, and under which key or number."""
    match node:
        case dict():
            keys: list[Any] = list(cast("dict[Any, Any]", node))
        case list():
            keys = list(range(len(cast("list[Any]", node))))
        case _:
            return
    for key in keys:
        yield node, key
        yield from _places(node[key])


def changed(payload: JSON, change: Change) -> JSON:
    """The payload with one change."""
    payload = copied(payload)
    places = [(None, None), *_places(payload)]
    owner, key = places[change.where % len(places)]
    if owner is None:
        return change.value if change.how == "replace" else payload
    match change.how:
        case "drop":
            del owner[key]
        case "replace":
            owner[key] = change.value
        case "repeat":
            owner[key] = [owner[key]] * 3
        case "twist":
            told = str(owner[key])
            at = change.where % (len(told) + 1)
            owner[key] = told[:at] + str(change.value) + told[at + 1 :]
    return payload


def _tampered(valid: Act, told: Sequence[Change]) -> Act:
    def act(run: Run) -> None:
        def tamper(payload: Payload) -> object:
            for change in told:
                payload = changed(payload, change)
            return payload

        run.fake.tamper = tamper
        try:
            valid(run)
        finally:
            run.fake.tamper = None

    return act


FUZZERS: dict[str, Fuzzer] = {
    "custom ids": Fuzzer(st.builds(_press, custom_ids(JOB))),
    "forms": Fuzzer(st.builds(_send, forms | custom_ids(JOB), fields, st.booleans(), kinds)),
    "autocomplete": Fuzzer(
        st.tuples(completed, st.text(max_size=80)).map(lambda told: _type(told[0][0], told[0][1], told[1]))
    ),
    "payloads": Fuzzer(
        st.builds(_tampered, st.sampled_from(VALID), st.lists(changes, min_size=1, max_size=3)), strange_discord=True
    ),
}


def fuzz(run: Run, fuzzer: Fuzzer, examples: int, start: int | None = None) -> None:
    """Send so many, and then have a picture made. Raises what shows that something is wrong.

    Without `start` the examples are the same each time.
    """

    def one(act: Act) -> None:
        before = len(run.reports)
        act(run)
        run.settle()
        reports = [report for report in run.reports[before:] if not report.startswith(UNREADABLE)]
        assert fuzzer.strange_discord or not reports, reports

    told = settings(
        max_examples=examples,
        derandomize=start is None,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    wrapped = told(given(fuzzer.acts)(one))
    (wrapped if start is None else seed(start)(wrapped))()
    assert "[Again]" in words(run.imagine())


def fuzz_for(minutes: float) -> int:
    """Fuzz everything for so many minutes, each time with other examples; how many lives of the bot it took."""
    until = time.monotonic() + 60 * minutes
    lives = 0
    while time.monotonic() < until:
        for name, fuzzer in FUZZERS.items():
            start = random.getrandbits(32)
            print(f"{name}, seed {start}", flush=True)
            with TemporaryDirectory(prefix="atelier-fuzz-") as folder, living(Path(folder)) as run:
                fuzz(run, fuzzer, BATCH, start)
            lives += 1
    return lives


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long")
    logging.configure(debug=False)
    print(f"{fuzz_for(parser.parse_args().minutes)} lives, nothing found")
