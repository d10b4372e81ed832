"""Changes of the code of fronts and workers that break a promise; see `tests.simulation.mutations`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from msgspec import Struct
from msgspec.structs import replace

from app.actors.effect_runner import EffectRunner
from app.core.jobs.job import Job
from app.core.journal_port import JournalUnavailable
from app.core.replication import Position, SealedBatch, Standing
from app.discord.messages.active_sender import ActiveSender
from app.discord.messages.late_edits import LateEdits
from app.discord.messages.open_requests import OpenRequests
from app.discord.messages.reply import MessageReply
from app.discord.ui.components import Card
from app.engine.messages import AnyCall, Registration, Request
from app.engine.remote_servers.remote_worker import REQUESTS, REQUESTS_SECONDS, RemoteWorker
from app.engine.replication.lease import FrontLease
from app.engine.replication.open_requests import EngineOpenRequests
from app.engine.replication.publisher import JournalPublisher
from app.engine.worker.session import _Session
from app.engine.worker.submissions import Submissions
from app.journal.copies.replica import Replica
from app.ports import OpenRequest
from tests.simulation.engine.fleet_plan import TROUBLE, fleet
from tests.simulation.mutations import Broken
from tests.simulation.plan import Fault, Kind, Moment, Plan

# pyright: reportPrivateUsage=false

STEP = 7.0
"""Seconds between two faults."""


class FleetMutation(Struct, frozen=True):
    """A change, the words by which it is found, and the faults without which nobody would notice.

    Each of the `faults` comes again and again, at its moment of `upon`, if there are any; or all happens at the times
    of `script`. `first` is the seed that is played first, to find it soon.
    """

    change: Broken
    says: str
    faults: tuple[Kind, ...] = ()
    upon: tuple[Moment, ...] = ()
    seconds: float = 8.0
    script: tuple[Fault, ...] = ()
    first: int = 0

    @property
    def name(self) -> str:
        """What the test is called."""
        return self.change.__name__

    def plan(self, seed: int) -> Plan:
        """The plan of a seed, with these faults."""
        seed += self.first
        plan = fleet(seed)
        faults = [
            Fault(
                8.0 + number * STEP,
                self.faults[number % len(self.faults)],
                self.seconds,
                number + seed,
                self.upon[number % len(self.upon)] if self.upon else None,
            )
            for number in range(int((TROUBLE - 15.0) / STEP) if self.faults else 0)
        ]
        return replace(plan, faults=(*faults, *self.script))


@contextmanager
def a_lease_is_believed_for_longer_than_it_lasts() -> Generator[None]:
    """Take the lease as held until another front is seen."""
    with patch.object(FrontLease, "left", property(lambda self: 0.0 if self.lost.is_set() else 60.0)):  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType]
        yield


@contextmanager
def a_front_shows_jobs_without_its_lease() -> Generator[None]:
    """Send whatever is to be shown."""

    @contextmanager
    def active(self: ActiveSender) -> Generator[None]:
        del self
        yield

    with patch.object(ActiveSender, "_active", active):
        yield


@contextmanager
def a_request_waits_for_its_turn_for_any_time() -> Generator[None]:
    """Look at the lease only when somebody wants to show something."""
    with patch("tests.simulation.engine.process.may_begin", lambda: True):
        yield


@contextmanager
def nobody_looks_at_results_again() -> Generator[None]:
    """Do not look after a takeover whether results are still shown."""

    async def restore(self: MessageReply) -> None:
        del self

    with patch.object(MessageReply, "restore", restore):
        yield


@contextmanager
def the_next_front_does_not_know_what_to_look_at() -> Generator[None]:
    """Keep only in memory which results are to be looked at again."""

    async def expect(self: LateEdits, jobs: Sequence[Job]) -> list[Job]:
        del self, jobs
        return []

    with patch.object(LateEdits, "expect", expect):
        yield


@contextmanager
def nobody_answers_whom_another_front_has_left() -> Generator[None]:
    """Forget the requests that other fronts have left."""

    async def left(self: EngineOpenRequests) -> Sequence[OpenRequest]:
        del self
        return []

    with patch.object(EngineOpenRequests, "left", left):
        yield


@contextmanager
def nobody_is_known_before_they_are_told_that_the_bot_thinks() -> Generator[None]:
    """Keep a request only once the dispatcher has it."""

    async def expect(self: OpenRequests, token: str, typed: str) -> None:
        del self, token, typed

    with patch.object(OpenRequests, "expect", expect):
        yield


@contextmanager
def nobody_is_answered_later() -> Generator[None]:
    """Give up answers that cannot be sent, and those to people whom another front has left."""

    def answer_later(self: OpenRequests, token: str, card: Card) -> None:
        del self, token, card

    with patch.object(OpenRequests, "_answer_later", answer_later):
        yield


@contextmanager
def a_batch_is_applied_whatever_it_follows() -> Generator[None]:
    """Apply each batch with a higher number, without a look at its chain."""

    def apply(self: Replica, batch: SealedBatch) -> None:
        if batch.number > self.position.number:
            self._write(batch)
            self.position = Position(self.position.lineage, batch.number, batch.chain)

    with patch.object(Replica, "apply", apply):
        yield


@contextmanager
def a_front_takes_over_although_it_lacks_batches() -> Generator[None]:
    """Let whoever sees no active front become it, without catching up."""

    def anyway(standing: Standing, head: Position | None) -> bool:
        del standing, head
        return True

    def never(standing: Standing, head: Position | None) -> bool:
        del standing, head
        return False

    module = "app.engine.replication.standby"
    with patch(f"{module}.may_be_written", anyway), patch(f"{module}._is_behind", never):
        yield


@contextmanager
def publishing_is_not_confirmed() -> Generator[None]:
    """Go on although the engine did not take a batch."""
    publish = JournalPublisher.publish

    async def published(self: JournalPublisher, batches: Sequence[SealedBatch]) -> None:
        try:
            await publish(self, batches)
        except JournalUnavailable:
            if self._lease.position is not None:
                self._lease.position = Position(self._lease.position.lineage, batches[-1].number, batches[-1].chain)

    with patch.object(JournalPublisher, "publish", published):
        yield


@contextmanager
def a_front_sends_prompts_without_its_lease() -> Generator[None]:
    """Submit whatever was recorded, however long ago."""
    init = EffectRunner.__init__

    def without(self: EffectRunner, *args: Any, **options: Any) -> None:
        init(self, *args, **{**options, "is_suspended": lambda: False})

    async def add(self: RemoteWorker, stream: str, data: bytes, call: AnyCall) -> str:
        del call
        return await self.engine.add(stream, data, longest=REQUESTS, seconds=REQUESTS_SECONDS)

    with patch.object(EffectRunner, "__init__", without), patch.object(RemoteWorker, "_add", add):
        yield


@contextmanager
def an_engine_that_forgot_everything_believes_anybody() -> Generator[None]:
    """Take the lease again, however long ago it ended."""
    with patch.object(FrontLease, "is_held", property(lambda self: not self.lost.is_set())):  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType]
        yield


@contextmanager
def a_worker_does_what_it_was_asked_twice() -> Generator[None]:
    """Take each entry as another request."""

    def is_new(self: _Session, request: Request) -> bool:
        del self, request
        return True

    with patch.object(_Session, "_is_new", is_new):
        yield


@contextmanager
def a_worker_answers_while_another_front_submits() -> Generator[None]:
    """Answer what a server has, whatever is on its way there."""

    async def wait_for_others(self: Submissions, request: Request) -> None:
        del self, request

    with patch.object(Submissions, "wait_for_others", wait_for_others):
        yield


@contextmanager
def the_end_of_a_session_ends_no_call() -> Generator[None]:
    """Wait for the answers of a worker that has forgotten the questions."""

    def register(self: RemoteWorker, registration: Registration | None) -> None:
        self.registration = registration

    with patch.object(RemoteWorker, "register", register):
        yield


SHOWS = "shows something although"

FLEET_MUTATIONS = (
    FleetMutation(
        a_lease_is_believed_for_longer_than_it_lasts,
        SHOWS,
        ("rate_limit", "freeze_front"),
        ("shown", "shown"),
        15.0,
        first=1,
    ),
    FleetMutation(a_front_shows_jobs_without_its_lease, SHOWS, ("cut_front",), seconds=15.0),
    FleetMutation(
        a_request_waits_for_its_turn_for_any_time, SHOWS, ("rate_limit", "freeze_front"), ("shown",), 15.0, first=3
    ),
    FleetMutation(nobody_looks_at_results_again, "goes on", ("freeze_front",), ("departing",), 15.0, first=9),
    FleetMutation(
        the_next_front_does_not_know_what_to_look_at,
        "goes on",
        ("freeze_front", "stop_front", "stop_front"),
        ("departing", "shown", "shown"),
        first=9,
    ),
    FleetMutation(nobody_answers_whom_another_front_has_left, "bot thinks", ("kill_front",), ("committed",), first=1),
    FleetMutation(
        nobody_is_known_before_they_are_told_that_the_bot_thinks, "bot thinks", ("kill_front",), ("thinking",)
    ),
    FleetMutation(
        nobody_is_answered_later, "bot thinks", ("board_away", "discord_hangs"), ("thinking",), 15.0, first=8
    ),
    FleetMutation(a_batch_is_applied_whatever_it_follows, "differ from", ("kill_front",), ("committed",), first=4),
    FleetMutation(a_front_takes_over_although_it_lacks_batches, "in no journal", ("cut_front", "kill_front"), (), 15.0),
    FleetMutation(publishing_is_not_confirmed, "in no journal", ("cut_front",), ("commit",), 15.0),
    FleetMutation(
        a_front_sends_prompts_without_its_lease, "was taken twice", ("freeze_front",), ("post",), 15.0, first=2
    ),
    FleetMutation(
        an_engine_that_forgot_everything_believes_anybody,
        "in no journal",
        script=(
            Fault(10.0, "cut_front", 30.0, 0),
            *(Fault(39.6 + 0.2 * number, "flush", 0.0, 0) for number in range(3)),
        ),
    ),
    FleetMutation(a_worker_does_what_it_was_asked_twice, "was taken twice", ("doubled_commands",), ("committed",)),
    FleetMutation(
        a_worker_answers_while_another_front_submits, "was taken twice", ("delay", "stop_front"), ("post",), first=1
    ),
    FleetMutation(the_end_of_a_session_ends_no_call, "not everything has ended", ("kill_worker",), ("view",)),
)
"""Changes that must be found."""
