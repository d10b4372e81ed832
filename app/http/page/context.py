"""What belongs to the page as a whole, and to one visit of it."""

from __future__ import annotations

from typing import cast

from msgspec import Struct
from starlette.requests import Request

from app.http.page.parts import PageParts
from app.http.page.protection.addresses import PageAddress
from app.http.page.protection.sessions import Session, Sessions
from app.http.page.protection.signing import Signer
from app.http.page.static_files import StaticFiles
from app.http.sources import Sources


class PageContext(Struct, frozen=True, kw_only=True):
    """What all parts of the page share. With `everything`, nobody logs in, and everybody sees everything."""

    address: PageAddress
    signer: Signer
    sessions: Sessions
    static: StaticFiles
    sources: Sources
    everything: bool = False

    @property
    def parts(self) -> PageParts | None:
        """What the page shows; None while the bot starts."""
        return self.sources.page


class Visit:
    """One request of one browser, and the session that its answer leaves behind."""

    def __init__(self, context: PageContext, session: Session | None, *, renew: bool) -> None:
        self.context = context
        self._session = session
        self.changed = renew
        """Whether the answer must set the cookie."""

    @property
    def session(self) -> Session | None:
        """The session of the browser, if it has one."""
        return self._session

    @property
    def person(self) -> str:
        """Who is logged in; "" if nobody is."""
        return self._session.person if self._session is not None else ""

    def ensure_session(self) -> Session:
        """The session of the browser; begins one in which nobody is logged in if it has none."""
        if self._session is None:
            self._session, self.changed = self.context.sessions.begin(), True
        return self._session

    def log_in(self, person: str, name: str) -> None:
        """Begin a session of a person; what the browser had before is worthless from now on."""
        self._end()
        self._session = self.context.sessions.begin(person, name)

    def log_out(self) -> None:
        """End the session."""
        self._end()
        self._session = None

    def _end(self) -> None:
        if self._session is not None:
            self.context.sessions.end(self._session)
        self.changed = True

    @property
    def csrf_token(self) -> str:
        """What forms have to send along; "" without a session, whose forms are refused."""
        return self.context.sessions.csrf_token(self._session) if self._session is not None else ""


VISIT = "atelier.visit"
"""The key of the visit in the scope of a request."""


def visit_of(request: Request) -> Visit:
    """The visit that a request is."""
    return cast("Visit", request.scope[VISIT])


def context_of(request: Request) -> PageContext:
    """What belongs to the page that a request is for."""
    return visit_of(request).context
