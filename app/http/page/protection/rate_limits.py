"""How much one browser and one address may ask for, so that nobody takes what others need."""

from __future__ import annotations

import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import anyio
from msgspec import Struct
from starlette.datastructures import Headers
from starlette.types import Scope

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_KEYS = 20_000
"""Sessions or addresses that are remembered; those that asked longest ago are forgotten."""

MOST_FORWARDED = 20
"""Addresses of X-Forwarded-For that are looked at, from its end."""


class Rate(Struct, frozen=True):
    """How many requests somebody may make at once, and how many more each second."""

    burst: float
    per_second: float


PER_SESSION = Rate(600, 30)
"""A page of the gallery has 60 pictures, and somebody who scrolls wants several such pages at once."""

PER_ADDRESS = Rate(3000, 150)
"""Many people may share an address."""

FORMS_PER_SESSION = Rate(30, 1)
"""Each may start a job. How many jobs a person may have is limited elsewhere."""

LOGINS_PER_ADDRESS = Rate(60, 0.5)
"""What belongs to the login."""


OPEN_PER_SESSION = 48
"""Requests of one browser that are answered at the same time. A browser makes six, or some dozens by HTTP/2."""

OPEN_PER_ADDRESS = 512
"""The same of one address."""


class RateLimit:
    """Counts the requests of each key. `clock` returns seconds."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = anyio.current_time) -> None:
        self._rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """How many requests each key had left at which time."""

    def wait(self, key: str) -> int:
        """Count one request. Returns 0 if it may be made, else after how many seconds the next one may."""
        now = self._clock()
        left, at = self._left.pop(key, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * self._rate.per_second)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left, now)
        while len(self._left) > MOST_KEYS:
            self._left.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) / self._rate.per_second)


class OpenRequests:
    """Counts the requests that each key has not got the answers of yet."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, key: str) -> Generator[bool]:
        """Count a request for as long as the block runs. Yields whether it may be answered."""
        self._open[key] += 1
        try:
            yield self._open[key] <= self._most
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]


class RateLimits:
    """All limits of the page together."""

    def __init__(self, trusted_proxies: Sequence[str], clock: Callable[[], float] = anyio.current_time) -> None:
        self.trusted_proxies = tuple(trusted_proxies)
        self._trusted = [ipaddress.ip_network(network) for network in trusted_proxies]
        self._sessions = RateLimit(PER_SESSION, clock)
        self._addresses = RateLimit(PER_ADDRESS, clock)
        self._forms = RateLimit(FORMS_PER_SESSION, clock)
        self._logins = RateLimit(LOGINS_PER_ADDRESS, clock)
        self._open_of_session = OpenRequests(OPEN_PER_SESSION)
        self._open_of_address = OpenRequests(OPEN_PER_ADDRESS)

    def wait(self, scope: Scope, session: str, *, is_login: bool) -> int:
        """Count a request of a session, "" if there is none. Returns 0, or the seconds to wait."""
        address = client_address(scope, self._trusted)
        if address and (pause := self._addresses.wait(address)):
            return pause
        if address and is_login and (pause := self._logins.wait(address)):
            return pause
        if not session:
            return 0
        if scope["method"] == "POST" and (pause := self._forms.wait(session)):
            return pause
        return self._sessions.wait(session)

    @contextmanager
    def counted(self, scope: Scope, session: str) -> Generator[bool]:
        """Count a request until it is answered. Yields whether it may be, or too many others are open."""
        with ExitStack() as stack:
            may_be_answered = True
            if address := client_address(scope, self._trusted):
                may_be_answered &= stack.enter_context(self._open_of_address.counted(address))
            if session:
                may_be_answered &= stack.enter_context(self._open_of_session.counted(session))
            yield may_be_answered


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The address that a request came from; a network of IPv6, all of whose addresses are one person's.

    "" is this machine: programs of its operator, or a proxy that is not trusted, behind which there are many people.
    A trusted proxy says in X-Forwarded-For for whom it asks. What stands before an address that is not trusted may have
    been written by anybody.
    """
    client = scope.get("client")
    address = _parsed(client[0]) if client else None
    if address is None:
        return ""
    forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    for text in reversed(forwarded[-MOST_FORWARDED:]):
        if not any(address in network for network in trusted):
            break
        if (further := _parsed(text.strip())) is None:
            break
        address = further
    if address.is_loopback:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address; None for a text that is none. One of IPv4 stays one if it is written as one of IPv6."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
