"""How many connections may be open: in all, and of one address, so that nobody takes those of all others."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

try:
    import resource
except ImportError:
    # Windows has no such limit.
    resource = None

SPARE_FILES = 512
"""Files that the bot may have open besides connections: journal, results, sockets to servers and Discord."""


class Capacity(Struct, frozen=True):
    """How many connections may be open at once, and how many of them may come from one address.

    Addresses of this machine and of `proxies` (addresses or networks) may have all: behind them are many people.
    """

    total: int
    of_one: int
    proxies: tuple[str, ...] = ()


class Connections:
    """Counts open connections by where they come from."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
            ipaddress.ip_network(proxy) for proxy in capacity.proxies
        ]
        self._open: Counter[str] = Counter()

    def take(self, host: str) -> str | None:
        """Take a connection from a host; what `give_back` needs, None if it must be refused."""
        if self._open.total() >= self._capacity.total:
            return None
        source = self._source(host)
        if source and self._open[source] >= self._capacity.of_one:
            return None
        self._open[source] += 1
        return source

    def give_back(self, source: str) -> None:
        """Count a connection that was closed."""
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]

    def _source(self, host: str) -> str:
        """Whose connections are counted together; "" for those that may have all."""
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return ""
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_loopback or any(address in network for network in self._proxies):
            return ""
        if isinstance(address, ipaddress.IPv6Address):
            # All addresses of such a network belong to one customer.
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)


def allow_open_files(connections: int) -> int:
    """Have the system allow so many connections, as far as it does; return how many it allows."""
    if resource is None:
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - SPARE_FILES))
