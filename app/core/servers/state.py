"""The state of one server: whether it is reachable or silent, and whether its websocket still delivers frames."""

from __future__ import annotations

from msgspec import Struct, field

from app.config.settings import Power
from app.core.servers.power import ServerPower
from app.core.servers.rest import ServerRest
from app.events import ServerName
from app.reasons import Reason
from app.reasons.jobs import ServersOffline
from app.reasons.servers import NetworkReason

SILENCE = 2.0
"""Seconds without a frame, with jobs of ours in flight, after which we query the server (docs/DESIGN.md, rule 5)."""

PROBE = 1.0
"""Seconds between two queries of a server that does not answer while a job waits for it."""

STATUS_DUE = 5.0
"""Seconds within which a POST answered with 200 must appear as a `status` frame (docs/protocol/comfyui.md 2.2)."""

FAILOVER_AFTER = 60.0
"""Seconds that a server may be away before its jobs move to another one, unless the configuration says otherwise."""

FAILOVER_RUNNING = 3
"""Times as long may a server be away that was running the job or has its results: its work would be wasted. A server
may have another number in its settings."""

FAILOVER_PAID = 86_400.0
"""Seconds that a server may be away that may have run a job which costs money: its result is worth waiting for, and no
other server gets the job."""

RECHECK = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before a history that could not be read is read again, by the number of readings; then it is given up."""

SUSPICION = 0.5
"""Seconds that the websocket gets to deliver what a query has already found: frames and HTTP answers may overtake
each other."""


class ServerSettings(Struct, frozen=True, kw_only=True):
    """What the operator says about one server. They may change while a server is in use.

    `failover_after` is in seconds, and `running_patience` is how many times as long it may be away with a job that it
    was running. Of the servers that are free, one with a greater `weight` gets a job first.
    `workflows` are the workflows that it may run, None if it may run all; those that cost money only if `pays`. `power`
    is None if it is not started and stopped by the bot.
    """

    failover_after: float = FAILOVER_AFTER
    running_patience: int = FAILOVER_RUNNING
    weight: float = 1.0
    workflows: frozenset[str] | None = None
    power: Power | None = None
    pays: bool = False


class ServerState(Struct):
    """What is known about one server. Times are in seconds of the application's clock.

    A deaf websocket is one that is open but no longer delivers frames.
    """

    name: ServerName
    failover_after: float = FAILOVER_AFTER
    running_patience: int = FAILOVER_RUNNING
    weight: float = 1.0
    workflows: frozenset[str] | None = None
    pays: bool = False
    drained: bool = False
    """Whether an operator wants it to get no new jobs; what it has runs to its end."""
    leaving: bool = False
    """Whether it is to be removed: it gets no new jobs, and what waits there goes elsewhere."""
    listening: bool = False
    """Whether its websocket is open; only shown, because a websocket may be deaf."""
    reachable: bool = False
    reason: Reason | None = None
    """Why it could not be reached the last time that this failed."""
    models: str = ""
    """The models that the job which it was sent last needs, as `models_of` names them; "" if unknown."""
    away_since: float = float("inf")
    """Since when its queue could not be read; a websocket that opens does not change this."""
    recheck_at: float = float("inf")
    """When a history that could not be read is to be read again."""
    remaining: int = 0
    foreign: int = 0
    """How many of the `remaining` prompts are other clients'."""
    querying: bool = False
    query_again: bool = False
    last_frame_at: float = float("-inf")
    queried_at: float = float("-inf")
    posted: float = float("-inf")
    answered: float = float("-inf")
    status_at: float = float("-inf")
    status_due: float = float("inf")
    suspected: float = float("inf")
    rest: ServerRest = field(default_factory=ServerRest)
    """Whether it rests because jobs fail there."""
    power: ServerPower | None = None
    """Whether it is on; None if the bot does not start and stop it."""

    def configure(self, settings: ServerSettings) -> None:
        """Apply what the operator says about this server."""
        self.failover_after, self.running_patience = settings.failover_after, settings.running_patience
        self.weight = settings.weight
        self.workflows, self.pays = settings.workflows, settings.pays
        if settings.power is None:
            self.power = None
        elif self.power is None:
            self.power = ServerPower(settings.power)
        else:
            self.power.settings = settings.power

    def permits(self, workflow: str, *, paid: bool) -> bool:
        """Whether it may run this workflow, for a request that services bill if it is `paid`."""
        return (self.workflows is None or workflow in self.workflows) and (self.pays or not paid)

    @property
    def away(self) -> bool:
        """Whether the server was tried and could not be reached, although it should be on."""
        return not self.reachable and self.reason is not None and not self.off

    @property
    def off(self) -> bool:
        """Whether the server is off on purpose, or on its way there or back."""
        return self.power is not None and self.power.off

    @property
    def takes_jobs(self) -> bool:
        """Whether it may get a new job, if it has a free place."""
        may = self.power is None or self.power.takes_jobs
        return self.reachable and not self.drained and not self.leaving and may

    @property
    def offline_note(self) -> ServersOffline | None:
        """What the users of its jobs should know; None if it can be reached."""
        return ServersOffline((self.name,)) if not self.reachable and self.reason is not None else None

    @property
    def answers(self) -> bool:
        """Whether it answers requests, even if its queue cannot be read."""
        return self.reachable or (self.away and not isinstance(self.reason, NetworkReason))

    def frame(self, now: float) -> None:
        """Record a frame: it proves that the websocket delivers frames."""
        self.last_frame_at = now
        self.suspected = float("inf")

    def status(self, now: float, remaining: int) -> bool:
        """Record a `status` frame; return whether the queue's length changed."""
        changed, self.remaining = remaining != self.remaining, remaining
        self.status_at = now
        self.status_due = float("inf")
        return changed

    def queue_read(self, length: int) -> bool:
        """Record the length of the queue that the last query found; return whether it changed.

        After a restart of the server, the last `status` frame is about a queue that no longer exists.
        """
        if self.queried_at < self.status_at:
            return False
        changed, self.remaining = length != self.remaining, length
        return changed

    def recheck(self, at: float) -> None:
        """Query the server at this time, or earlier if that is planned."""
        self.recheck_at = min(self.recheck_at, at)

    def back(self) -> bool:
        """Record that a query succeeded; return whether the server was away or had never been queried."""
        was_away = not self.reachable
        self.reachable, self.reason, self.away_since = True, None, float("inf")
        return was_away

    def unreachable(self, reason: Reason, now: float) -> bool:
        """Record that a query failed; return whether it is the first to fail."""
        was_answering = self.away_since == float("inf")
        self.reachable, self.reason, self.away_since = False, reason, min(self.away_since, now)
        # It may have been restarted when it answers again.
        self.models = ""
        return was_answering

    def connected(self, now: float) -> None:
        """Record that a new websocket is open."""
        self.listening = True
        self.frame(now)
        self.status_due = float("inf")

    def answered_post(self, now: float) -> None:
        """Record that the server accepted a prompt: a `status` frame has arrived since the POST was sent, or is due."""
        self.answered = now
        if self.status_at < self.posted:
            self.status_due = min(self.status_due, now + STATUS_DUE)

    def count_foreign(self, ours: int) -> bool:
        """Compute how many prompts are other clients', and return whether that changed.

        `ours` is the number of our prompts, all POSTs answered.
        """
        if self.status_at < self.answered:
            return False
        before, self.foreign = self.foreign, max(0, self.remaining - ours)
        if self.foreign:
            # Other clients' prompts may load other models.
            self.models = ""
        return self.foreign != before

    def learned(self, now: float) -> None:
        """Record that a query found what the websocket should have delivered: unless that follows soon, it is deaf."""
        if self.last_frame_at < self.queried_at:
            self.suspected = min(self.suspected, now)

    @property
    def deaf_at(self) -> float:
        """The time from which the websocket counts as deaf if no frame arrives until then."""
        return min(self.status_due, self.suspected + SUSPICION)

    def deaf(self, now: float) -> bool:
        """Whether the websocket counts as deaf; returns True once per suspicion."""
        if now < self.deaf_at:
            return False
        self.status_due = self.suspected = float("inf")
        return True

    def query_due(self) -> float:
        """The time of the next query, if a job depends on this server.

        A reachable server is queried after `SILENCE`, an unreachable one every `PROBE` seconds.
        """
        if self.querying:
            return float("inf")
        if not self.reachable:
            return self.queried_at + PROBE
        return min(max(self.last_frame_at, self.queried_at) + SILENCE, self.recheck_at)
