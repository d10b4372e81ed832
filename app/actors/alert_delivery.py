"""AlertDelivery: sends every alert to one channel, and gives one up that the channel does not take."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio
import structlog

from app.actors.alerts import Alerts
from app.entry_points import run_request
from app.ports import AlertChannel, ConnectionLost

PAUSES = (1.0, 5.0, 30.0, 120.0)
"""Seconds before each further try: together longer than a short outage, and shorter than an alert is of use."""

logger = structlog.stdlib.get_logger(__name__)


class AlertDelivery:
    """Passes the alerts to one channel, one after the other. `name` is the channel's in the log.

    A slow or broken channel delays its own alerts alone, and no exception of it leaves this class.
    """

    def __init__(self, alerts: Alerts, name: str, channel: AlertChannel, *, pauses: Sequence[float] = PAUSES) -> None:
        self._alerts = alerts
        self._name = name
        self._channel = channel
        self._pauses = pauses

    async def run(self) -> None:
        """Run until cancelled."""
        with self._alerts.listen() as texts:
            async for text in texts:
                await run_request(partial(self._deliver, text), "an alert could not be sent", channel=self._name)

    async def _deliver(self, text: str) -> None:
        for pause in self._pauses:
            try:
                await self._channel.send(text)
            except ConnectionLost:
                await anyio.sleep(pause)
            else:
                return
        try:
            await self._channel.send(text)
        except ConnectionLost as loss:
            logger.warning("an alert could not be sent", channel=self._name, reason=str(loss))
