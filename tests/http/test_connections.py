"""No address takes the connections of all others, and closed ones are free again."""

from __future__ import annotations

import resource

import pytest

from app.http.connections import SPARE_FILES, Capacity, Connections, allow_open_files


def test_one_address_gets_its_share_and_all_together_no_more_than_there_are() -> None:
    connections = Connections(Capacity(total=5, of_one=2, proxies=("10.0.0.0/8",)))
    first = connections.take("203.0.113.5")
    assert first is not None
    assert connections.take("203.0.113.5") is not None
    assert connections.take("203.0.113.5") is None
    assert connections.take("203.0.113.6") is not None
    assert connections.take("203.0.113.7") is not None
    assert connections.take("203.0.113.8") is not None
    assert connections.take("203.0.113.9") is None
    connections.give_back(first)
    assert connections.take("203.0.113.5") is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", ""])
def test_this_machine_and_proxies_may_have_all(host: str) -> None:
    connections = Connections(Capacity(total=5, of_one=1, proxies=("10.0.0.0/8",)))
    assert [connections.take(host) is not None for _ in range(6)] == [True] * 5 + [False]


def test_a_customer_with_many_addresses_counts_once() -> None:
    connections = Connections(Capacity(total=5, of_one=1))
    assert connections.take("2001:db8:1:2::1") is not None
    assert connections.take("2001:db8:1:2:ffff::9%eth0") is None
    assert connections.take("2001:db8:1:3::1") is not None


def test_the_system_is_asked_for_more_files_where_it_allows_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 4096)]

    def now(_: int) -> tuple[int, int]:
        return limits[-1]

    def change(_: int, wanted: tuple[int, int]) -> None:
        limits.append(wanted)

    monkeypatch.setattr(resource, "getrlimit", now)
    monkeypatch.setattr(resource, "setrlimit", change)
    assert allow_open_files(2000) == 2000
    assert limits[-1] == (2000 + SPARE_FILES, 4096)
    assert allow_open_files(10_000) == 4096 - SPARE_FILES
    assert limits[-1] == (4096, 4096)
    assert allow_open_files(100) == 100
    assert limits[-1] == (4096, 4096)
