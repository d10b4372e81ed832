"""What an unfinished job waits for that does not come by itself, as data, for an operator."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class WaitsForServers(Reason, frozen=True):
    """None of the servers that have the job, or may get it, answers."""

    servers: tuple[str, ...]


class WaitsForResume(Reason, frozen=True):
    """Each server that may get the job is drained; `servers` are those that may run its workflow."""

    servers: tuple[str, ...]


class ServerRemoved(Reason, frozen=True):
    """The server that has the job is no longer configured."""

    server: str


class NoServerListed(Reason, frozen=True):
    """None of the servers that can run the job is configured."""

    servers: tuple[str, ...]


class WaitsForResults(Reason, frozen=True):
    """The server is done, and `missing` of its results have not been fetched; `away` if it does not answer."""

    server: str
    missing: int
    away: bool


class LeftAtServer(Reason, frozen=True):
    """The job has ended, but a server that does not answer may still have it."""

    server: str


class NotShown(Reason, frozen=True):
    """The job has ended, and nobody has been shown how."""


WaitReason: TypeAlias = (
    WaitsForServers | WaitsForResume | ServerRemoved | NoServerListed | WaitsForResults | LeftAtServer | NotShown
)
