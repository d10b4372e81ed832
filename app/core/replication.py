"""How copies of one journal stay equal: numbered batches of what was written, each chained to all before it.

The process that writes the journal seals what each transaction wrote. A copy applies the batches in order, and notices
a missing or another one by its chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from hashlib import blake2b
from typing import Literal, Protocol, TypeAlias

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


class OutOfStep(Exception):
    """A batch does not follow what a copy has: it needs a copy of the whole journal. The text says why, for logs.

    `behind` is whether the copy only lacks batches. If not, it has something that the journal does not have.
    """

    def __init__(self, reason: str, *, behind: bool = False) -> None:
        super().__init__(reason)
        self.behind = behind


Role: TypeAlias = Literal["active", "standby"]
"""Whether a journal is written by a bot, or is a copy that follows another one."""


class Standing(Struct, frozen=True):
    """What a journal's file is: its version, whether it has any jobs, and whether it was written or followed last.

    `position` is how far it is, None without copies. It may have been published up to any of `sealed`. `epoch` counts
    how often a front became active, up to when this one did last.
    """

    version: int = 0
    is_empty: bool = True
    role: Role = "active"
    epoch: int = 0
    position: Position | None = None
    sealed: tuple[Position, ...] = ()


def may_be_written(standing: Standing, head: Position | None) -> bool:
    """Whether nobody was told anything that this journal lacks; `head` is what was published last.

    Without a head, the engine lost everything or had nothing yet, and nobody can tell.
    """
    position = standing.position
    if head is None:
        return False
    if head in standing.sealed:
        return True
    # A copy has only what was published, so the engine has lost its last moments.
    if position is None or standing.role == "active" or position.lineage != head.lineage:
        return False
    return position.number > head.number


class Publisher(Protocol):
    """Gets batches to where copies find them."""

    def check(self) -> None:
        """Raise `JournalUnavailable` if nothing may be written now, because another process may write the journal."""
        ...

    @property
    def active_for(self) -> float:
        """Seconds for which no other process can write the journal; 0 if one may write it now."""
        ...

    @property
    def lease(self) -> tuple[str, bytes]:
        """The key and the value of what the engine has for as long as no other process can write the journal."""
        ...

    async def publish(self, batches: Sequence[SealedBatch]) -> None:
        """Return once copies find these batches, which follow those that were published before.

        Raises `JournalUnavailable` if it may succeed later. Batches that were published before are left out.
        """
        ...


class Need(IntEnum):
    """Why a front needs a file; the lowest comes first."""

    ASKED = 0
    """Somebody waits for it."""
    INPUT = 1
    """An unfinished job starts from it."""
    UNDELIVERED = 2
    """It is a result that was not shown yet."""
    RECENT = 3
    """It belongs to a job that ended lately."""


class NamedFile(Struct, frozen=True):
    """A file that a job of a journal names, by its path."""

    path: str
    need: Need


def chained(previous: bytes, content: bytes) -> bytes:
    """The chain after a batch with this content."""
    return blake2b(previous + content, digest_size=CHAIN).digest()
