"""What fronts keep in the engine: the keys, and what stands under them."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from app.core.replication import Position, SealedBatch
from app.engine.connection import Entry

LEASE = "atelier:front"
"""The key under which the active front stands, for as long as its lease lasts."""

EPOCH = "atelier:front:epoch"
"""The key of the number of times that a front became active."""

BATCHES = "atelier:journal"
"""The stream of the newest batches of the journal. The id of an entry is the number of its batch."""

HEAD = "atelier:journal:head"
"""The key of the position up to which the journal was published."""

REQUESTS = "atelier:journal:copies"
"""The stream of requests for whole copies of the journal."""

STANDBY = "atelier:standby:"
"""The beginning of the keys under which the fronts on standby stand."""

LONGEST = 64 * 2**10
"""Bytes of the longest message about files."""

MOST_BATCHES = 2_000
"""Batches that are kept; a copy that lacks more is made anew."""


FILES = "atelier:files"
"""The stream of what fronts ask each other about files of jobs."""


class Front(Struct, frozen=True):
    """A front: an id of this process, what people call it, its version, and the version of its journal."""

    id: str
    name: str
    version: str
    journal: int


class Standby(Struct, frozen=True):
    """A front on standby, and the number of the last batch that it has."""

    front: Front
    number: int


class Request(Struct, frozen=True):
    """A request for a whole copy of the journal."""

    copy: str


class About(Struct, frozen=True):
    """What is sent of a copy: its size in bytes, its hash, the data folder of its sender, and how far it is."""

    size: int
    sha256: str
    folder: str
    number: int


def about_key(copy: str) -> str:
    """Where it stands what is sent of a copy."""
    return f"atelier:copy:{copy}:about"


class FileRequest(Struct, frozen=True, tag="request"):
    """A front lacks a file, which is named by its folder in the data folder and its name."""

    transfer: str
    front: str
    name: str


class Announcement(Struct, frozen=True, tag="announcement"):
    """The active front has files that the others will need."""

    id: str
    names: tuple[str, ...]


FileMessage: TypeAlias = FileRequest | Announcement


class AboutFile(Struct, frozen=True):
    """What is sent of a file: its size in bytes, its hash, and when it was last changed, in ns since 1970."""

    size: int
    sha256: str
    changed: int


def absent_key(transfer: str, front: str) -> str:
    """Where a front says that it does not have a file."""
    return f"atelier:copy:{transfer}:absent:{front}"


def taken_key(announcement: str, front: str) -> str:
    """Where a front says whether it has all files of an announcement: "1" or "0"."""
    return f"atelier:copy:{announcement}:taken:{front}"


def read_file_message(data: bytes) -> FileMessage | None:
    """A message about files; None if it is none of ours."""
    if len(data) > LONGEST:
        return None
    try:
        return msgspec.json.decode(data, type=FileRequest | Announcement)
    except msgspec.MsgspecError:
        return None


def lease_of(epoch: int, front: Front) -> bytes:
    """What stands under the lease."""
    return f"{epoch} ".encode() + msgspec.json.encode(front)


def read_lease(value: bytes | None) -> tuple[int, Front] | None:
    """The epoch and the front of a lease; None without one, or if it is none of ours."""
    epoch, _, front = (value or b"").partition(b" ")
    try:
        return int(epoch), msgspec.json.decode(front, type=Front)
    except (ValueError, msgspec.MsgspecError):
        return None


def head_of(position: Position) -> bytes:
    """What stands under the head."""
    return f"{position.lineage} {position.number} {position.chain.hex()}".encode()


def read_head(value: bytes | None) -> Position | None:
    """The position of a head; None without one, or if it is none of ours."""
    match (value or b"").split(b" "):
        case [lineage, number, chain]:
            try:
                return Position(lineage.decode(), int(number), bytes.fromhex(chain.decode()))
            except ValueError:
                return None
        case _:
            return None


def entry_id(number: int) -> str:
    """The id of the entry of a batch in the stream."""
    return f"{number}-0"


def read_batch(entry: Entry) -> SealedBatch | None:
    """The batch of an entry; None if it is none of ours."""
    try:
        return msgspec.msgpack.decode(entry.data, type=SealedBatch)
    except msgspec.MsgspecError:
        return None
