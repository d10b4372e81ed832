"""A session is a signed cookie that lasts while it is used, and ends for good."""

from __future__ import annotations

import pytest

from app.http.page.sessions import DAY, LIFE, LONGEST, MOST_ENDED, Session
from tests.http.page.site import ADA, BASE, GRACE, ORIGIN, Site


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


def test_a_session_that_was_ended_is_worth_nothing_and_not_all_are_remembered() -> None:
    site = Site()
    session, other = site.sessions.begin(ADA), site.sessions.begin(ADA)
    site.sessions.end(session)
    assert site.sessions.read(cookie(site, session)) == (None, False)
    assert site.sessions.read(cookie(site, other)) == (other, False)
    for _ in range(MOST_ENDED):
        site.sessions.end(site.sessions.begin(GRACE))
    assert site.sessions.read(cookie(site, session))[0] == session


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
