"""Changes of the code that break one of the newer promises: the simulation must find each of them, and say so.

The older ones are in `core_mutations.py`. A mutation names the words of the check that finds it, and the faults without
which nobody would notice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import TypeAlias, TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct
from msgspec.structs import replace

from app.actors.alerts import Alerts
from app.actors.connection import ConnectionActor, ConnectionEvent
from app.actors.effect_runner import EffectRunner
from app.actors.handle import EditAnswer, Registry
from app.actors.operator import OperatorActor
from app.actors.registry import PromptRegistry
from app.backoff import Pauses
from app.comfy.client import ComfyClient
from app.comfy.response_limits import Pace
from app.comfy.websocket.decoder import Decoder
from app.core.effects import Effect, EffectResult, FetchFile, FileFetched, QueryServer, ServerQueried, Unreachable
from app.core.failover import Failover
from app.core.jobs import batches, editing, loading
from app.core.jobs.batches import Batches
from app.core.jobs.cost import Run
from app.core.jobs.downloads import Downloads
from app.core.jobs.job import Attempt, Batch, Job, JobRequest, State, Transition
from app.core.jobs.table import JobTable
from app.core.journal_port import JournalError
from app.core.queries import Queries
from app.core.reconciler import Reconciler
from app.core.scheduling.line.line import Line
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.core.servers.able_servers import AbleServers, Offered
from app.core.servers.changes import ServerChanges
from app.core.servers.state import ServerState
from app.discord.message_ref import MessageRef, Seen
from app.discord.messages.delivery import Delivery, RefusedEverywhere, Route, nonce
from app.discord.messages.live_messages import LiveMessages
from app.discord.messages.location import MessageLocation
from app.discord.messages.ports import Away
from app.discord.messages.reply import MessageReply
from app.discord.requests.job_actions import JobActions
from app.discord.ui.components import Card, Upload
from app.discord.ui.job_view import JobView
from app.discord.user_request import Caller
from app.events import (
    AnyUpdate,
    Cancelled,
    FileRef,
    JobId,
    Previewed,
    Progressed,
    Queued,
    ServerEvent,
    ServerName,
    TerminalUpdate,
)
from app.journal.sqlite import SqliteJournal
from app.ports import ConnectionLost
from app.reasons.files import PostingNote
from app.reasons.jobs import JobReason
from app.reasons.servers import ServerError
from app.service.jobs.job_factory import JobFactory
from app.service.requests import Person
from tests.simulation.plan import PICTURE, Fault, Kind, Moment, Plan, drawn

# pyright: reportPrivateUsage=false

NOT_OWN = "a picture that is not of"
BY_ITSELF = "the process ended by itself"

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Broken: TypeAlias = Callable[[], AbstractContextManager[None]]


QUICK = 6
"""A seed with nine people, whose world takes a fifth of a second."""


class Mutation(Struct, frozen=True):
    """A change, the words by which it is found, and what has to happen for it to do harm.

    Nothing else goes wrong than these `faults`, each a few times, at its own moment of `upon` or at any time; without
    any, whatever a seed draws. Each lasts for so many `seconds`, if it lasts. `first` is the seed that is played first,
    to find it soon. With `pair` there are two servers, and each can make everything. Everybody asks for `count`
    pictures, if it is more than one, but for those who ask for a film. `notify` is that of the plan.
    """

    change: Broken
    says: str
    faults: tuple[Kind, ...] = ()
    upon: tuple[Moment, ...] = ()
    drain: bool = False
    first: int = QUICK
    pair: bool = False
    seconds: float = 4.0
    count: int = 1
    notify: str = "off"

    @property
    def name(self) -> str:
        """What the test is called."""
        return "-".join((self.change.__name__, *self.faults))

    def plan(self, seed: int) -> Plan:
        """The plan of a seed, with these faults."""
        seed += self.first
        plan = replace(drawn(seed), notify=self.notify)
        if not self.faults:
            return plan
        faults = [
            Fault(
                round(want.at + 1.0 + number, 3),
                kind,
                self.seconds,
                7 * number + place + seed,
                self.upon[number] if self.upon else None,
            )
            for number, kind in enumerate(self.faults)
            for place, want in enumerate(plan.wants[:4])
        ]
        if self.pair:
            plan = replace(plan, servers=2, wants=tuple(replace(want, server=None) for want in plan.wants))
        if self.count > 1:
            wants = (replace(want, count=self.count) if want.seconds <= PICTURE[1] else want for want in plan.wants)
            plan = replace(plan, wants=tuple(wants))
        return replace(plan, faults=tuple(faults), drain=self.drain)


@contextmanager
def a_second_post_is_believed_to_show_what_it_says() -> Generator[None]:
    """Take a repeated post as new, although Discord returns the first message for the same nonce."""

    async def post(self: Delivery, card: Card, page: int, create: Callable[[Card, str], Awaitable[Seen]]) -> Seen:
        await self._location.leave()
        return await create(card, nonce(self._view.job, page))

    with patch.object(Delivery, "_post", post):
        yield


@contextmanager
def everybody_gets_the_previous_persons_file() -> Generator[None]:
    """Show each person the files of the person before."""
    run, previous = Delivery.run, list[Sequence[str]]()

    async def late(self: Delivery) -> str:
        fit = self._context.prepare_files

        @asynccontextmanager
        async def fitted(
            files: Sequence[str], limit: int, person: str, *, made: bool = True
        ) -> AsyncGenerator[tuple[list[Upload], list[PostingNote]]]:
            previous.append(files)
            shown = previous[-2] if len(previous) > 1 and files else files
            async with fit(shown, limit, person, made=made) as found:
                yield found

        with patch.object(self._context, "prepare_files", fitted):
            return await run(self)

    with patch.object(Delivery, "run", late):
        yield


@contextmanager
def downloads_are_swapped() -> Generator[None]:
    """Download the previous file again, under the name of this one."""
    fetch, files = EffectRunner._fetch, list[FileRef]()

    async def other(self: EffectRunner, effect: FetchFile) -> EffectResult:
        files.append(effect.file)
        answer = await fetch(self, replace(effect, file=files[-2]) if len(files) > 1 else effect)
        return replace(answer, effect=effect) if isinstance(answer, FileFetched) else answer

    with patch.object(EffectRunner, "_fetch", other):
        yield


@contextmanager
def previews_reach_the_wrong_person() -> Generator[None]:
    """Show the latest preview of any job in all jobs."""
    hear, last = JobView.handle, list[Previewed]()

    def heard(self: JobView, update: AnyUpdate, now: float) -> None:
        if isinstance(update, Previewed):
            last.append(update)
            update = last[0]
        hear(self, update, now)

    with patch.object(JobView, "handle", heard):
        yield


@contextmanager
def streamed_pictures_are_cut() -> Generator[None]:
    """Truncate the pictures that arrive over the websocket."""
    keep = JobTable.save_image

    def cut(self: JobTable, job: Job, attempt: object, image: bytes, media_type: str) -> None:
        keep(self, job, attempt, image[:100], media_type)  # pyright: ignore[reportArgumentType]

    with patch.object(JobTable, "save_image", cut):
        yield


@contextmanager
def an_effects_exception_ends_the_registry() -> Generator[None]:
    """Remove the boundary around the effects of one job."""

    async def do(self: PromptRegistry, effect: Effect) -> None:
        if (answer := await self._effects.do(effect)) is not None:
            await self._outbox.send(answer)

    with patch.object(PromptRegistry, "_do", do):
        yield


@contextmanager
def an_answers_exception_ends_the_registry() -> Generator[None]:
    """Remove the boundary around one message."""

    def take(self: PromptRegistry, message: object) -> None:
        self._handle(message)  # pyright: ignore[reportArgumentType]

    @contextmanager
    def contain(self: JobTable, job: Job, what: str) -> Generator[None]:
        yield

    with patch.object(PromptRegistry, "_take", take), patch.object(JobTable, "contain", contain):
        yield


@contextmanager
def an_exception_fails_every_job_of_a_server() -> Generator[None]:
    """Put the boundary around the server instead of the job."""
    fail = JobTable.fail

    def fail_all(self: JobTable, job: Job, reason: JobReason) -> None:
        for other in [one for one in self.jobs.values() if one.attempt is not None]:
            fail(self, other, reason)

    with patch.object(JobTable, "fail", fail_all):
        yield


def raised(error: Exception, what: str, **context: object) -> None:
    """Raise, in place of `log_failure`: the boundary is gone."""
    raise error


@contextmanager
def a_wrong_frame_ends_the_bot() -> Generator[None]:
    """Raise for a frame that cannot be decoded, without a boundary around the connection."""

    def feed(self: Decoder, frame: str | bytes) -> ServerEvent | None:
        return self._binary(frame) if isinstance(frame, bytes) else self._text(self._json.decode(frame))

    with patch.object(Decoder, "decode", feed), patch("app.actors.connection.log_failure", raised):
        yield


@contextmanager
def a_lost_socket_ends_the_connection() -> Generator[None]:
    """End the bot when a socket cannot be opened, instead of trying again."""
    run = ConnectionActor.run

    async def once(self: ConnectionActor, news: MemoryObjectSendStream[ConnectionEvent], **more: object) -> None:
        connect = self._connect

        @asynccontextmanager
        async def dialled() -> AsyncGenerator[object]:
            try:
                async with connect() as spoken:
                    yield spoken
            except ConnectionLost as lost:
                raise RuntimeError(str(lost)) from lost

        self._connect = dialled  # pyright: ignore[reportAttributeAccessIssue]
        await run(self, news, **more)  # pyright: ignore[reportArgumentType]

    with patch.object(ConnectionActor, "run", once), patch("app.actors.connection.log_failure", raised):
        yield


@contextmanager
def a_malformed_answer_is_an_error_of_ours() -> Generator[None]:
    """Accept a frame that cannot be decoded."""

    def read(self: ComfyClient, answer: object, shape: type[object]) -> object:
        return msgspec.json.decode(answer.content, type=shape)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]

    with patch.object(ComfyClient, "_read", read):
        yield


@contextmanager
def a_slow_answer_is_waited_for() -> Generator[None]:
    """Read an answer for as long as anything comes."""

    def too_slow(self: Pace, now: float, added: int) -> bool:
        del self, now, added
        return False

    forever = patch("app.comfy.client.ANSWER_SECONDS", float("inf"))
    with forever, patch("app.comfy.client.RESULT_SECONDS", float("inf")), patch.object(Pace, "is_too_slow", too_slow):
        yield


@contextmanager
def a_button_belongs_to_the_first_person() -> Generator[None]:
    """Give what **Again** makes to the first person, not to the one who pressed it."""
    begin = LiveMessages.begin

    def begun(self: LiveMessages, request: JobRequest, caller: Caller, *, spoiler: bool) -> None:
        begin(self, replace(request, owner="0"), caller, spoiler=spoiler)

    with patch.object(LiveMessages, "begin", begun):
        yield


@contextmanager
def a_button_of_an_earlier_life_breaks_the_dispatcher() -> Generator[None]:
    """Let the dispatcher find only jobs that are still shown."""

    async def living(self: JobActions, told: str) -> Job:
        if JobId(told) not in self._living:
            raise KeyError(told)
        job = await self._job_history.find(told)
        assert job is not None
        return job

    with patch.object(JobActions, "find", living):
        yield


@contextmanager
def a_retry_keeps_the_old_id() -> Generator[None]:
    """Let **Retry** submit the same job again."""

    async def retry(_: JobFactory, job: Job, person: Person) -> JobRequest:
        del person
        return job.request

    with patch.object(JobFactory, "retry", retry):
        yield


@contextmanager
def an_operator_is_not_heard() -> Generator[None]:
    """Never read the requests in the journal."""

    async def run(self: OperatorActor) -> None:
        await anyio.sleep_forever()

    with patch.object(OperatorActor, "run", run):
        yield


@contextmanager
def a_stop_waits_for_discord() -> Generator[None]:
    """Set no limit for the farewell messages."""
    with patch("app.discord.messages.live_messages.FAREWELL_TIME", 3600.0), patch("app.application.GRACE", 3600.0):
        yield


@contextmanager
def an_exception_leaves_a_look_open() -> Generator[None]:
    """Never end a query that raised, so that no other one starts."""

    def query_failed(self: Reconciler, server: ServerName, reason: str, now: float) -> None:
        pass

    with patch.object(Reconciler, "query_failed", query_failed):
        yield


@contextmanager
def a_full_disk_ends_the_bot() -> Generator[None]:
    """Do not wait while the journal cannot be written."""

    async def once(pauses: Pauses, alerts: Alerts, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
        del pauses, alerts
        return await function(*args)

    with patch("app.journal.access.waiting.wait_out", once):
        yield


@contextmanager
def a_damaged_journal_is_an_error_of_ours() -> Generator[None]:
    """Raise the journal's errors as unexpected exceptions."""
    record = SqliteJournal.record

    async def recorded(
        self: SqliteJournal,
        jobs: Sequence[Job],
        transitions: Sequence[Transition],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> None:
        try:
            await record(self, jobs, transitions, runs, served)
        except JournalError as error:
            raise RuntimeError(str(error)) from error

    with patch.object(SqliteJournal, "record", recorded):
        yield


@contextmanager
def jobs_stay_with_a_dead_server() -> Generator[None]:
    """Never move a job to another server."""

    def stay(self: Failover, server_state: ServerState, now: float) -> None:
        del server_state, now

    with patch.object(Failover, "move", stay):
        yield


@contextmanager
def a_removed_server_keeps_its_jobs() -> Generator[None]:
    """Let a job wait for a server that is no longer configured."""

    def adopt(self: Reconciler, job: Job, now: float) -> None:
        if job.attempt is None or job.attempt.server in self.servers:
            loading.adopt(self._job_table, job, now)
        else:
            self._job_table.jobs[job.id] = job

    with patch.object(Reconciler, "adopt", adopt):
        yield


@contextmanager
def a_cancel_waits_for_the_server() -> Generator[None]:
    """Cancel a job only once its server confirms it."""
    with patch("app.core.jobs.table.CANCEL_PATIENCE", float("inf")):
        yield


@contextmanager
def what_was_given_up_is_forgotten() -> Generator[None]:
    """Do not cancel a prompt that is given up."""

    def leave(self: JobTable, job: Job) -> None:
        del job

    with patch.object(JobTable, "_leave", leave):
        yield


@contextmanager
def a_history_is_read_for_ever() -> Generator[None]:
    """Read a history that cannot be read again without a limit."""
    reads_again = Queries._reads_again

    def always(self: Queries, attempt: Attempt, server_state: ServerState, now: float) -> bool:
        attempt.unread = 0
        return reads_again(self, attempt, server_state, now)

    with patch.object(Queries, "_reads_again", always):
        yield


@contextmanager
def an_unreadable_history_is_that_of_the_server() -> Generator[None]:
    """Treat a server as away if it cannot read one history."""
    query = EffectRunner._query

    async def asked(self: EffectRunner, effect: QueryServer) -> EffectResult:
        answer = await query(self, effect)
        if isinstance(answer, ServerQueried) and answer.unread:
            return Unreachable(effect, ServerError(500))
        return answer

    with patch.object(EffectRunner, "_query", asked):
        yield


@contextmanager
def a_file_is_tried_for_ever() -> Generator[None]:
    """Try a download without a limit and without a pause."""

    def failed(self: Downloads, effect: FetchFile, now: float, *, counts: bool) -> bool:
        del effect, now, counts
        return True

    with patch.object(Downloads, "failed", failed):
        yield


@contextmanager
def a_full_disk_loses_results() -> Generator[None]:
    """Give up a result for which the disk has no room."""
    with patch("app.actors.effect_runner.FULL", frozenset[int]()):
        yield


@contextmanager
def jobs_are_sent_although_results_wait_for_room() -> Generator[None]:
    """Do not look whether the disk has room for results."""
    with patch.object(Line, "has_room", property(lambda _: True, lambda _, __: None), create=True):  # pyright: ignore[reportUnknownLambdaType]
        yield


@contextmanager
def people_read_a_start_that_nobody_knows() -> Generator[None]:
    """Show the expected start although all servers are away."""
    with patch("app.core.scheduling.line.line.TIMELESS", ()):
        yield


@contextmanager
def people_read_a_time_that_is_over() -> Generator[None]:
    """Show expected times a minute too early, and do not look at the clock before."""

    def expect(self: JobView, now: float, seconds: float | None) -> None:
        self.expected = round(now + seconds - 60.0) if seconds else None

    def drop(self: MessageReply) -> None:
        del self

    with patch.object(JobView, "_expect", expect), patch.object(MessageReply, "_drop_past_time", drop):
        yield


@contextmanager
def people_read_that_a_server_is_offline_that_answers() -> Generator[None]:
    """Take every server as away."""
    with patch.object(ServerState, "away", property(lambda _: True)):  # pyright: ignore[reportUnknownLambdaType]
        yield


@contextmanager
def people_read_that_a_job_runs_that_waits() -> Generator[None]:
    """Show progress as soon as a job is in line."""
    handle = JobView.handle

    def handled(self: JobView, update: AnyUpdate, now: float) -> None:
        handle(self, update, now)
        if isinstance(update, Queued):
            handle(self, Progressed(job=self.job, fraction=0.1), now)

    with patch.object(JobView, "handle", handled):
        yield


@contextmanager
def more_pictures_than_one_message_takes_are_left_out() -> Generator[None]:
    """Send only the first message of a result."""
    send = Delivery._send

    async def first(self: Delivery, cards: Sequence[Card]) -> str:
        return await send(self, cards[:1])

    with patch.object(Delivery, "_send", first):
        yield


@contextmanager
def a_deleted_message_is_final() -> Generator[None]:
    """Never edit a message again of which Discord said once that it does not know it."""
    by_message = Delivery._by_message

    async def edit(self: Delivery, card: Card, page: int) -> Seen | None:
        return None if self._location.place.deleted else await by_message(self, card, page)

    with patch.object(Delivery, "_by_message", edit):
        yield


@contextmanager
def nobody_remembers_which_message_is_outdated() -> Generator[None]:
    """Say where a result is only in the life of the bot that moved it."""
    move = MessageLocation._move

    async def moved(self: MessageLocation, place: MessageRef) -> None:
        await move(self, replace(place, outdated=None))
        self.place = place

    with patch.object(MessageLocation, "_move", moved):
        yield


@contextmanager
def every_refusal_means_that_discord_is_away() -> Generator[None]:
    """Try a refused result again at the same place, instead of at another one."""
    by_first_route = Delivery._by_first_route

    async def one(self: Delivery, card: Card, routes: Sequence[Route], page: int = 0) -> Seen:
        try:
            return await by_first_route(self, card, routes[:2] if not page else routes, page)
        except RefusedEverywhere:
            raise Away("Discord does not answer.") from None

    with patch.object(Delivery, "_by_first_route", one):
        yield


@contextmanager
def a_message_waits_for_those_of_others() -> Generator[None]:
    """Edit one message after the other, whosever they are."""
    show, editor = MessageReply.show, list[anyio.Lock]()

    async def after_others(self: MessageReply, update: AnyUpdate) -> None:
        if not editor:
            editor.append(anyio.Lock())
        async with editor[0]:
            await show(self, update)

    with patch.object(MessageReply, "show", after_others):
        yield


@contextmanager
def a_drained_server_gets_new_jobs() -> Generator[None]:
    """Send jobs to a server although it is drained."""
    with patch.object(ServerState, "takes_jobs", property(lambda self: self.reachable and not self.leaving)):  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType]
        yield


@contextmanager
def nobody_hears_of_a_drain() -> Generator[None]:
    """Read the drained servers only when the bot starts."""

    async def drain(self: OperatorActor) -> None:
        del self

    with patch.object(OperatorActor, "_drain", drain):
        yield


@contextmanager
def a_drained_server_is_never_resumed() -> Generator[None]:
    """Add to the drained servers, and take none away."""
    drain, drained = ServerChanges.drain, set[ServerName]()

    def add(self: ServerChanges, servers: Collection[ServerName]) -> None:
        drained.update(servers)
        drain(self, drained)

    with patch.object(ServerChanges, "drain", add):
        yield


@contextmanager
def a_server_that_is_to_be_removed_gets_new_jobs() -> Generator[None]:
    """Send jobs to a server although it is to be removed."""
    with patch.object(ServerState, "takes_jobs", property(lambda self: self.reachable and not self.drained)):  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType]
        yield


@contextmanager
def a_removed_server_is_not_emptied() -> Generator[None]:
    """Forget a server at once, whatever it still has."""

    def vacant(self: ServerChanges, name: ServerName) -> bool:
        del self, name
        return True

    with patch.object(ServerChanges, "vacant", vacant):
        yield


@contextmanager
def the_jobs_of_a_removed_server_are_forgotten() -> Generator[None]:
    """Forget the jobs that wait on a server, instead of letting them wait here again."""

    def move_away(self: JobTable, job: Job, cause: str) -> None:
        del cause
        self.forget(job)

    with patch.object(JobTable, "move_away", move_away):
        yield


@contextmanager
def waiting_jobs_avoid_a_server_that_is_added_again() -> Generator[None]:
    """Take servers away from what was offered first, and add none."""
    offer = ServerChanges.offer

    def narrowed(self: ServerChanges, offered: Offered | None) -> None:
        if offered is not None and (before := self._able.offered) is not None:
            kept = {name: set(able) for name, able in before.items()}
            offered = {name: tuple(set(able) & kept.get(name, set())) for name, able in offered.items()}
        offer(self, offered)

    with patch.object(ServerChanges, "offer", narrowed):
        yield


@contextmanager
def a_server_gets_jobs_before_anybody_has_asked_it() -> Generator[None]:
    """Take every server as able until somebody has said which ones are."""
    of = AbleServers.of

    def every(self: AbleServers, request: JobRequest) -> list[ServerName]:
        return list(self._servers) if self.offered is None else of(self, request)

    with patch.object(AbleServers, "of", every):
        yield


@contextmanager
def the_jobs_of_a_removed_server_go_to_any_other() -> Generator[None]:
    """Take every server as able if those are gone that are."""
    of = AbleServers.of

    def others(self: AbleServers, request: JobRequest) -> list[ServerName]:
        return of(self, request) or [name for name, server_state in self._servers.items() if not server_state.leaving]

    with patch.object(AbleServers, "of", others):
        yield


@contextmanager
def an_edit_is_lost_on_the_way() -> Generator[None]:
    """Show the new values, and run the old graph."""
    edit = Job.edit

    def edited(self: Job, request: JobRequest) -> None:
        edit(self, replace(request, graph=self.request.graph))

    with patch.object(Job, "edit", edited):
        yield


@contextmanager
def an_edit_changes_what_a_server_has() -> Generator[None]:
    """Edit a job in whatever state it is."""

    def edit(table: JobTable, job: Job, request: JobRequest) -> bool:
        job.edit(request)
        table.note(job, "edited by its owner")
        table.updates.append(editing.edited_update(job))
        return True

    with patch.object(editing, "edit", edit):
        yield


@contextmanager
def an_edit_is_not_recorded() -> Generator[None]:
    """Edit a job in memory only, so that the next life knows the old one."""

    def edit(table: JobTable, job: Job, request: JobRequest) -> bool:
        if job.state is not State.ACCEPTED or job.terminal_update is not None or job.leftovers:
            return False
        job.edit(request)
        table.touch(job)
        table.updates.append(editing.edited_update(job))
        return True

    with patch.object(editing, "edit", edit):
        yield


@contextmanager
def an_edit_that_comes_too_late_is_not_refused() -> Generator[None]:
    """Say nothing to somebody whose job was sent meanwhile."""
    edit = Registry.edit

    async def edited(self: Registry, job: JobId, request: JobRequest) -> EditAnswer:
        await edit(self, job, request)
        return EditAnswer(done=True)

    with patch.object(Registry, "edit", edited):
        yield


@contextmanager
def every_picture_of_a_batch_has_the_same_seed() -> Generator[None]:
    """Make the first picture of a batch again and again."""
    part = batches._part

    def same(request: JobRequest, batch: Batch, number: int) -> JobRequest:
        return replace(part(request, batch, number), graph=request.graph)

    with patch.object(batches, "_part", same):
        yield


@contextmanager
def a_cancel_gives_up_what_was_made() -> Generator[None]:
    """End a batch as cancelled if one of its jobs was."""
    combined = batches.combined

    def given_up(lead: Job, members: list[Job]) -> TerminalUpdate:
        if any(isinstance(job.terminal_update, Cancelled) for job in members):
            return Cancelled(job=lead.id)
        return combined(lead, members)

    with patch("app.core.jobs.table.combined", given_up):
        yield


@contextmanager
def a_batch_is_forgotten_by_a_restart() -> Generator[None]:
    """Take each unfinished job of the journal as one of its own."""
    add = Batches.add

    def alone(self: Batches, requests: Iterable[JobRequest]) -> None:
        add(self, requests if isinstance(requests, list) else [each for each in requests if not each.lead])

    with patch.object(Batches, "add", alone):
        yield


@contextmanager
def a_batch_is_over_with_one_picture() -> Generator[None]:
    """Show how a batch ended as soon as its first job has."""

    def complete(self: Batches, lead: Job) -> bool:
        del self
        return lead.terminal_update is not None

    with patch.object(Batches, "complete", complete):
        yield


@contextmanager
def people_read_of_prompts_of_others_that_are_gone() -> Generator[None]:
    """Count the prompts of other clients, and never that they become fewer."""
    count_foreign = ServerState.count_foreign

    def most(self: ServerState, ours: int) -> bool:
        before = self.foreign
        changed = count_foreign(self, ours)
        self.foreign = max(before, self.foreign)
        return changed

    with patch.object(ServerState, "count_foreign", most):
        yield


def each(change: Broken, says: str, *kinds: Kind | tuple[Kind, ...], first: int = QUICK) -> Iterator[Mutation]:
    """The same change once for each fault that must find it."""
    for kind in kinds:
        yield Mutation(change, says, kind if isinstance(kind, tuple) else (kind,), first=first)


MUTATIONS = (
    Mutation(
        a_second_post_is_believed_to_show_what_it_says,
        "was told",
        ("message_deleted", "board_forgets", "operator_cancel"),
        ("started", "ended", "shown"),
        first=19,
    ),
    Mutation(everybody_gets_the_previous_persons_file, NOT_OWN),
    Mutation(downloads_are_swapped, NOT_OWN),
    Mutation(previews_reach_the_wrong_person, "with a preview of somebody else", first=21),
    Mutation(streamed_pictures_are_cut, NOT_OWN, first=9),
    *each(
        an_effects_exception_ends_the_registry,
        BY_ITSELF,
        "break_post",
        "break_fetch",
        "break_keep",
        "break_look",
        ("break_withdraw", "press_cancel"),
    ),
    *each(an_answers_exception_ends_the_registry, BY_ITSELF, "break_ticket", "break_entry", "break_signal"),
    *each(an_exception_fails_every_job_of_a_server, "went wrong with another job", "break_history", "break_post"),
    Mutation(an_exception_leaves_a_look_open, "not everything has ended", ("break_look",), first=17),
    *each(a_wrong_frame_ends_the_bot, BY_ITSELF, "wrong_frames", "garbage"),
    *each(a_lost_socket_ends_the_connection, BY_ITSELF, "mute", "stranger", "hang_up", "send_fails"),
    Mutation(a_malformed_answer_is_an_error_of_ours, "went wrong with another job", ("malformed",), first=10),
    Mutation(a_slow_answer_is_waited_for, "not everything has ended", ("malformed",), first=38),
    *each(a_button_belongs_to_the_first_person, " of 0", "press_again", "press_vary", "press_retry"),
    *each(a_button_of_an_earlier_life_breaks_the_dispatcher, "the dispatcher broke", "press_delete", "press_cancel"),
    Mutation(a_retry_keeps_the_old_id, "went back", ("press_retry",)),
    *each(an_operator_is_not_heard, "an operator asked", "operator_cancel", "operator_retry"),
    Mutation(a_stop_waits_for_discord, "a stop took", ("rate_limit", "stop")),
    *each(a_full_disk_ends_the_bot, BY_ITSELF, "disk_full", "journal_locked"),
    Mutation(a_damaged_journal_is_an_error_of_ours, BY_ITSELF, ("journal_damaged",)),
    Mutation(jobs_stay_with_a_dead_server, "which does not come back", ("die",), pair=True),
    Mutation(a_removed_server_keeps_its_jobs, "was accepted, and ended", ("removed",), first=2, pair=True),
    Mutation(a_cancel_waits_for_the_server, "its end was not known", ("long_outage", "press_cancel"), pair=True),
    Mutation(
        what_was_given_up_is_forgotten, "nobody waits for it", ("long_outage", "press_cancel"), first=38, pair=True
    ),
    *each(a_history_is_read_for_ever, "not everything has ended", "unread_history", first=3),
    *each(an_unreadable_history_is_that_of_the_server, "not everything has ended", "unread_history", first=13),
    *each(a_file_is_tried_for_ever, "was fetched", "cut_short", first=3),
    Mutation(
        jobs_are_sent_although_results_wait_for_room, "although results wait for room", ("results_full",), seconds=60.0
    ),
    Mutation(people_read_a_start_that_nobody_knows, "that nobody knows", ("refuse",), seconds=60.0),
    Mutation(people_read_a_time_that_is_over, "s ago"),
    Mutation(people_read_that_a_server_is_offline_that_answers, "is said to be offline", ("expire_tokens",)),
    Mutation(people_read_that_a_job_runs_that_waits, "is said to run"),
    Mutation(people_read_of_prompts_of_others_that_are_gone, "prompts of others", ("others",)),
    Mutation(more_pictures_than_one_message_takes_are_left_out, "more messages"),
    Mutation(a_deleted_message_is_final, "says in the end", ("odd_answers", "odd_answers", "kill"), first=41),
    Mutation(
        nobody_remembers_which_message_is_outdated,
        "says in the end",
        ("pictures_refused", "discord_slow", "kill"),
        first=166,
        seconds=30.0,
    ),
    Mutation(every_refusal_means_that_discord_is_away, "not everything has ended", ("channel_removed",)),
    Mutation(a_message_waits_for_those_of_others, "nothing of its own hung", ("discord_hangs",), first=8),
    *each(a_full_disk_loses_results, "was delivered with", "results_full", first=3),
    Mutation(a_drained_server_gets_new_jobs, "which is drained", ("drain_server",), pair=True, seconds=60.0),
    Mutation(nobody_hears_of_a_drain, "does not know it", ("drain_all",), seconds=60.0),
    Mutation(a_drained_server_is_never_resumed, "has a place", ("drain_server",), pair=True, seconds=20.0),
    Mutation(
        a_server_that_is_to_be_removed_gets_new_jobs,
        "to be removed",
        ("remove_server",),
        first=0,
        pair=True,
        seconds=20.0,
    ),
    Mutation(a_removed_server_is_not_emptied, "was removed although", ("remove_server",), pair=True),
    Mutation(the_jobs_of_a_removed_server_are_forgotten, "not everything has ended"),
    Mutation(
        waiting_jobs_avoid_a_server_that_is_added_again,
        "has a place",
        ("remove_server",),
        first=8,
        pair=True,
        seconds=60.0,
    ),
    Mutation(a_server_gets_jobs_before_anybody_has_asked_it, "can run it", ("kill", "remove_all"), first=24),
    Mutation(the_jobs_of_a_removed_server_go_to_any_other, "can run it", ("remove_server",), seconds=20.0),
    Mutation(every_picture_of_a_batch_has_the_same_seed, "makes another picture", ("expire_tokens",), count=3),
    Mutation(
        a_cancel_gives_up_what_was_made, "pictures that were made", ("press_cancel",), ("ended",), first=7, count=6
    ),
    Mutation(a_batch_is_forgotten_by_a_restart, "not everything has ended", ("kill",), count=3),
    Mutation(a_batch_is_over_with_one_picture, "is not that of", ("expire_tokens",), count=3),
    Mutation(an_edit_is_lost_on_the_way, "as it was edited last", ("press_edit",)),
    Mutation(
        an_edit_changes_what_a_server_has,
        "a picture that is not of",
        ("press_edit", "press_edit"),
        ("post", "taken"),
        first=16,
    ),
    Mutation(an_edit_is_not_recorded, "as it was edited last", ("press_edit", "kill"), ("shown", "ended"), first=18),
    Mutation(
        an_edit_that_comes_too_late_is_not_refused, "came too late", ("press_edit", "press_edit"), ("post", "taken")
    ),
)
