"""How copies of one journal stay equal: numbered batches of what was written, each chained to all before it.

The process that writes the journal seals what each transaction wrote. A copy applies the batches in order, and notices
a missing or another one by its chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

from msgspec import Struct

CHAIN = 16
"""Bytes of a chain."""

START = bytes(CHAIN)
"""The chain of a journal of which nothing was sealed yet."""


class Position(Struct, frozen=True):
    """How far a journal or a copy is: the number of its last batch, and the chain of all batches up to that.

    `lineage` is the same in all copies of one journal.
    """

    lineage: str
    number: int
    chain: bytes


class SealedBatch(Struct, frozen=True):
    """What one transaction wrote, encoded; `previous` is the chain before it."""

    number: int
    previous: bytes
    content: bytes

    @property
    def chain(self) -> bytes:
        """The chain up to and with this batch."""
        return chained(self.previous, self.content)


class Publisher(Protocol):
    """Gets batches to where copies find them."""

    def check(self) -> None:
        """Raise `JournalUnavailable` if nothing may be written now, because another process may write the journal."""
        ...

    async def publish(self, batches: Sequence[SealedBatch]) -> None:
        """Return once copies find these batches, which follow those that were published before.

        Raises `JournalUnavailable` if it may succeed later. Batches that were published before are left out.
        """
        ...


def chained(previous: bytes, content: bytes) -> bytes:
    """The chain after a batch with this content."""
    return blake2b(previous + content, digest_size=CHAIN).digest()
