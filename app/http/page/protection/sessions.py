"""Sessions: who is logged in, in a signed cookie. Nothing is kept of them but which were ended.

A session has an id of its own, which is new after each login, so that nobody can make others use one that he knows.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from msgspec import Struct

from app.http.page.protection.addresses import PageAddress
from app.http.page.protection.ended_sessions import EndedSessions
from app.http.page.protection.signing import Signer

DAY = 86_400.0

LIFE = 7 * DAY
"""Seconds for which a session lasts without being used."""

LONGEST = 90 * DAY
"""Seconds after which somebody must log in again."""

RENEWED_AFTER = DAY
"""Seconds after which a session that is used gets a new cookie."""

SESSION, CSRF = "session", "csrf"


class Session(Struct, frozen=True):
    """One browser. `person` is who is logged in there, "" for nobody; `name` is how that person is called, if known.

    `began` is when the session did, in seconds since 1970.
    """

    id: str
    person: str = ""
    name: str = ""
    began: float = 0.0


class Sessions:
    """Makes, reads and ends sessions. `clock` returns the seconds since 1970."""

    def __init__(
        self,
        signer: Signer,
        address: PageAddress,
        clock: Callable[[], float] = time.time,
        ended: EndedSessions | None = None,
    ) -> None:
        self._signer = signer
        self._ended = ended if ended is not None else EndedSessions()
        self._clock = clock
        self._path = address.base or "/"
        self._is_encrypted = address.is_encrypted
        # With these beginnings, browsers accept the cookie only over https, and from this host alone.
        prefix = "" if not address.is_encrypted else "__Secure-" if address.base else "__Host-"
        self.cookie = f"{prefix}atelier"
        """The name of the cookie."""

    def begin(self, person: str = "", name: str = "") -> Session:
        """A new session."""
        return Session(secrets.token_urlsafe(16), person, name, self._clock())

    def end(self, session: Session) -> None:
        """Make a session worthless, also for somebody who has copied its cookie."""
        # One in which nobody is logged in is worth little: it need not be known after a restart.
        self._ended.add(session.id, self._clock() + LIFE, in_memory=not session.person)

    def read(self, cookies: str) -> tuple[Session | None, bool]:
        """The session in the Cookie header of a request, None if there is no valid one; and whether to renew it."""
        signed = self._signer.read(SESSION, _cookie(cookies, self.cookie))
        if signed is None or len(signed.parts) != 3:
            return None, False
        ident, name, began = signed.parts
        session = Session(ident, signed.person, name, float(began))
        now = self._clock()
        if ident in self._ended or now >= session.began + LONGEST:
            return None, False
        return session, signed.until - now < LIFE - RENEWED_AFTER

    def header(self, session: Session | None) -> str:
        """The Set-Cookie header that stores a session, or that deletes it if it is None."""
        content, life = "", 0.0
        if session is not None:
            life = min(LIFE, session.began + LONGEST - self._clock())
            parts = session.id, session.name, str(session.began)
            content = self._signer.sign(SESSION, session.person, *parts, life=life)
        secure = "; Secure" if self._is_encrypted else ""
        return f"{self.cookie}={content}; Path={self._path}; Max-Age={life:.0f}; HttpOnly; SameSite=Lax{secure}"

    def csrf_token(self, session: Session) -> str:
        """What each form of this session has to send along."""
        return self._signer.sign(CSRF, session.person, session.id, life=LIFE)

    def is_csrf_token(self, session: Session, token: str) -> bool:
        """Whether a form comes from a page of this session."""
        signed = self._signer.read(CSRF, token)
        return signed is not None and (signed.person, signed.parts) == (session.person, (session.id,))


def _cookie(header: str, name: str) -> str:
    """The value of a cookie; "" if there is none, or what was sent is none."""
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value.strip('"')
    return ""
