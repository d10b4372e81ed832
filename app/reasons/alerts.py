"""What an operator should know of: what goes wrong for everybody, and needs a person to put it right, as data."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason
from app.reasons.power import PowerReason
from app.reasons.servers import ServerReason


class ServerAway(Reason, frozen=True):
    """A server cannot be reached; `why` is None if it does not answer in time."""

    server: str
    why: ServerReason | None = None


class NoServer(Reason, frozen=True):
    """None of several servers can be reached."""

    servers: tuple[str, ...]


class ServerFails(Reason, frozen=True):
    """Jobs of several people or workflows failed on a server in a row, so it rests."""

    server: str


class JournalWaits(Reason, frozen=True):
    """The journal cannot be written for the moment; `why` is the journal's own sentence."""

    why: str


class DiskFull(Reason, frozen=True):
    """The disk with this folder of results has no room."""

    folder: str


class ResultsGivenUp(Reason, frozen=True):
    """Results that this server has could not be downloaded."""

    server: str


class ServerNotStarted(Reason, frozen=True):
    """A server that jobs need could not be started."""

    server: str
    why: PowerReason


class ServerNotStopped(Reason, frozen=True):
    """A server that no job needs could not be stopped."""

    server: str
    why: PowerReason


class BackupFailed(Reason, frozen=True):
    """The daily backup could not be made; `why` is a sentence."""

    why: str


AlertReason: TypeAlias = (
    ServerAway
    | NoServer
    | ServerFails
    | JournalWaits
    | DiskFull
    | ResultsGivenUp
    | BackupFailed
    | ServerNotStarted
    | ServerNotStopped
)
