"""A session is a signed cookie that lasts while it is used, and ends for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.http.page.protection.ended_sessions import FILE, MOST, EndedSessions
from app.http.page.protection.sessions import DAY, LIFE, LONGEST, Session
from tests.http.page.site import ADA, BASE, GRACE, ORIGIN, Clock, Site


def cookie(site: Site, session: Session) -> str:
    return site.sessions.header(session).partition(";")[0]


def test_a_cookie_is_read_as_the_session_that_it_stores() -> None:
    site = Site()
    session = site.sessions.begin(ADA, "Ada “the first”; =Lovelace")
    assert site.sessions.read(cookie(site, session)) == (session, False)
    assert site.sessions.read(f"other=1; {cookie(site, session)}; more=2") == (session, False)
    for nothing in ("", "a", ";;=", "atelier=", cookie(site, session)[:-3] + "abc"):
        assert site.sessions.read(nothing) == (None, False)


def test_a_session_that_is_used_is_renewed_and_one_that_is_not_ends_after_a_week() -> None:
    site = Site()
    session = site.sessions.begin(ADA)
    first = cookie(site, session)
    site.clock.now += 2 * DAY
    assert site.sessions.read(first) == (session, True)
    second = cookie(site, session)
    site.clock.now += LIFE - DAY
    assert site.sessions.read(first) == (None, False)
    assert site.sessions.read(second) == (session, True)


def test_after_some_months_everybody_logs_in_again() -> None:
    site = Site()
    session = site.sessions.begin(ADA)
    while site.clock.now < session.began + LONGEST:
        assert site.sessions.read(cookie(site, session))[0] == session
        site.clock.now += 6 * DAY
    assert site.sessions.read(cookie(site, session)) == (None, False)


def test_a_session_that_was_ended_is_worth_nothing() -> None:
    site = Site()
    session, other = site.sessions.begin(ADA), site.sessions.begin(ADA)
    site.sessions.end(session)
    assert site.sessions.read(cookie(site, session)) == (None, False)
    assert site.sessions.read(cookie(site, other)) == (other, False)


def test_what_was_ended_stays_so_after_a_restart_until_it_would_be_over(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / FILE
    ended = EndedSessions(path, clock)
    ended.read()
    ended.add("a", clock.now + 100)
    ended.add("b", clock.now + 200)
    ended.add("d", clock.now + 200, in_memory=True)
    assert "d" in ended
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("a") as file:
        file.write("what is this\nx 99999999999999999999\nc 1")
    clock.now += 150
    again = EndedSessions(path, clock)
    again.read()
    assert [name in again for name in ("a", "b", "c", "d", "x", "what")] == [False, True, False, False, False, False]
    assert path.read_text() == f"b {clock.now + 50:.0f}\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_is_full_does_not_keep_anybody_from_logging_out(tmp_path: Path) -> None:
    ended = EndedSessions(tmp_path / "nowhere" / FILE, Clock())
    with capture_logs() as lines:
        ended.add("a", 1.0)
    assert "a" in ended
    assert [line["event"] for line in lines] == ["a session that was ended is forgotten when the bot restarts"]


def test_not_all_that_were_ended_are_remembered() -> None:
    ended = EndedSessions(None, Clock())
    for number in range(MOST + 1):
        ended.add(str(number), 1.0)
    assert [str(number) in ended for number in (0, 1, MOST)] == [False, True, True]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (ORIGIN, ["__Host-atelier", "Path=/", "HttpOnly", "SameSite=Lax", "Secure"]),
        (ORIGIN + BASE, ["__Secure-atelier", f"Path={BASE}", "HttpOnly", "SameSite=Lax", "Secure"]),
        ("", ["atelier", "Path=/", "HttpOnly", "SameSite=Lax"]),
    ],
)
def test_browsers_are_told_to_keep_the_cookie_to_the_page(url: str, expected: list[str]) -> None:
    site = Site(url)
    name, *rest = site.sessions.header(site.sessions.begin(ADA)).split("; ")
    assert [name.partition("=")[0], *(each for each in rest if not each.startswith("Max-Age"))] == expected
    assert "Max-Age=0;" in site.sessions.header(None)


def test_a_token_of_forms_belongs_to_one_session() -> None:
    site = Site()
    session, other = site.sessions.begin(ADA), site.sessions.begin(ADA)
    token = site.sessions.csrf_token(session)
    assert site.sessions.is_csrf_token(session, token)
    assert not site.sessions.is_csrf_token(other, token)
    assert not site.sessions.is_csrf_token(Session(session.id, GRACE), token)
    assert not site.sessions.is_csrf_token(session, cookie(site, session).partition("=")[2])
