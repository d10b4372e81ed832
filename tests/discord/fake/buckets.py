"""Rate limits: so many calls per so many seconds, for each route and each channel or webhook, and for all together."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal
from zlib import crc32

from tests.discord.fake.wire import Clock

RATES: dict[str, tuple[int, float]] = {
    "POST /channels/{channel}/messages": (5, 5.0),
    "PATCH /channels/{channel}/messages/{message}": (5, 5.0),
    "POST /webhooks/{application}/{token}": (5, 5.0),
    "PATCH /webhooks/{application}/{token}/messages/{message}": (5, 5.0),
}
"""Calls and seconds. Discord publishes none; people see five in five seconds on messages."""

GLOBAL = (50, 1.0)
"""Calls and seconds of a bot on all routes together, those about interactions excepted.
https://discord.com/developers/docs/topics/rate-limits#global-rate-limit"""


@dataclass
class Verdict:
    """What the bucket says to one call. `wait` is None when it may pass, otherwise seconds."""

    headers: dict[str, str]
    wait: float | None
    everywhere: bool = False
    """It is the limit on all calls together that was reached."""


@dataclass
class Buckets:
    """Counts calls and refuses those that are too many; `refused` is how many 429s were sent.

    `leaky` gives each call back after seconds/calls; `fixed` gives all of them back at the window's end.
    """

    clock: Clock
    rates: dict[str, tuple[int, float]] = field(default_factory=lambda: dict(RATES))
    style: Literal["leaky", "fixed"] = "leaky"
    refused: int = 0
    _leaky: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    _all: deque[float] = field(default_factory=deque[float])
    _fixed: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict[tuple[str, str], tuple[float, int]])

    def take(self, route: str, major: str) -> Verdict:
        """Let one call in, or not. `major` is the channel or webhook that the call is about."""
        if route not in self.rates:
            return Verdict({}, None)
        calls, window = self.rates[route]
        now = self.clock.now()
        take = self._take_leaky if self.style == "leaky" else self._take_fixed
        left, reset, wait = take((route, major), calls, window, now)
        headers = {
            "X-RateLimit-Limit": str(calls),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": f"{reset:.3f}",
            "X-RateLimit-Reset-After": f"{reset - now:.3f}",
            "X-RateLimit-Bucket": f"{crc32(route.encode()):08x}",
        }
        if wait is not None:
            self.refused += 1
            headers |= {"X-RateLimit-Scope": "user", "Retry-After": str(int(wait) + 1)}
        return Verdict(headers, wait)

    def take_any(self) -> Verdict:
        """Let one call in, or not, under the limit on all calls of a bot together."""
        calls, window = GLOBAL
        now = self.clock.now()
        while self._all and self._all[0] <= now - window:
            self._all.popleft()
        if len(self._all) < calls:
            self._all.append(now)
            return Verdict({}, None)
        self.refused += 1
        wait = self._all[0] + window - now
        headers = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global", "Retry-After": str(int(wait) + 1)}
        return Verdict(headers, wait, everywhere=True)

    def _take_leaky(
        self, key: tuple[str, str], calls: int, window: float, now: float
    ) -> tuple[int, float, float | None]:
        period = window / calls
        full = max(self._leaky.get(key, 0.0), now)
        wait = full + period - window - now
        # A call that comes exactly when its place is free again must not fail by rounding.
        limited = wait > 1e-6
        if not limited:
            full += period
        self._leaky[key] = full
        return int((window - (full - now)) / period + 1e-6), full, wait if limited else None

    def _take_fixed(
        self, key: tuple[str, str], calls: int, window: float, now: float
    ) -> tuple[int, float, float | None]:
        reset, used = self._fixed.get(key, (0.0, 0))
        if reset <= now:
            reset, used = now + window, 0
        limited = used >= calls
        used += not limited
        self._fixed[key] = reset, used
        return calls - used, reset, reset - now if limited else None
