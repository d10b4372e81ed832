"""A bot whose shards other fronts hold: what they send is answered as what arrives here, once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec

from app.core.shards import GatewayEvent, ShardHolder
from tests.discord.fake import Interaction
from tests.discord.stage import Stage, button, words
from tests.discord.test_error_boundary import IDENTIFIER, imagine, said

__all__ = ["said"]

PATIENCE = 20.0


class Presence:
    """See `ShardHolder`: keeps what is shown."""

    connected = frozenset({1})
    latency = 0.25

    def __init__(self) -> None:
        self.shown: list[tuple[str, bool]] = []

    async def show_presence(self, text: str, *, away: bool) -> None:
        self.shown.append((text, away))


class Distant:
    """See `SharedShards`: the test sends what arrives."""

    is_connected = True

    def __init__(self) -> None:
        self.sessions = Counter[str](new=7)
        self.holder: ShardHolder | None = None
        self.count = 0
        self._deliver: Callable[[Sequence[GatewayEvent]], Awaitable[None]] | None = None
        self._receives = anyio.Event()

    async def settle(self, count: int) -> bool:
        self.count = count
        return count > 1

    async def connected(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def receive(self, deliver: Callable[[Sequence[GatewayEvent]], Awaitable[None]]) -> None:
        self._deliver = deliver
        self._receives.set()
        await anyio.sleep_forever()

    async def send(self, *events: tuple[str, bytes]) -> None:
        with anyio.fail_after(PATIENCE):
            await self._receives.wait()
        assert self._deliver is not None
        await self._deliver([GatewayEvent(1, self.count, name, payload) for name, payload in events])

    async def arrives(self, interaction: Interaction, *, times: int = 1) -> Interaction:
        """An interaction, which the fake itself sent to nobody."""
        await self.send(*[("INTERACTION_CREATE", msgspec.json.encode(interaction.payload))] * times)
        return interaction


async def test_what_other_fronts_receive_is_answered_once(stage: Stage) -> None:
    stage.discord.gateway.shards = 3
    distant, presence = Distant(), Presence()
    distant.holder = presence
    async with stage.bot(shared=distant, presence="All is well") as life:
        assert distant.count == 3
        assert not stage.discord.gateway.received, "the bot opens no connection of its own"
        result = await stage.result(await distant.arrives(imagine(stage), times=3))
        assert "[Again]" in words(result)
        again = await distant.arrives(stage.discord.click(result, button(result, "Again")))
        assert "[Again]" in words(await stage.result(again))
        answers = Counter(request.path for request in stage.discord.requested("POST", "callback"))
        assert set(answers.values()) == {1}
        assert len(answers) == 2
        with anyio.fail_after(PATIENCE):
            while not presence.shown:  # noqa: ASYNC110  a task of the bot
                await anyio.sleep(0.01)
        assert presence.shown[-1] == ("All is well", False)
        assert life.app.is_connected
        assert math.isclose(life.app.latency, 0.25)
        assert life.app.traffic.sessions == distant.sessions


async def test_what_cannot_be_read_stops_nothing(stage: Stage, said: Callable[[], str]) -> None:
    distant = Distant()
    async with stage.bot(shared=distant, shards=2):
        assert distant.count == 2, "as configured"
        await distant.send(
            ("INTERACTION_CREATE", b"not JSON"),
            ("INTERACTION_CREATE", b"[]"),
            ("INTERACTION_CREATE", b"{}"),
            ("NEVER_HEARD_OF", b"{}"),
            ("GUILD_CREATE", b"{}"),
        )
        assert "an event of another front cannot be read" in said()
        broken = imagine(stage, "a bird")
        del broken.payload["locale"]
        await distant.arrives(broken)
        answer = await stage.discord.until(lambda: broken.original) or ""
        assert IDENTIFIER.search(words(stage.discord.message(answer)).replace("\\", ""))
        assert "[Again]" in words(await stage.result(await distant.arrives(imagine(stage))))


async def test_a_single_shard_is_the_bots_own_although_there_are_other_fronts(stage: Stage) -> None:
    distant = Distant()
    async with stage.bot(shared=distant) as life:
        assert distant.count == 1
        assert "[Again]" in words(await stage.result(imagine(stage)))
        assert life.app.is_connected
        assert distant.sessions == Counter(new=8)


async def test_a_bot_alone_holds_as_many_shards_as_are_configured(stage: Stage) -> None:
    gateway = stage.discord.gateway
    gateway.together = 2
    async with stage.bot(shards=2) as life:
        sessions = stage.discord.state.look(lambda: sorted(each.shard for each in gateway.sessions.values()))
        assert sessions == [(0, 2), (1, 2)]
        assert "[Again]" in words(await stage.result(imagine(stage)))
        assert life.app.is_connected
