"""One browser or one address cannot take what others need, and nobody can pretend to be another address."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from starlette.types import Scope

from app.http.page.protection.rate_limits import (
    FORMS_PER_SESSION,
    LOGINS_PER_ADDRESS,
    MOST_KEYS,
    OPEN_PER_ADDRESS,
    OPEN_PER_SESSION,
    Rate,
    RateLimit,
    RateLimits,
    client_address,
)
from tests.http.page.site import Clock


def scope(client: str | None, *forwarded: str, method: str = "GET") -> Scope:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return {"type": "http", "method": method, "headers": headers, "client": client and (client, 1)}


def test_a_burst_is_allowed_and_then_as_much_as_time_gives() -> None:
    clock = Clock()
    limit = RateLimit(Rate(3, 0.5), clock)
    assert [limit.wait("a") for _ in range(5)] == [0, 0, 0, 2, 2]
    assert limit.wait("b") == 0
    clock.now += 1
    assert limit.wait("a") == 1
    clock.now += 1
    assert [limit.wait("a"), limit.wait("a")] == [0, 2]
    clock.now += 1_000
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 2]


def test_who_asked_longest_ago_is_forgotten() -> None:
    limit = RateLimit(Rate(1, 0.001), Clock())
    limit.wait("first")
    for number in range(MOST_KEYS):
        limit.wait(str(number))
    assert limit.wait("first") == 0
    assert limit.wait(str(MOST_KEYS - 1)) > 0


def test_logins_are_limited_by_address_and_forms_by_session() -> None:
    limits = RateLimits((), Clock())
    here, there = scope("203.0.113.5"), scope("203.0.113.6")
    waits = [limits.wait(here, "", is_login=True) for _ in range(int(LOGINS_PER_ADDRESS.burst) + 1)]
    assert [pause > 0 for pause in waits] == [False] * int(LOGINS_PER_ADDRESS.burst) + [True]
    assert limits.wait(there, "", is_login=True) == 0
    assert limits.wait(here, "a", is_login=False) == 0
    form = scope("203.0.113.5", method="POST")
    waits = [limits.wait(form, "a", is_login=False) for _ in range(int(FORMS_PER_SESSION.burst) + 1)]
    assert [pause > 0 for pause in waits] == [False] * int(FORMS_PER_SESSION.burst) + [True]
    assert limits.wait(form, "b", is_login=False) == 0


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        # Nobody but a trusted proxy is believed.
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        # The person wrote the first one, and the proxy added the second.
        ("127.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        ("10.0.0.7", ["nonsense"], "10.0.0.7"),
        ("10.0.0.7", [""], "10.0.0.7"),
        # This machine.
        ("127.0.0.1", [], ""),
        ("::1", [], ""),
        ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        (None, ["198.51.100.1"], ""),
    ],
)
def test_the_address_of_a_person_comes_from_trusted_proxies(
    client: str | None, forwarded: Sequence[str], expected: str
) -> None:
    trusted = [ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")]
    assert client_address(scope(client, *forwarded), trusted) == expected


def test_requests_that_are_open_are_limited_by_session_and_by_address() -> None:
    limits, here, there = RateLimits((), Clock()), scope("203.0.113.5"), scope("203.0.113.6")
    with ExitStack() as stack:
        for number in range(OPEN_PER_SESSION):
            assert stack.enter_context(limits.counted(here, "a")), number
        with limits.counted(here, "a") as allowed:
            assert not allowed
        assert stack.enter_context(limits.counted(here, "b"))
        for number in range(OPEN_PER_ADDRESS - OPEN_PER_SESSION - 1):
            assert stack.enter_context(limits.counted(here, f"c{number}"))
        with limits.counted(here, "d") as allowed:
            assert not allowed
        assert stack.enter_context(limits.counted(there, "d"))
        assert stack.enter_context(limits.counted(scope("127.0.0.1"), "e"))
    with limits.counted(here, "a") as allowed:
        assert allowed
