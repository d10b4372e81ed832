"""Signer: texts that only this bot can have written, for one purpose, one person and some time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Callable
from typing import cast

from itsdangerous import BadData, URLSafeSerializer
from msgspec import Struct

LONGEST_TOKEN = 2048
"""Characters. A longer one is not read."""


class Signed(Struct, frozen=True):
    """What a token says: for whom it was signed, and its further parts. `until` is in seconds since 1970."""

    person: str
    parts: tuple[str, ...]
    until: float


class Signer:
    """Signs and reads tokens, which may stand in addresses. Whoever has the key can write any.

    What is signed for one purpose is worth nothing for another. `clock` returns the seconds since 1970.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._serializers: dict[str, URLSafeSerializer] = {}

    def sign(self, purpose: str, person: str, *parts: str, life: float, step: float = 0.0) -> str:
        """A token that is valid for `life` seconds.

        With a `step`, it is valid until the next multiple of so many seconds, and the same token is made meanwhile.
        """
        until = self._clock() + life
        until = math.ceil(until / step) * step if step else until
        content = [round(until, 1), person, *parts]
        return self._serializer(purpose).dumps(content)

    def left(self, signed: Signed) -> float:
        """Seconds for which a token is still valid."""
        return signed.until - self._clock()

    def read(self, purpose: str, token: str) -> Signed | None:
        """What a token says; None unless it was signed for this purpose and is not over."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        try:
            until, person, *parts = cast("list[object]", self._serializer(purpose).loads(token))
        except BadData:
            return None
        if not isinstance(until, (int, float)) or until <= self._clock():
            return None
        return Signed(str(person), tuple(map(str, parts)), until)

    def derive(self, purpose: str, text: str) -> str:
        """A secret of 43 characters that only this bot can derive from a text, always the same one."""
        digest = hmac.digest(self._key, f"atelier {purpose} {text}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        if (serializer := self._serializers.get(purpose)) is None:
            options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
            serializer = URLSafeSerializer(self._key, salt=f"atelier {purpose}", signer_kwargs=options)
            self._serializers[purpose] = serializer
        return serializer
