"""Nobody waits for a request in another channel or for another interaction, and Discord still answers no 429."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal, cast

import anyio
import pytest
from hikari.impl import RESTClientImpl
from hikari.impl.buckets import RESTBucketManager
from hikari.internal.routes import POST_CHANNEL_MESSAGES

from app.discord.gateway.rest.buckets import FIRST, MOST, WINDOW, GlobalLimit, SeparateBuckets, separate_buckets
from app.discord.messages.ports import Away
from app.discord.request_deadline import begins_within
from tests.conftest import virtual
from tests.discord.fake import FakeDiscord, Fault
from tests.discord.fake.buckets import GLOBAL
from tests.discord.peers import make_bot

HELD = 5
"""Requests that hang, in the tests in which some do."""


@pytest.fixture
def anyio_backend() -> str:
    """Hikari knows asyncio only."""
    return "asyncio"


@asynccontextmanager
async def rest_of(fake: FakeDiscord, *, separate: bool = True) -> AsyncGenerator[RESTClientImpl]:
    rest = cast("RESTClientImpl", make_bot(fake).rest)
    if separate:
        separate_buckets(rest)
    rest.start()
    try:
        yield rest
    finally:
        await rest.close()


async def held(fake: FakeDiscord, fault: Fault) -> None:
    """Wait until the fault was met as often as it can be."""
    await fake.until(lambda: fault.times == 0)


async def test_what_hangs_in_one_channel_stops_nobody_in_another(fake: FakeDiscord) -> None:
    channels = [int(fake.open_channel(f"c{number}").id) for number in range(12)]
    async with rest_of(fake) as rest, anyio.create_task_group() as tasks:
        fault = fake.fail("POST", "/messages$", hold=True, times=HELD)
        for channel in channels[:HELD]:
            tasks.start_soon(rest.create_message, channel, "hangs")
        await held(fake, fault)
        for channel in channels[HELD:]:
            await rest.create_message(channel, "passes")
        assert {message["content"] for message in fake.messages} == {"passes"}
        fake.heal()
    assert len(fake.messages) == len(channels)
    assert fake.refused == 0


async def test_with_hikaris_own_buckets_it_would(fake: FakeDiscord) -> None:
    """If this fails, hikari may have separated its placeholders itself."""
    here, there = fake.channel.id, fake.open_channel("there").id
    async with rest_of(fake, separate=False) as rest, anyio.create_task_group() as tasks:
        fault = fake.fail("POST", "/messages$", hold=True)
        tasks.start_soon(rest.create_message, int(here), "hangs")
        await held(fake, fault)
        with anyio.move_on_after(0.2) as waiting:
            await rest.create_message(int(there), "waits")
        assert waiting.cancelled_caught
        fake.heal()


async def test_one_that_hangs_stops_nobody_in_its_own_channel(fake: FakeDiscord) -> None:
    channel = int(fake.channel.id)
    async with rest_of(fake) as rest, anyio.create_task_group() as tasks:
        fault = fake.fail("POST", "/messages$", hold=True)
        tasks.start_soon(rest.create_message, channel, "hangs")
        await held(fake, fault)
        for _ in range(3):
            await rest.create_message(channel, "passes")
        assert len(fake.messages) == 3
        fake.heal()
    assert fake.refused == 0


async def test_a_direct_message_that_cannot_be_opened_yet_stops_no_other(fake: FakeDiscord) -> None:
    people = [int(fake.person(f"p{number}").id) for number in range(4)]
    async with rest_of(fake) as rest, anyio.create_task_group() as tasks:
        fault = fake.fail("POST", "/users/@me/channels", hold=True)
        tasks.start_soon(rest.create_dm_channel, people[0])
        await held(fake, fault)
        for person in people[1:]:
            await rest.create_dm_channel(person)
        fake.heal()


@pytest.mark.parametrize("style", ["leaky", "fixed"])
async def test_many_who_come_at_once_to_one_new_channel_keep_its_limit(
    fake: FakeDiscord, style: Literal["leaky", "fixed"]
) -> None:
    fake.state.buckets.style = style
    fake.state.buckets.rates["POST /channels/{channel}/messages"] = (5, 2.5)
    async with rest_of(fake) as rest, anyio.create_task_group() as tasks:
        for number in range(9):
            tasks.start_soon(rest.create_message, int(fake.channel.id), f"message {number}")
    assert len(fake.messages) == 9
    assert fake.refused == 0


async def test_those_who_come_at_once_to_many_new_channels_keep_the_limit_on_all_together(fake: FakeDiscord) -> None:
    channels = [int(fake.open_channel(f"c{number}").id) for number in range(GLOBAL[0] + 20)]
    async with rest_of(fake) as rest, anyio.create_task_group() as tasks:
        for channel in channels:
            tasks.start_soon(rest.create_message, channel, "hello")
    assert len(fake.messages) == len(channels)
    assert fake.refused == 0


async def test_after_a_429_on_all_together_nothing_is_sent_until_it_is_over(
    fake: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = anyio.Event()
    throttle = SeparateBuckets.throttle

    def throttle_and_tell(buckets: SeparateBuckets, retry_after: float) -> None:
        throttle(buckets, retry_after)
        told.set()

    monkeypatch.setattr(SeparateBuckets, "throttle", throttle_and_tell)
    async with rest_of(fake) as rest:
        # All at one moment: the window slides, and a call that counts later would be free again later.
        fake.state.do(lambda: [fake.state.buckets.take_any() for _ in range(GLOBAL[0])])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rest.create_message, int(fake.channel.id), "too early")
            with anyio.fail_after(60):
                await told.wait()
            for number in range(10):
                tasks.start_soon(rest.create_message, int(fake.open_channel(f"c{number}").id), "later")
    assert len(fake.messages) == 11
    assert fake.refused == 1


@pytest.mark.parametrize("anyio_backend", [virtual("asyncio")])
async def test_the_limit_on_all_together_holds_in_every_second_and_is_first_come_first_served() -> None:
    limit = GlobalLimit()
    passed: list[tuple[int, float]] = []

    async def send(number: int) -> None:
        await limit.wait()
        passed.append((number, anyio.current_time()))

    async with anyio.create_task_group() as tasks:
        for number in range(4 * MOST):
            tasks.start_soon(send, number)
    assert [number for number, _ in passed] == sorted(number for number, _ in passed)
    times = [at for _, at in passed]
    assert all(later - earlier > WINDOW - 0.01 for earlier, later in zip(times, times[MOST:], strict=False))
    assert len({round(at, 1) for at in times}) == 4


@pytest.mark.parametrize("anyio_backend", [virtual("asyncio")])
async def test_a_stop_that_comes_while_somebody_waits_counts_for_them() -> None:
    limit = GlobalLimit()
    began = anyio.current_time()
    limit.stop(1.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(limit.wait)
        await anyio.sleep(0.5)
        limit.stop(5.0)
    assert anyio.current_time() - began == pytest.approx(5.5)


def test_hikari_has_the_functions_that_are_replaced() -> None:
    rate_limits = "remaining_header limit_header reset_at reset_after"
    for name, parameters in {
        "acquire_bucket": "compiled_route authentication",
        "update_rate_limits": f"compiled_route authentication bucket_header {rate_limits}",
        "throttle": "retry_after",
    }.items():
        for owner in (RESTBucketManager, SeparateBuckets):
            assert " ".join(inspect.signature(getattr(owner, name)).parameters) == f"self {parameters}"


async def test_hikari_tells_placeholders_apart_by_the_authentication() -> None:
    buckets = RESTBucketManager(300)
    buckets.start()
    here, there = (POST_CHANNEL_MESSAGES.compile(channel=channel) for channel in (1, 2))
    assert buckets.acquire_bucket(here, "a") is buckets.acquire_bucket(there, "a")
    assert buckets.acquire_bucket(here, "a") is not buckets.acquire_bucket(here, "b")
    await buckets.close()


async def test_a_client_that_limits_requests_in_another_way_is_left_as_it_is(
    fake: FakeDiscord, caplog: pytest.LogCaptureFixture
) -> None:
    rest = cast("RESTClientImpl", make_bot(fake).rest)
    separate_buckets(rest)
    assert not caplog.records
    before = rest._bucket_manager  # pyright: ignore[reportPrivateUsage]
    assert isinstance(before, SeparateBuckets)
    separate_buckets(rest)
    assert rest._bucket_manager is before  # pyright: ignore[reportPrivateUsage]
    assert "people may wait for each other" in caplog.text


async def test_a_request_that_has_waited_for_too_long_is_not_sent(fake: FakeDiscord) -> None:
    channel, failed = int(fake.channel.id), list[Away]()

    async with rest_of(fake) as rest, anyio.create_task_group() as tasks:

        async def send_late() -> None:
            with begins_within(0.01):
                try:
                    await rest.create_message(channel, "late")
                except Away as away:
                    failed.append(away)

        fault = fake.fail("POST", "/messages$", hold=True, times=FIRST)
        for _ in range(FIRST):
            tasks.start_soon(rest.create_message, channel, "hangs")
        await held(fake, fault)
        tasks.start_soon(send_late)
        # Its turn comes when the others are over.
        await anyio.sleep(0.05)
        fake.heal()
    assert len(failed) == 1
    assert {message["content"] for message in fake.messages} == {"hangs"}
