"""AlertActor: the one place that alerts the operator, in the log and in every channel that listens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NoReturn, TypeAlias

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec import Struct

from app.boundary import report_failure
from app.core.alerts import Alert, AlertTable, Cause, Cleared, Ended, Fact, Happened, Raised, Withheld
from app.mailbox import Mailbox
from app.reasons.alerts import AlertReason

MOST_AN_HOUR = 20
"""Alerts that go to the channels within an hour; the log gets all. More are a flood, which nobody reads."""

HOUR = 3600.0

PAUSE = 1.0
"""Seconds without work after an unexpected exception, so that one that comes back at once does not fill the log."""

NEVER = float("inf")

logger = structlog.stdlib.get_logger(__name__)

Texts: TypeAlias = MemoryObjectReceiveStream[str]


class Listen(Struct, frozen=True):
    """Send the text of each alert to `texts` until its other end is closed."""

    texts: MemoryObjectSendStream[str]


class Alerts(Struct, frozen=True):
    """The handle of the actor: other tasks report here what is wrong. No method waits or fails."""

    facts: Mailbox[Fact | Listen]

    def raised(self, cause: Cause, reason: AlertReason, *, after: float = 0.0) -> None:
        """Say that something is wrong, as often as it is seen. It counts once it has lasted for `after` seconds."""
        self.put(Raised(cause, reason, after))

    def cleared(self, cause: Cause, *, silently: bool = False) -> None:
        """Say that something is not wrong, as often as that is seen; `silently` if it only does not matter any more."""
        self.put(Cleared(cause, silently))

    def happened(self, cause: Cause, reason: AlertReason, times: int = 1) -> None:
        """Say that something went wrong that has no end."""
        self.put(Happened(cause, reason, times))

    def put(self, fact: Fact) -> None:
        """Pass a fact on."""
        self.facts.put(fact)

    @contextmanager
    def listen(self) -> Generator[Texts]:
        """Yield a stream of the texts of all alerts within the block. If it is not read, texts are left out."""
        sender, receiver = anyio.create_memory_object_stream[str](MOST_AN_HOUR)
        with sender, receiver:
            self.facts.put(Listen(sender))
            yield receiver


def no_alerts() -> Alerts:
    """A handle for where nobody is alerted."""
    facts = _mailbox()
    facts.end()
    return Alerts(facts)


def _mailbox() -> Mailbox[Fact | Listen]:
    # Each fact is kept: the actor reads them at once, and never waits for a channel.
    return Mailbox(lambda _: None)


class AlertActor:
    """Logs each alert and passes it to the channels that listen, `MOST_AN_HOUR` at most.

    `render` makes the text of an alert; `clock` is in seconds since 1970, for times of the day. An unexpected exception
    is logged, and the next alerts are not affected.
    """

    def __init__(self, render: Callable[[Alert], str], *, clock: Callable[[], float] = time.time) -> None:
        self._render = render
        self._clock = clock
        self._table = AlertTable()
        self._facts = _mailbox()
        self._channels: list[MemoryObjectSendStream[str]] = []
        self._sent: deque[float] = deque()
        """When the alerts of the last hour were sent to the channels."""
        self._withheld = 0
        self.handle = Alerts(self._facts)

    async def run(self) -> NoReturn:
        """Run until cancelled."""
        async with self._facts:
            while True:
                fact: Fact | Listen | None = None
                with anyio.CancelScope(deadline=self._due()):
                    fact = await self._facts.receive()
                try:
                    self._handle(fact)
                except Exception as error:  # noqa: BLE001  the boundary of one fact
                    report_failure(error, "an alert broke", fact=type(fact).__name__)
                    await anyio.sleep(PAUSE)

    def _due(self) -> float:
        return min(self._table.due, self._sent[0] + HOUR if self._withheld else NEVER)

    def _handle(self, fact: Fact | Listen | None) -> None:
        now = anyio.current_time()
        if isinstance(fact, Listen):
            self._channels.append(fact.texts)
            return
        at = self._clock()
        for alert in self._table.advance(now, at) if fact is None else self._table.handle(fact, now, at):
            text = self._render(alert)
            if isinstance(alert, Ended):
                logger.info("an alert is over", reason=text)
            else:
                logger.warning("alert", reason=text)
            self._send(text, now)
        if self._withheld and self._has_room(now):
            count, self._withheld = self._withheld, 0
            self._send(self._render(Withheld(count)), now)

    def _has_room(self, now: float) -> bool:
        while self._sent and now >= self._sent[0] + HOUR:
            self._sent.popleft()
        return len(self._sent) < MOST_AN_HOUR

    def _send(self, text: str, now: float) -> None:
        if not self._channels:
            return
        if not self._has_room(now):
            self._withheld += 1
            return
        self._sent.append(now)
        for channel in tuple(self._channels):
            try:
                channel.send_nowait(text)
            except anyio.WouldBlock:
                logger.warning("an alert is not sent to a channel that takes none", reason=text)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._channels.remove(channel)
