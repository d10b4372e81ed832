"""The people: what each asks for, and what Discord shows to them in the end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Literal, TypeAlias

import anyio
from msgspec import Struct, field

from tests.discord.fake import FakeDiscord, Interaction, buttons_of, media_of
from tests.discord.fake.world import Person
from tests.discord.stage import job_of, words

Stage: TypeAlias = Literal["asked", "unanswered", "thinking", "accepted", "refused", "shown"]

FINAL: tuple[Stage, ...] = ("unanswered", "refused", "shown")
"""After these nothing more happens."""

REFUSALS = (
    "cannot save new requests right now",
    "is about to restart",
    "did not take this",
    "stopped before it took this",
)
"""What people read whose request was not accepted."""

LOOK = 0.1
"""Seconds between two looks at Discord."""

PAUSE = 2.0
"""Seconds that a person waits at most until the next request."""

GIVEN_UP = 30.0
"""Seconds after which nobody waits any longer for a message that only says that the bot thinks."""


LONGEST = 120.0
"""Seconds after which a person asks for something else, whatever became of the request: it is judged at the end."""


class Wish(Struct, eq=False):
    """One request, when it was made (by the clock of the loop), and how far it is."""

    interaction: Interaction
    at: float
    stage: Stage = "asked"
    job: str = ""
    seconds: float = 0.0
    """How long it took to its end."""
    ended: anyio.Event = field(default_factory=anyio.Event)


class People:
    """Owns all requests."""

    def __init__(self, discord: FakeDiscord, count: int, rng: random.Random) -> None:
        self._discord = discord
        self._rng = rng
        self._people = [discord.person(f"person {number}") for number in range(count)]
        self._channels = {person.id: discord.open_channel(f"of {person.name}") for person in self._people}
        """Each has one of their own: a bot that was started anew may edit one message per second in each."""
        self.wishes: list[Wish] = []

    @property
    def stages(self) -> Counter[Stage]:
        """How many requests are how far."""
        return Counter(wish.stage for wish in self.wishes)

    @property
    def accepted(self) -> list[Wish]:
        """The requests of which somebody was told that they were accepted."""
        return [wish for wish in self.wishes if wish.job]

    @property
    def open(self) -> list[Wish]:
        """The requests that are accepted, and not shown yet."""
        return [wish for wish in self.wishes if wish.stage in {"asked", "accepted"}]

    @property
    def thinking(self) -> list[Wish]:
        """The requests that were acknowledged, and of which nothing else was said yet."""
        return [wish for wish in self.wishes if wish.stage == "thinking"]

    def ask(self, person: Person) -> Wish:
        """Somebody asks for a picture."""
        prompt, channel = f"picture {len(self.wishes)}", self._channels[person.id]
        options = {"prompt": prompt, "width": 64, "height": 64}
        interaction = self._discord.slash("txt2img", options, user=person, channel=channel)
        wish = Wish(interaction, anyio.current_time())
        self.wishes.append(wish)
        return wish

    async def ask_in_turn(self, goes_on: Callable[[], bool]) -> None:
        """Each person asks, waits for the end, and asks again."""
        async with anyio.create_task_group() as tasks:
            for person in self._people:
                tasks.start_soon(self._live, person, goes_on)

    async def _live(self, person: Person, goes_on: Callable[[], bool]) -> None:
        while True:
            await anyio.sleep(self._rng.uniform(0, PAUSE))
            if not goes_on():
                return
            with anyio.move_on_after(LONGEST):
                await self.ask(person).ended.wait()

    async def ask_at_a_rate(self, per_second: float) -> None:
        """Let somebody ask so many times per second, whatever becomes of it, until cancelled."""
        began, count = anyio.current_time(), 0
        while True:
            self.ask(self._people[count % len(self._people)])
            count += 1
            await anyio.sleep_until(began + count / per_second)

    async def watch(self) -> None:
        """Look what Discord shows, until cancelled."""
        while True:
            self.look()
            await anyio.sleep(LOOK)

    def look(self) -> None:
        """Bring all requests up to date."""
        moving = [wish for wish in self.wishes if wish.stage not in FINAL]
        self._discord.state.look(lambda: [self._look_at(wish) for wish in moving])
        now = anyio.current_time()
        for wish in moving:
            wish.seconds = now - wish.at
            if wish.stage in FINAL or (wish.stage == "thinking" and now > wish.at + GIVEN_UP):
                wish.ended.set()

    def _look_at(self, wish: Wish) -> None:
        """Bring one request up to date, in the thread of the fake."""
        state, interaction = self._discord.state, wish.interaction
        if interaction.response is None:
            late = state.clock.now() > interaction.at + state.interactions.patience
            wish.stage = "unanswered" if late else "asked"
            return
        message = state.messages.all.get(interaction.original or "")
        if message is not None and buttons_of(message):
            wish.job = job_of(message)
            wish.stage = "shown" if media_of(message) else "accepted"
        elif any(sentence in self._text(wish) for sentence in REFUSALS):
            wish.stage = "refused"
        elif interaction.deferred:
            wish.stage = "thinking"

    def read(self, wish: Wish) -> str:
        """All that its person reads."""
        return self._discord.state.look(self._text, wish)

    def _text(self, wish: Wish) -> str:
        messages = self._discord.state.messages.all
        read = (wish.interaction.original, *wish.interaction.followups)
        return "\n".join(words(messages[ident]) for ident in read if ident in messages)
