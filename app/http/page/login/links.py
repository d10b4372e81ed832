"""Links that log somebody in without Discord's login: each works once, for some minutes."""

from __future__ import annotations

import secrets
from collections import OrderedDict

from app.http.page.protection.signing import Signer
from app.service.page_access import LINK_MINUTES

PURPOSE = "link"

MOST_USED = 100_000
"""Links that were used and are remembered: many more than people open within `LINK_MINUTES`."""


class LoginLinks:
    """Makes and takes links. Those of an earlier process are worthless, because it is not known which were used."""

    def __init__(self, signer: Signer, url: str) -> None:
        self._signer = signer
        self._url = url
        self._process = secrets.token_urlsafe(9)
        self._used: OrderedDict[str, None] = OrderedDict()

    def link(self, person: str) -> str:
        """See `app.service.page_access.PageAccess`."""
        token = self._signer.sign(PURPOSE, person, self._process, secrets.token_urlsafe(9), life=LINK_MINUTES * 60)
        return f"{self._url}/login/link/{token}"

    def person(self, token: str) -> str:
        """Whom the token of a link logs in; "" if it is not valid any more, or never was."""
        return self._read(token)[0]

    def use(self, token: str) -> str:
        """Use a link up: whom it logs in; "" if it is not valid any more, or never was."""
        person, ident = self._read(token)
        if person:
            self._used[ident] = None
            while len(self._used) > MOST_USED:
                self._used.popitem(last=False)
        return person

    def _read(self, token: str) -> tuple[str, str]:
        """Whom a token logs in, and the id of its link; "" if it is not valid."""
        signed = self._signer.read(PURPOSE, token)
        if signed is None or len(signed.parts) != 2:
            return "", ""
        process, ident = signed.parts
        return (signed.person, ident) if process == self._process and ident not in self._used else ("", "")
