"""One server as the ledger sees it: whether it answers, whether it is silent, whether its socket is deaf."""

from __future__ import annotations

from msgspec import Struct

from app.events import ServerName

SILENCE = 2.0
"""Seconds without a frame, with jobs of ours in flight, after which we look (DESIGN.md, truth 5)."""

PROBE = 1.0
"""Seconds between two looks at a server that does not answer while somebody waits for it."""

STATUS_DUE = 5.0
"""Seconds within which a POST that was answered 200 must show as a `status` frame (COMFYUI.md 2.2)."""

SUSPICION = 0.5
"""Seconds a socket gets to say what a look has already found: frames and answers may overtake each other."""


class ServerState(Struct):
    """What is known of one server. Times are in seconds of the house's clock."""

    name: ServerName
    reachable: bool = False
    reason: str = ""
    remaining: int = 0
    foreign: int = 0
    """How many of the remaining prompts are other people's."""
    querying: bool = False
    query_again: bool = False
    last_frame_at: float = float("-inf")
    queried_at: float = float("-inf")
    posted: float = float("-inf")
    answered: float = float("-inf")
    status_at: float = float("-inf")
    status_due: float = float("inf")
    suspected: float = float("inf")

    @property
    def away(self) -> bool:
        """Whether it was asked, and did not answer."""
        return not self.reachable and bool(self.reason)

    def frame(self, now: float) -> None:
        """Any frame proves that the socket hears."""
        self.last_frame_at = now
        self.suspected = float("inf")

    def status(self, now: float, remaining: int) -> bool:
        """A `status` frame came; whether the queue's length is news."""
        news, self.remaining = remaining != self.remaining, remaining
        self.status_at = now
        self.status_due = float("inf")
        return news

    def connected(self, now: float) -> None:
        """A new socket is open."""
        self.reachable = True
        self.frame(now)
        self.status_due = float("inf")

    def answered_post(self, now: float) -> None:
        """The server took a prompt, so a `status` frame has come since we asked, or is due."""
        self.reachable = True
        self.answered = now
        if self.status_at < self.posted:
            self.status_due = min(self.status_due, now + STATUS_DUE)

    def count_foreign(self, ours: int) -> None:
        """Tell other people's prompts from ours, which are `ours` and all answered.

        Only a `status` that is younger than our last POST counts that one too.
        """
        if self.status_at >= self.answered:
            self.foreign = max(0, self.remaining - ours)

    def learned(self, now: float) -> None:
        """A look found what the socket should have said: soon, or it is deaf."""
        if self.last_frame_at < self.queried_at:
            self.suspected = min(self.suspected, now)

    @property
    def deaf_at(self) -> float:
        """When the socket must be taken for deaf, if nothing is heard until then."""
        return min(self.status_due, self.suspected + SUSPICION)

    def deaf(self, now: float) -> bool:
        """Whether the socket must be taken for deaf; says so once per suspicion."""
        if now < self.deaf_at:
            return False
        self.status_due = self.suspected = float("inf")
        return True

    def query_due(self) -> float:
        """When to look for ourselves, if anything of ours hangs on this server: after silence, or while it is away."""
        if self.querying:
            return float("inf")
        return max(self.last_frame_at, self.queried_at) + SILENCE if self.reachable else self.queried_at + PROBE
