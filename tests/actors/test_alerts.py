"""The operator is alerted in the log and in channels, even if a channel fails or hangs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.actors.alert_delivery import PAUSES, AlertDelivery
from app.actors.alerts import HOUR, MOST_AN_HOUR, AlertActor, Alerts, no_alerts
from app.core.alerts import QUIET, Alert, Cause
from app.ports import ConnectionLost
from app.reasons.alerts import DiskFull, ServerAway
from app.reasons.servers import OutOfReach, RefusedConnection
from app.texts.alerts import alert_text
from tests.conftest import virtual

STUDIO = Cause("server", "studio")
AWAY = ServerAway("studio", RefusedConnection())

WRONG = "studio is away, and its jobs wait. The server refuses the connection. Start ComfyUI, or check the port."
OVER = "studio is back after 2 minutes."


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


class Channel:
    """A channel that fails its first `failures` calls, and remembers what it was sent and when."""

    def __init__(self, failures: float = 0, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or ConnectionLost(OutOfReach("no route"))
        self.texts: list[str] = []
        self.tried_at: list[float] = []

    async def send(self, text: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.tried_at.append(anyio.current_time())
        if self.failures:
            self.failures -= 1
            raise self.error
        self.texts.append(text)


class Stalled:
    """A channel that takes a text and never returns."""

    async def send(self, text: str) -> None:
        await anyio.sleep_forever()


@asynccontextmanager
async def alerting(*channels: Channel | Stalled) -> AsyncGenerator[Alerts]:
    actor = AlertActor(alert_text, clock=anyio.current_time)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(actor.run)
        for number, channel in enumerate(channels):
            tasks.start_soon(AlertDelivery(actor.handle, f"channel {number}", channel).run)
        await anyio.sleep(1)
        yield actor.handle
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()


def levels(lines: list[EventDict]) -> list[str]:
    return [line["log_level"] for line in lines]


async def test_an_alert_and_its_end_are_in_the_log_and_in_every_channel(lines: list[EventDict]) -> None:
    one, other = Channel(), Channel()
    async with alerting(one, other) as alerts:
        for _ in range(120):
            alerts.raised(STUDIO, AWAY, after=60)
            await anyio.sleep(1)
        alerts.cleared(STUDIO)
    assert one.texts == other.texts == [WRONG, OVER]
    assert one.tried_at[1] - one.tried_at[0] == pytest.approx(60)
    assert [(line["log_level"], line["reason"]) for line in lines] == [("warning", WRONG), ("info", OVER)]


async def test_without_a_channel_the_log_has_everything(lines: list[EventDict]) -> None:
    async with alerting() as alerts:
        for number in range(MOST_AN_HOUR + 5):
            alerts.raised(Cause("server", str(number)), ServerAway(str(number)))
    assert levels(lines) == ["warning"] * (MOST_AN_HOUR + 5)


async def test_a_cause_that_flaps_is_summarised(lines: list[EventDict]) -> None:
    channel = Channel()
    async with alerting(channel) as alerts:
        for _ in range(15):
            alerts.raised(STUDIO, AWAY)
            alerts.cleared(STUDIO)
            await anyio.sleep(1)
        await anyio.sleep(QUIET)
    assert len(channel.texts) == 3
    assert "happened 14 times" in channel.texts[-1]


async def test_channels_get_a_limited_number_in_an_hour_and_then_how_many_are_missing(lines: list[EventDict]) -> None:
    channel = Channel()
    async with alerting(channel) as alerts:
        for number in range(MOST_AN_HOUR + 30):
            alerts.raised(Cause("server", str(number)), ServerAway(str(number)))
        await anyio.sleep(HOUR - 1)
        assert len(channel.texts) == MOST_AN_HOUR
        await anyio.sleep(2)
        assert channel.texts[MOST_AN_HOUR:] == [
            "Read the log: 30 more alerts are only there, because there were too many within an hour."
        ]
        alerts.raised(STUDIO, AWAY)
    assert channel.texts[-1] == WRONG
    assert levels(lines) == ["warning"] * (MOST_AN_HOUR + 31)


@pytest.mark.parametrize("failures", range(len(PAUSES) + 1))
async def test_a_channel_that_fails_is_tried_again(failures: int, lines: list[EventDict]) -> None:
    channel = Channel(failures)
    async with alerting(channel) as alerts:
        alerts.raised(STUDIO, AWAY)
        await anyio.sleep(sum(PAUSES) + 1)
    assert channel.texts == [WRONG]
    assert levels(lines) == ["warning"]


async def test_a_channel_that_keeps_failing_is_given_up_with_one_line_and_gets_the_next_alert(
    lines: list[EventDict],
) -> None:
    channel = Channel(failures=len(PAUSES) + 1)
    async with alerting(channel) as alerts:
        alerts.raised(STUDIO, AWAY)
        await anyio.sleep(120)
        alerts.cleared(STUDIO)
        await anyio.sleep(sum(PAUSES))
    assert channel.texts == [OVER]
    given_up = [line for line in lines if line["event"] == "an alert could not be sent"]
    assert len(given_up) == 1
    assert (given_up[0]["log_level"], given_up[0]["channel"]) == ("warning", "channel 0")


async def test_an_unexpected_exception_of_a_channel_is_logged_and_ends_nothing(lines: list[EventDict]) -> None:
    channel = Channel(failures=1, error=ValueError("a bug"))
    async with alerting(channel) as alerts:
        alerts.raised(STUDIO, AWAY)
        await anyio.sleep(120)
        alerts.cleared(STUDIO)
    assert channel.texts == [OVER]
    assert levels(lines) == ["warning", "error", "info"]


async def test_a_channel_that_never_returns_delays_no_other(lines: list[EventDict]) -> None:
    channel = Channel()
    async with alerting(Stalled(), channel) as alerts:
        for hour in range(5):
            for number in range(MOST_AN_HOUR):
                alerts.raised(Cause("server", f"{hour} {number}"), ServerAway("studio"))
            await anyio.sleep(HOUR + 1)
    assert len(channel.texts) == 5 * MOST_AN_HOUR


async def test_an_alert_that_cannot_be_written_affects_no_other(lines: list[EventDict]) -> None:
    def render(alert: Alert) -> str:
        if "disk" in str(alert):
            raise ValueError("a bug")
        return alert_text(alert)

    actor = AlertActor(render)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(actor.run)
        actor.handle.raised(Cause("disk"), DiskFull("disk"))
        actor.handle.raised(STUDIO, AWAY)
        await anyio.sleep(10)
        tasks.cancel_scope.cancel()
    assert [(line["log_level"], line.get("reason")) for line in lines] == [("error", None), ("warning", WRONG)]


async def test_who_raises_an_alert_never_waits_and_never_fails() -> None:
    actor = AlertActor(alert_text)
    for number in range(10_000):
        actor.handle.raised(STUDIO, AWAY)
        actor.handle.cleared(Cause("server", str(number)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(actor.run)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    actor.handle.raised(STUDIO, AWAY)
    nobody = no_alerts()
    nobody.raised(STUDIO, AWAY)
    assert nobody.facts.drain() == []


async def test_a_channel_that_has_left_gets_nothing_and_disturbs_nobody(lines: list[EventDict]) -> None:
    channel = Channel()
    async with alerting(channel) as alerts:
        with alerts.listen() as texts:
            alerts.raised(STUDIO, AWAY)
            assert await texts.receive() == WRONG
            await anyio.sleep(120)
        alerts.cleared(STUDIO)
    assert channel.texts == [WRONG, OVER]
    assert levels(lines) == ["warning", "info"]
