"""The truth rules, without any I/O: messages in; what is told, remembered and done comes out."""

from __future__ import annotations

from typing import TypeVar

import pytest
from msgspec.structs import replace

from app.core.alerts import Cause, Cleared, Happened, Raised
from app.core.effects import (
    CancelPrompt,
    DiscardFiles,
    Effect,
    EffectFailed,
    FetchFile,
    FetchInterrupted,
    FileFetched,
    HistoryRead,
    ImageSaved,
    PromptCancelled,
    PromptRefused,
    PromptSubmitted,
    QueryServer,
    ReadHistory,
    Reconnect,
    SaveImage,
    SaveInterrupted,
    ServerQueried,
    SubmitPrompt,
    SubmitUncertain,
    Tick,
    Unreachable,
)
from app.core.jobs import downloads
from app.core.jobs.ending import MOST_TRIES
from app.core.jobs.job import Job, JobRequest, Refetch, State
from app.core.jobs.loading import adopt
from app.core.jobs.table import CANCEL_PATIENCE, JobTable
from app.core.reconciler import Message, Reconciler
from app.core.scheduling.scheduler import Scheduler
from app.core.servers.changes import ServerChanges
from app.core.servers.rest import FIRST_REST
from app.core.servers.state import FAILOVER_AFTER, RECHECK, SILENCE, ServerSettings
from app.events import (
    AnyUpdate,
    Cancelled,
    Connected,
    ExecutionBlocked,
    ExecutionEnded,
    ExecutionStarted,
    Failed,
    FileRef,
    Finished,
    FrameReceived,
    ImageStreamed,
    JobId,
    Lost,
    NodeFinished,
    NodeId,
    NodeOutput,
    NodeStarted,
    NodeStepped,
    Previewed,
    Progressed,
    PromptId,
    QueueChanged,
    Queued,
    ServerEvent,
    ServerName,
    Started,
)
from app.ports import Graph, History, Queue, Ticket
from app.reasons.alerts import DiskFull, ResultsGivenUp
from app.reasons.jobs import (
    ForgottenByServer,
    HistoryUnreadable,
    InternalError,
    NeverKept,
    NodeBlocked,
    NodeFailed,
    NoProgress,
    NoRoom,
    NothingChanged,
    NothingProduced,
    PictureMissed,
    PromptIdRepeated,
    ResultsMissing,
    ResultUnwritable,
    ServersOffline,
    StoppedOnServer,
    TooManyResults,
)
from app.reasons.limits import NoRoomForResults
from app.reasons.servers import (
    CutShort,
    HungUp,
    LinkBroken,
    NoOutput,
    PartDropped,
    RefusedConnection,
    ResultGone,
    ServerError,
    ServerReason,
)

WRONG = InternalError("00c0ffee")
DROPPED = PartDropped((LinkBroken("Second"),))
HERE = ServerName("here")
PNG = FileRef("a_00001_.png")
GRAPH: Graph = {
    "3": {"class_type": "KSampler", "inputs": {"steps": 10}, "_meta": {"title": "Sampler"}},
    "9": {"class_type": "SaveImage", "inputs": {}},
}
STREAMING: Graph = {"7": {"class_type": "SaveImageWebsocket", "inputs": {}}}
E = TypeVar("E", bound=Effect)


class Desk:
    """A ledger with everything around it that decides, and a clock that is turned by hand."""

    def __init__(self, depth: int = 2, servers: tuple[ServerName, ...] = (HERE,)) -> None:
        self.job_table = JobTable()
        self.truth = Reconciler(self.job_table, dict.fromkeys(servers, ServerSettings()))
        self.server_changes = ServerChanges(self.job_table, self.truth.servers, self.truth.able)
        self._minted = 0
        self.scheduler = Scheduler(self.job_table, self.truth.servers, self.truth.able, depth, self._new_prompt_id)
        self.now = 100.0
        self.told: list[AnyUpdate] = []
        self.errands: list[Effect] = []

    def _new_prompt_id(self) -> PromptId:
        self._minted += 1
        return PromptId(f"p{self._minted}")

    def settle(self) -> None:
        self.scheduler.plan(self.now)
        self.truth.start_downloads(self.now)
        self.job_table.changed.clear()
        self.told += self.job_table.updates
        self.errands += self.job_table.effects
        self.job_table.updates.clear()
        self.job_table.effects.clear()

    def request(self, name: str, graph: Graph = GRAPH) -> Job:
        self.job_table.accept(JobRequest(job=JobId(name), workflow="w", graph=graph, folder="out"))
        self.settle()
        job = self.job_table.jobs[JobId(name)]
        if not any(update.job == job.id for update in self.told):
            self.told += self.scheduler.line.snapshot(job, self.now)
        return job

    def handle(self, *messages: Message | ServerEvent) -> None:
        for message in messages:
            heard = FrameReceived(HERE, message) if isinstance(message, ServerEvent) else message
            self.truth.handle(heard, self.now)
        self.settle()

    def take(self, kind: type[E]) -> E:
        """The oldest errand of a kind that nobody has done yet."""
        effect = next(effect for effect in self.errands if isinstance(effect, kind))
        self.errands.remove(effect)
        return effect

    def none(self, kind: type[Effect]) -> bool:
        return not any(isinstance(effect, kind) for effect in self.errands)

    def up(self, server: ServerName = HERE) -> None:
        self.handle(Connected(server))
        self.look(server=server)

    def away(self, server: ServerName = HERE) -> None:
        """The query that is due finds nobody."""
        self.now += SILENCE
        self.handle(Tick())
        self.handle(Unreachable(self.take_look(server), RefusedConnection()))

    def look(
        self,
        running: tuple[str, ...] = (),
        pending: tuple[str, ...] = (),
        ended: dict[str, History] | None = None,
        server: ServerName = HERE,
    ) -> None:
        """Do the look that is asked for, and find this."""
        queue = Queue(tuple(map(PromptId, running)), tuple(map(PromptId, pending)))
        found = {PromptId(prompt): history for prompt, history in (ended or {}).items()}
        self.handle(ServerQueried(self.take_look(server), queue, found))

    def take_look(self, server: ServerName) -> QueryServer:
        """The oldest look at this server that nobody has done yet."""
        look = next(effect for effect in self.errands if isinstance(effect, QueryServer) and effect.server == server)
        self.errands.remove(look)
        return look

    def posted(self) -> PromptId:
        post = self.take(SubmitPrompt)
        self.handle(QueueChanged(remaining=1), PromptSubmitted(post, Ticket(post.prompt)))
        return post.prompt

    def running(self, name: str = "job") -> tuple[Job, PromptId]:
        self.up()
        job = self.request(name)
        prompt = self.posted()
        self.handle(ExecutionStarted(prompt=prompt))
        return job, prompt

    def last(self, kind: type[AnyUpdate]) -> AnyUpdate:
        return [update for update in self.told if isinstance(update, kind)][-1]


def success(*files: FileRef) -> History:
    return History("success", (NodeOutput(NodeId("9"), files),))


def test_a_job_goes_from_the_request_to_the_file() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    assert [type(update) for update in desk.told] == [Queued, Started, Finished]
    assert desk.last(Finished) == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_nothing_is_posted_before_the_server_was_reached() -> None:
    desk = Desk()
    desk.request("job")
    assert desk.none(SubmitPrompt)
    assert desk.last(Queued) == Queued(job=JobId("job"), position=0)
    desk.up()
    assert desk.take(SubmitPrompt).job == "job"


def test_a_file_is_fetched_as_soon_as_its_node_names_it_and_only_once() -> None:
    desk = Desk()
    _, prompt = desk.running()
    named = NodeFinished(prompt=prompt, output=NodeOutput(NodeId("9"), (PNG, FileRef("t.png", "", "temp"))))
    desk.handle(named, named)
    desk.handle(FileFetched(desk.take(FetchFile)))
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    assert desk.none(FetchFile)
    assert isinstance(desk.told[-1], Finished)


def test_what_is_only_previewed_is_the_result_if_nothing_is_saved() -> None:
    desk = Desk()
    _, prompt = desk.running()
    shown = FileRef("shown.png", "", "temp")
    desk.handle(NodeFinished(prompt=prompt, output=NodeOutput(NodeId("8"), (shown,))))
    assert desk.none(FetchFile), "a node that saves may follow"
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(shown)))
    fetch = desk.take(FetchFile)
    assert fetch.file == shown
    desk.handle(FileFetched(fetch))
    assert desk.last(Finished) == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_what_is_previewed_is_no_result_of_a_run_that_failed() -> None:
    desk = Desk()
    _, prompt = desk.running()
    history = History("failed", (NodeOutput(NodeId("8"), (FileRef("shown.png", "", "temp"),)),), error="boom")
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), history))
    assert desk.none(FetchFile)
    assert desk.last(Failed) == Failed(job=JobId("job"), reason=NodeFailed("", "boom", ""))


def test_a_prefetched_file_that_history_does_not_know_is_no_result() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(NodeFinished(prompt=prompt, output=NodeOutput(NodeId("9"), (PNG,))))
    desk.handle(FileFetched(desk.take(FetchFile)), ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success()))
    assert desk.last(Finished) == Finished(job=JobId("job"), server=HERE, notes=(NothingProduced(),))


def test_a_job_that_waited_on_a_server_that_forgot_it_is_sent_again_under_a_new_id() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    first = desk.posted()
    desk.handle(Connected(HERE))
    desk.look()
    second = desk.take(SubmitPrompt).prompt
    assert first != second
    assert job.state is State.SUBMITTING
    assert not any(isinstance(update, Lost) for update in desk.told)


def test_a_job_that_was_running_is_sent_again_once_and_then_lost_and_told() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(Connected(HERE))
    desk.look()
    desk.handle(ExecutionStarted(prompt=(second := desk.posted())))
    assert second != prompt
    desk.handle(Connected(HERE))
    desk.look()
    assert desk.last(Lost) == Lost(job=JobId("job"), reason=ForgottenByServer("here", 2))
    assert desk.none(SubmitPrompt)


def test_two_readings_of_the_same_gone_act_once() -> None:
    desk = Desk()
    _, prompt = desk.running()
    stale = QueryServer(HERE, {prompt: desk.job_table.jobs[JobId("job")].version})
    desk.handle(ServerQueried(stale, Queue(), {}), ServerQueried(stale, Queue(), {}))
    assert desk.take(SubmitPrompt).prompt == "p2"
    assert desk.none(SubmitPrompt)


def test_a_reading_from_before_a_transition_changes_nothing() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    prompt = desk.posted()
    stale = QueryServer(HERE, {prompt: job.version})
    desk.handle(ExecutionStarted(prompt=prompt))
    desk.handle(ServerQueried(stale, Queue(), {}))
    assert job.state is State.RUNNING
    assert desk.none(SubmitPrompt)


def test_frames_of_an_attempt_that_was_given_up_are_ignored() -> None:
    desk = Desk()
    job, old = desk.running()
    desk.handle(Connected(HERE))
    desk.look()
    desk.handle(ExecutionStarted(prompt=old), ExecutionEnded(prompt=old))
    assert job.state is State.SUBMITTING
    assert desk.none(ReadHistory)


def test_a_lower_rank_loses_so_that_the_answer_to_a_post_may_come_late() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    post = desk.take(SubmitPrompt)
    desk.handle(ExecutionStarted(prompt=post.prompt))
    desk.handle(PromptSubmitted(post, Ticket(post.prompt)))
    assert job.state is State.RUNNING


@pytest.mark.parametrize("answer", ["taken", "500", "lost"])
def test_the_next_job_leaves_also_where_a_start_overtook_the_answer_to_its_post(answer: str) -> None:
    desk = Desk()
    desk.up()
    desk.request("first")
    desk.request("second")
    post = desk.take(SubmitPrompt)
    desk.handle(QueueChanged(remaining=1), ExecutionStarted(prompt=post.prompt))
    assert desk.none(SubmitPrompt)
    if answer == "taken":
        desk.handle(PromptSubmitted(post, Ticket(post.prompt)))
    else:
        desk.handle(
            PromptRefused(post, ServerError(500), certain=False) if answer == "500" else SubmitUncertain(post, HungUp())
        )
        desk.look(running=(post.prompt,))
    assert desk.take(SubmitPrompt).job == "second"


def test_a_missed_start_is_made_good_by_any_later_frame() -> None:
    desk = Desk()
    desk.up()
    desk.request("job")
    desk.handle(NodeStarted(prompt=desk.posted(), node=NodeId("3"), display=NodeId("3")))
    assert Started(job=JobId("job"), server=HERE) in desk.told


@pytest.mark.parametrize("where", ["running", "pending", "history", "nowhere"])
def test_a_post_whose_answer_was_lost_is_looked_for_before_it_is_sent_again(where: str) -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    post = desk.take(SubmitPrompt)
    desk.handle(SubmitUncertain(post, HungUp()))
    assert desk.none(SubmitPrompt)
    if where == "running":
        desk.look(running=("p1",))
        assert job.state is State.RUNNING
    elif where == "pending":
        desk.look(pending=("p1",))
        assert job.state is State.QUEUED
    elif where == "history":
        desk.look(ended={"p1": success()})
        assert isinstance(desk.told[-1], Finished)
    else:
        desk.look()
        assert desk.take(SubmitPrompt).prompt == "p2"


def test_a_500_is_looked_into_and_three_of_them_are_an_answer() -> None:
    desk = Desk()
    desk.up()
    desk.request("job")
    for _ in range(3):
        desk.handle(PromptRefused(desk.take(SubmitPrompt), ServerError(500), certain=False))
        desk.look()
    assert desk.last(Failed) == Failed(job=JobId("job"), reason=ServerError(500))
    assert desk.none(SubmitPrompt)


def test_a_server_that_says_no_fails_the_job_with_its_reason() -> None:
    desk = Desk()
    desk.up()
    desk.request("job")
    desk.handle(PromptRefused(desk.take(SubmitPrompt), NoOutput(), certain=True))
    assert desk.last(Failed) == Failed(job=JobId("job"), reason=NoOutput())


def test_a_cancelled_job_that_lies_with_us_is_gone_at_once() -> None:
    desk = Desk(depth=1)
    desk.running("first")
    second = desk.request("second")
    desk.job_table.cancel(second, desk.now)
    desk.settle()
    assert desk.told[-1] == Cancelled(job=JobId("second"))
    assert desk.none(CancelPrompt)


def test_a_cancelled_job_on_the_server_is_withdrawn_and_confirmed_by_what_happens_next() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    prompt = desk.posted()
    desk.job_table.cancel(job, desk.now)
    desk.settle()
    withdraw = desk.take(CancelPrompt)
    assert withdraw.prompt == prompt
    desk.handle(PromptCancelled(withdraw, acknowledged=True))
    assert not any(isinstance(update, Cancelled) for update in desk.told)
    desk.look()
    assert desk.told[-1] == Cancelled(job=JobId("job"))
    assert desk.none(SubmitPrompt)


def test_a_cancel_that_comes_during_the_post_is_sent_after_it() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    desk.job_table.cancel(job, desk.now)
    desk.settle()
    assert desk.none(CancelPrompt)
    desk.posted()
    assert desk.take(CancelPrompt).prompt == "p1"


def test_a_cancel_that_the_server_did_not_hear_is_sent_again() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.job_table.cancel(job, desk.now)
    desk.settle()
    desk.handle(PromptCancelled(desk.take(CancelPrompt), acknowledged=False))
    assert desk.none(QueryServer), "a server that refuses is not asked again and again at once"
    desk.now = desk.truth.due()
    desk.handle(Tick())
    desk.look(running=(prompt,))
    assert desk.take(CancelPrompt).prompt == prompt


@pytest.mark.parametrize("fetched", [False, True])
def test_a_cancel_that_comes_after_the_end_counts_until_the_terminal_update_was_seen(fetched: bool) -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    fetch = desk.take(FetchFile)
    if fetched:
        desk.handle(FileFetched(fetch))
    desk.job_table.cancel(job, desk.now)
    desk.settle()
    assert desk.told[-1] == Cancelled(job=JobId("job"))
    if not fetched:
        desk.handle(FileFetched(fetch))
    assert desk.none(CancelPrompt), "there is nothing left to stop"
    assert desk.told[-1] == job.terminal_update == Cancelled(job=JobId("job"))
    desk.job_table.delivered(job)
    desk.job_table.cancel(job, desk.now)
    assert not desk.job_table.jobs


def test_a_job_that_its_server_does_not_confirm_to_have_dropped_is_cancelled_all_the_same() -> None:
    desk = Desk(depth=1)
    job, prompt = desk.running("first")
    desk.request("second")
    desk.job_table.cancel(job, desk.now)
    desk.settle()
    desk.handle(PromptCancelled(desk.take(CancelPrompt), acknowledged=True))
    desk.look(running=(prompt,))
    assert not any(isinstance(update, Cancelled) for update in desk.told)
    assert desk.truth.due() <= desk.now + CANCEL_PATIENCE
    desk.now += CANCEL_PATIENCE
    desk.handle(Tick())
    assert desk.last(Cancelled) == Cancelled(job=JobId("first"))
    assert desk.none(SubmitPrompt), "the server is still busy with it"
    desk.job_table.delivered(job)
    desk.look(running=(prompt,))
    assert desk.job_table.jobs.keys() == {"first", "second"}, "it is still to be dropped there"
    desk.now += SILENCE
    desk.handle(Tick())
    desk.look()
    assert desk.job_table.jobs.keys() == {"second"}
    assert desk.take(SubmitPrompt).job == "second"


def test_a_job_whose_server_is_away_can_be_cancelled_and_is_dropped_there_when_it_is_back() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.away()
    desk.job_table.cancel(job, desk.now)
    desk.settle()
    desk.handle(PromptCancelled(desk.take(CancelPrompt), acknowledged=False))
    desk.now += CANCEL_PATIENCE
    desk.handle(Tick())
    assert desk.told[-1] == Cancelled(job=JobId("job"))
    desk.look(running=(prompt,))
    assert desk.take(CancelPrompt).prompt == prompt


def test_an_interrupt_by_somebody_else_is_told_as_such() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), History("interrupted")))
    assert desk.told[-1] == Cancelled(job=JobId("job"), reason=StoppedOnServer())


def test_a_failure_names_the_node_and_keeps_what_was_made_before() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    output = (NodeOutput(NodeId("9"), (PNG,)),)
    history = History("failed", output, node="3", error="bad size in /srv/comfy/nodes.py\nmore", error_kind="X")
    desk.handle(HistoryRead(desk.take(ReadHistory), history))
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    told = Failed(job=JobId("job"), reason=NodeFailed("Sampler", "bad size in nodes.py", "X"), files=(fetch.path,))
    assert desk.told[-1] == told


def test_at_most_two_jobs_lie_on_the_server_and_the_next_follows_when_one_ends() -> None:
    desk = Desk(depth=2)
    desk.up()
    for name in "abc":
        desk.request(name)
    first, second = desk.posted(), desk.posted()
    assert desk.none(SubmitPrompt)
    desk.handle(ExecutionStarted(prompt=first), ExecutionEnded(prompt=first))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    assert desk.none(SubmitPrompt), "the server has work, and somebody waits for the file"
    desk.handle(FileFetched(desk.take(FetchFile)))
    assert desk.take(SubmitPrompt).job == "c"
    assert second == "p2"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_server_that_runs_nothing_gets_the_next_job_before_the_files_of_the_last_one_have_arrived(depth: int) -> None:
    desk = Desk(depth=depth)
    desk.up()
    desk.request("a")
    first = desk.posted()
    desk.handle(ExecutionStarted(prompt=first), ExecutionEnded(prompt=first))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    assert desk.take(FetchFile)
    desk.request("b")
    assert desk.take(SubmitPrompt).job == "b"


def test_the_waiting_place_is_filled_when_a_post_is_answered_although_its_job_started_earlier() -> None:
    desk = Desk(depth=2)
    desk.up()
    for name in "ab":
        desk.request(name)
    post = desk.take(SubmitPrompt)
    desk.handle(ExecutionStarted(prompt=post.prompt))
    assert desk.none(SubmitPrompt), "of two concurrent POSTs the later job's may arrive first"
    desk.handle(PromptSubmitted(post, Ticket(post.prompt)))
    assert desk.take(SubmitPrompt).job == "b"


def test_a_position_counts_our_own_and_other_peoples_prompts() -> None:
    desk = Desk(depth=2)
    desk.up()
    desk.handle(QueueChanged(remaining=3))
    for name in "abcd":
        desk.request(name)
    positions = {update.job: update.position for update in desk.told if isinstance(update, Queued)}
    assert positions == {"a": 3, "b": 4, "c": 5, "d": 6}


def test_a_look_says_exactly_how_many_of_the_others_are_ahead() -> None:
    desk = Desk()
    desk.up()
    desk.handle(QueueChanged(remaining=2))
    desk.request("a")
    post = desk.take(SubmitPrompt)
    desk.handle(QueueChanged(remaining=4), PromptSubmitted(post, Ticket(post.prompt)))
    desk.now += 3
    desk.handle(Tick())
    desk.look(running=("x",), pending=("p1", "y", "z"))
    assert desk.last(Queued) == Queued(job=JobId("a"), position=1, server=HERE)


def test_what_a_server_had_before_its_restart_is_not_ahead_of_a_job_that_is_sent_again() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(QueueChanged(remaining=3))
    desk.now += 3
    desk.handle(Tick())
    desk.look()
    again = desk.take(SubmitPrompt)
    assert again.prompt != prompt
    desk.handle(PromptSubmitted(again, Ticket(again.prompt)))
    assert [update.position for update in desk.told if isinstance(update, Queued)] == [0, 0]


def test_silence_is_looked_into_while_jobs_are_in_flight() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.now += 1.9
    desk.handle(Tick())
    assert desk.none(QueryServer)
    desk.now += 0.2
    desk.handle(Tick())
    desk.look(running=(prompt,))
    desk.handle(Tick())
    assert desk.none(QueryServer), "a look is not repeated before the next silence"


def test_an_idle_house_asks_nothing() -> None:
    desk = Desk()
    desk.up()
    desk.now += 60
    desk.handle(Tick())
    assert desk.errands == []


def test_a_running_job_that_says_nothing_for_long_is_told_about_and_goes_on() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.now += 61
    desk.handle(Tick())
    desk.look(running=(prompt,))
    told = desk.last(Progressed)
    assert isinstance(told, Progressed)
    assert told.note == NoProgress("here", 60)
    desk.now += 600
    desk.handle(Tick())
    desk.look(running=(prompt,))
    told = desk.last(Progressed)
    assert isinstance(told, Progressed)
    assert told.note == NoProgress("here", 660, stuck=True)
    assert job.state is State.RUNNING


def test_a_socket_that_says_nothing_of_an_accepted_post_is_replaced() -> None:
    desk = Desk()
    desk.up()
    desk.request("job")
    desk.now += 1
    post = desk.take(SubmitPrompt)
    desk.handle(PromptSubmitted(post, Ticket(post.prompt)))
    desk.now += 4.9
    desk.handle(Tick())
    assert desk.none(Reconnect)
    desk.now += 0.2
    desk.handle(Tick(), Tick())
    desk.take(Reconnect)
    assert desk.none(Reconnect)


def test_a_socket_that_did_not_say_what_a_look_found_is_replaced() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.now += 2.1
    desk.handle(Tick())
    desk.look(ended={prompt: success()})
    assert isinstance(desk.told[-1], Finished), "the job does not wait for the socket"
    desk.now += 0.6
    desk.handle(Tick())
    desk.take(Reconnect)


def test_a_socket_that_was_only_slower_than_a_look_is_kept() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.now += 2.1
    desk.handle(Tick())
    desk.look(ended={prompt: success()})
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.now += 0.6
    desk.handle(Tick())
    assert desk.none(Reconnect)


def test_a_server_that_does_not_answer_is_probed_while_somebody_waits() -> None:
    desk = Desk()
    desk.handle(Connected(HERE))
    desk.handle(Unreachable(desk.take(QueryServer), RefusedConnection()))
    desk.now += 5
    desk.handle(Tick())
    assert desk.none(QueryServer)
    desk.request("job")
    assert desk.last(Queued) == Queued(job=JobId("job"), position=0, note=ServersOffline(("here",)))
    desk.handle(Tick())
    desk.look()
    assert desk.take(SubmitPrompt).job == "job"


def test_who_asks_for_a_look_during_a_look_gets_the_next_one() -> None:
    desk = Desk()
    desk.handle(Connected(HERE), Connected(HERE))
    first = desk.take(QueryServer)
    assert desk.none(QueryServer)
    desk.handle(ServerQueried(first, Queue(), {}))
    desk.take(QueryServer)


def test_an_old_server_that_chooses_its_own_ids_is_followed_under_them() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    post = desk.take(SubmitPrompt)
    desk.handle(PromptSubmitted(post, Ticket(PromptId("theirs"))))
    desk.handle(ExecutionStarted(prompt=PromptId("theirs")))
    assert job.state is State.RUNNING


def test_a_history_that_is_not_there_yet_is_looked_for() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), None))
    desk.take(QueryServer)


def test_what_is_unusual_in_a_good_run_gets_a_sentence_of_its_own() -> None:
    desk = Desk()
    desk.up()
    desk.request("job")
    post = desk.take(SubmitPrompt)
    desk.handle(PromptSubmitted(post, Ticket(post.prompt, (DROPPED,))))
    desk.handle(ExecutionBlocked(prompt=post.prompt, node=NodeId("3"), message="no"))
    desk.handle(ExecutionEnded(prompt=post.prompt))
    history = History("success", (NodeOutput(NodeId("9"), (), ("a cat",)),), cached=frozenset({"3", "9"}))
    desk.handle(HistoryRead(desk.take(ReadHistory), history))
    told = desk.told[-1]
    assert isinstance(told, Finished)
    assert told.texts == ("a cat",)
    assert told.notes == (
        DROPPED,
        NodeBlocked("Sampler"),
        NothingChanged(),
    )


def test_a_file_that_is_gone_from_the_server_is_a_note_and_no_reason_to_hang() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG, FileRef("b.png"))))
    desk.handle(FileFetched(desk.take(FetchFile), ResultGone("a.png")))
    desk.handle(FileFetched(second := desk.take(FetchFile)))
    assert desk.told[-1] == Finished(job=JobId("job"), server=HERE, files=(second.path,), notes=(ResultGone("a.png"),))


def test_a_picture_that_comes_through_the_websocket_is_a_result_and_others_are_previews() -> None:
    desk = Desk()
    desk.up()
    desk.request("job", STREAMING)
    prompt = desk.posted()
    desk.handle(ImageStreamed(prompt=prompt, display=NodeId("3"), image=b"j", media_type="image/jpeg"))
    assert desk.told[-1] == Previewed(job=JobId("job"), image=b"j", media_type="image/jpeg")
    desk.handle(ImageStreamed(prompt=prompt, display=NodeId("7"), image=b"p", media_type="image/png"))
    keep = desk.take(SaveImage)
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), History("success")))
    assert not any(isinstance(update, Finished) for update in desk.told), "the picture is not on the disk yet"
    assert desk.none(SubmitPrompt), "the picture is not lost, so it is not made again"
    desk.handle(ImageSaved(keep))
    assert desk.told[-1] == Finished(job=JobId("job"), server=HERE, files=(keep.path,))
    assert keep.path.endswith(".png")


def test_a_picture_that_was_lost_with_the_websocket_is_made_again_once() -> None:
    desk = Desk()
    desk.up()
    desk.request("job", STREAMING)
    for prompt in ("p1", "p2"):
        assert desk.posted() == prompt
        desk.handle(ExecutionEnded(prompt=PromptId(prompt)))
        desk.handle(HistoryRead(desk.take(ReadHistory), History("success")))
    told = desk.told[-1]
    assert isinstance(told, Finished)
    assert told.notes == (PictureMissed(),)


def test_a_job_that_is_cancelled_is_not_made_again_although_its_picture_was_lost() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job", STREAMING)
    prompt = desk.posted()
    desk.handle(ExecutionStarted(prompt=prompt))
    desk.job_table.cancel(job, desk.now)
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), History("success")))
    assert desk.none(SubmitPrompt)
    assert desk.told[-1] == Cancelled(job=JobId("job"))


def test_a_job_that_is_cancelled_is_not_made_again_although_its_server_was_removed_with_its_results() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.job_table.cancel(job, desk.now)
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    later = Desk(servers=(THERE,))
    later.truth.adopt(job, later.now)
    later.settle()
    later.up(THERE)
    assert later.none(SubmitPrompt)
    assert later.told[-1] == Cancelled(job=JobId("job"))


def test_progress_is_told_and_never_of_a_foreign_prompt() -> None:
    desk = Desk()
    _, prompt = desk.running()
    told = len(desk.told)
    desk.handle(NodeStepped(prompt=PromptId("x"), node=NodeId("3"), value=1, maximum=2))
    assert len(desk.told) == told
    desk.handle(NodeStepped(prompt=prompt, node=NodeId("3"), value=5, maximum=10))
    assert isinstance(progress := desk.told[-1], Progressed)
    assert (progress.node, progress.step, progress.steps) == ("Sampler", 5, 10)
    assert progress.fraction == pytest.approx(5 / 11)


def test_a_job_from_an_earlier_life_is_followed_on() -> None:
    desk = Desk()
    job, prompt = desk.running()
    later = Desk()
    adopt(later.job_table, job, later.now)
    later.handle(Connected(HERE))
    later.look(ended={prompt: success(PNG)})
    later.handle(FileFetched(fetch := later.take(FetchFile)))
    assert later.told[-1] == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_a_running_job_of_an_earlier_life_is_told_of_before_the_websocket_is_there() -> None:
    job, prompt = Desk().running()
    later = Desk()
    adopt(later.job_table, job, later.now)
    assert later.truth.due() <= later.now, "its server is asked at once"
    later.handle(Tick())
    later.look(running=(prompt,))
    later.now += job.request.silence + 1
    later.handle(Tick())
    later.look(running=(prompt,))
    progress = later.last(Progressed)
    assert isinstance(progress, Progressed)
    assert progress.note == NoProgress("here", job.request.silence)
    later.handle(NodeStepped(prompt=prompt, node=NodeId("3"), value=5, maximum=10))
    assert isinstance(later.told[-1], Progressed)


def test_the_end_of_a_rest_is_due_although_no_job_is_on_the_server() -> None:
    desk = Desk()
    desk.up()
    rest = next(iter(desk.truth.servers.values())).rest
    for person in ("ada", "ben", "cleo"):
        rest.failed(person, "picture", desk.now)
    assert desk.truth.due() == desk.now + FIRST_REST
    rest.over(desk.now + FIRST_REST)
    assert desk.truth.due() == float("inf")


def test_time_alone_changes_nothing_while_nothing_hangs_on_a_server() -> None:
    desk = Desk()
    desk.up()
    assert desk.truth.due() == float("inf")
    _, prompt = desk.running()
    assert desk.truth.due() == desk.now + SILENCE
    desk.now += SILENCE
    desk.handle(Tick())
    assert desk.truth.due() == float("inf"), "the look that is under way answers in any case"
    desk.look(running=(prompt,))
    assert desk.truth.due() == desk.now + SILENCE


def test_a_job_is_forgotten_when_its_last_word_was_heard_and_not_before() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.job_table.delivered(job)
    assert desk.job_table.jobs
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success()))
    desk.job_table.delivered(job)
    assert not desk.job_table.jobs
    assert not desk.job_table.prompts
    assert not desk.job_table.trackers
    assert job.state is State.DELIVERED
    desk.job_table.delivered(job)
    assert [line.cause for line in desk.job_table.transitions].count("the terminal update was shown") == 1


def test_a_job_ends_once_also_if_more_is_heard_of_it() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    ended = job.terminal_update
    desk.handle(FileFetched(fetch, ResultGone("a.png")), EffectFailed(fetch, WRONG))
    assert job.terminal_update == ended
    assert [type(update) for update in desk.told].count(Finished) == 1
    assert not any(isinstance(update, Failed) for update in desk.told)


def test_a_job_whose_servers_are_all_gone_from_the_configuration_goes_to_any_other() -> None:
    desk = Desk()
    desk.up()
    request = JobRequest(job=JobId("job"), workflow="w", graph=GRAPH, folder="out", servers=(ServerName("removed"),))
    desk.job_table.accept(request)
    desk.settle()
    assert desk.take(SubmitPrompt).server == HERE


def test_an_effect_that_broke_fails_its_job_and_frees_its_place_once_the_server_does_not_have_it() -> None:
    desk = Desk(depth=1)
    desk.up()
    job = desk.request("first")
    post = desk.take(SubmitPrompt)
    desk.request("second")
    desk.handle(EffectFailed(post, WRONG))
    assert desk.last(Failed) == Failed(job=JobId("first"), reason=WRONG)
    assert job.state is State.FAILED
    desk.handle(PromptCancelled(withdraw := desk.take(CancelPrompt), acknowledged=True))
    assert withdraw.prompt == post.prompt, "the server may have taken it"
    desk.look()
    assert desk.take(SubmitPrompt).job == "second"


def test_an_effect_that_broke_for_an_attempt_that_is_over_changes_nothing() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    read = desk.take(ReadHistory)
    desk.handle(Connected(HERE))
    desk.look()
    desk.handle(EffectFailed(read, WRONG))
    assert job.terminal_update is None


def test_a_job_that_failed_during_its_post_is_withdrawn_once_the_post_is_answered() -> None:
    desk = Desk()
    desk.up()
    job = desk.request("job")
    post = desk.take(SubmitPrompt)
    desk.job_table.fail(job, WRONG)
    desk.settle()
    assert desk.none(CancelPrompt)
    desk.handle(PromptSubmitted(post, Ticket(PromptId("theirs"))))
    desk.handle(PromptCancelled(withdraw := desk.take(CancelPrompt), acknowledged=True))
    assert withdraw.prompt == "theirs"
    desk.look()
    assert not desk.job_table.prompts
    assert job.state is State.FAILED


def test_a_failed_job_keeps_the_files_that_have_arrived() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG, FileRef("b.png"))))
    desk.handle(FileFetched(first := desk.take(FetchFile)))
    desk.handle(EffectFailed(desk.take(FetchFile), WRONG))
    assert desk.told[-1] == Failed(job=JobId("job"), reason=WRONG, files=(first.path,))


def test_a_history_that_cannot_be_read_fails_its_own_job_and_no_other_of_the_same_look() -> None:
    desk = Desk()
    desk.up()
    desk.request("first")
    first = desk.posted()
    desk.request("second")
    second = desk.posted()
    desk.handle(Connected(HERE))
    look = desk.take(QueryServer)
    desk.handle(ServerQueried(look, Queue(), {second: success()}, {first: WRONG}))
    assert desk.last(Failed) == Failed(job=JobId("first"), reason=WRONG)
    assert isinstance(desk.told[-1], Finished)
    desk.handle(Connected(HERE))
    desk.take(QueryServer)


def interrupt(desk: Desk, reason: ServerReason | None = None) -> None:
    desk.handle(FetchInterrupted(desk.take(FetchFile), reason or ServerError(500)))


def test_a_file_that_its_server_cannot_send_is_tried_a_few_times_and_then_reported() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG, FileRef("b.png"))))
    broken = desk.take(FetchFile)
    desk.handle(FileFetched(second := desk.take(FetchFile)))
    desk.handle(FetchInterrupted(broken, CutShort(10, 20)))
    tries = 1
    while desk.truth.due() < float("inf") and not isinstance(desk.told[-1], Finished):
        assert tries < 100
        desk.now = max(desk.now, desk.truth.due())
        desk.handle(Tick())
        if not desk.none(QueryServer):
            desk.look()
        if not desk.none(FetchFile):
            tries += 1
            interrupt(desk, CutShort(10, 20))
    assert tries == downloads.MOST_TRIES
    assert desk.told[-1] == Finished(
        job=JobId("job"), server=HERE, files=(second.path,), notes=(ResultsMissing(arrived=1, total=2),)
    )


def test_tries_while_the_server_is_away_do_not_count() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    for _ in range(3 * downloads.MOST_TRIES):
        interrupt(desk, RefusedConnection())
        desk.handle(Unreachable(desk.take(QueryServer), RefusedConnection()))
        desk.now += 60
        desk.handle(Tick())
        assert desk.none(FetchFile), "nothing is fetched from a server that is away"
        desk.look()
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    assert desk.told[-1] == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_a_full_disk_is_waited_out_and_is_nobodys_fault() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    for _ in range(3 * downloads.MOST_TRIES):
        desk.handle(FetchInterrupted(desk.take(FetchFile), disk_full=True))
        desk.now += downloads.WAIT
        desk.handle(Tick())
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    assert desk.told[-1] == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_while_results_wait_for_room_nothing_is_sent_and_people_read_why() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    desk.handle(FetchInterrupted(desk.take(FetchFile), disk_full=True))
    desk.request("next")
    assert desk.none(SubmitPrompt)
    (told,) = [each for each in desk.told if isinstance(each, Queued) and each.job == "next"]
    assert (told.note, told.starts_in) == (NoRoom(), None)
    later = replace(desk.job_table.jobs[JobId("next")].request, job=JobId("later"))
    assert desk.scheduler.admission.refusal(later, desk.now) == NoRoomForResults()
    desk.now += downloads.WAIT
    desk.handle(Tick())
    assert desk.none(SubmitPrompt)
    desk.handle(FileFetched(desk.take(FetchFile)))
    assert desk.take(SubmitPrompt).job == "next"
    assert desk.scheduler.admission.refusal(later, desk.now) is None


def test_a_result_that_is_given_up_leaves_the_way_to_the_next_job_free() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    desk.handle(FetchInterrupted(desk.take(FetchFile), disk_full=True))
    desk.request("next")
    assert desk.none(SubmitPrompt)
    desk.job_table.cancel(job, desk.now)
    desk.handle(Tick())
    assert desk.take(SubmitPrompt).job == "next"


def test_an_operator_hears_of_a_full_disk_and_that_it_has_room_again() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    desk.handle(FetchInterrupted(desk.take(FetchFile), disk_full=True))
    assert desk.job_table.alerts == [Raised(Cause("disk"), DiskFull("out"))]
    desk.job_table.alerts.clear()
    desk.now += downloads.WAIT
    desk.handle(Tick())
    desk.handle(FileFetched(desk.take(FetchFile)))
    assert desk.job_table.alerts == [Cleared(Cause("disk"))]


def streaming(desk: Desk) -> PromptId:
    """The prompt of a job whose picture has just come through the websocket."""
    desk.up()
    desk.request("job", STREAMING)
    prompt = desk.posted()
    desk.handle(ImageStreamed(prompt=prompt, display=NodeId("7"), image=b"p", media_type="image/png"))
    return prompt


def test_a_picture_that_comes_through_the_websocket_waits_for_room_on_the_disk_but_not_for_ever() -> None:
    desk = Desk()
    desk.handle(ExecutionEnded(prompt=streaming(desk)))
    desk.handle(HistoryRead(desk.take(ReadHistory), History("success")))
    problem = ResultUnwritable("No space left on device", "job.png")
    waited = 0.0
    while any(isinstance(effect, SaveImage) for effect in desk.errands):
        assert waited <= downloads.LONGEST, "as long as a result that is still on its server"
        assert not any(isinstance(update, Finished) for update in desk.told)
        desk.handle(SaveInterrupted(save := desk.take(SaveImage), problem))
        waited += save.pause
        assert desk.job_table.alerts[0] == Raised(Cause("disk"), DiskFull("out"))
    assert waited == downloads.LONGEST
    last = desk.told[-1]
    assert isinstance(last, Finished)
    assert problem in last.notes


def test_a_picture_that_was_written_at_last_ends_the_alert_of_a_full_disk() -> None:
    desk = Desk()
    streaming(desk)
    desk.handle(SaveInterrupted(desk.take(SaveImage), ResultUnwritable("No space left on device", "job.png")))
    desk.job_table.alerts.clear()
    desk.handle(ImageSaved(save := desk.take(SaveImage)))
    assert save.pause == downloads.WAIT
    assert desk.job_table.alerts == [Cleared(Cause("disk"))]


def test_an_operator_hears_of_each_result_that_is_given_up() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    for _ in range(downloads.MOST_TRIES):
        assert desk.job_table.alerts == []
        interrupt(desk, ServerError(500))
        desk.now += 60
        desk.handle(Tick())
    assert desk.job_table.alerts == [Happened(Cause("results", HERE), ResultsGivenUp(HERE))]


def test_a_job_of_many_files_leaves_lanes_for_others_and_is_cut_at_the_limit() -> None:
    desk = Desk()
    _, prompt = desk.running("greedy")
    desk.request("modest")
    other = desk.posted()
    files = tuple(FileRef(f"{number}.png") for number in range(20_000))
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(*files)))
    assert sum(isinstance(effect, FetchFile) for effect in desk.errands) == downloads.LANES_OF_JOB
    desk.handle(ExecutionStarted(prompt=other), ExecutionEnded(prompt=other))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    assert [effect.job for effect in desk.errands if isinstance(effect, FetchFile)][-1] == "modest"
    while not desk.none(FetchFile):
        desk.handle(FileFetched(desk.take(FetchFile)))
    told = next(update for update in desk.told if isinstance(update, Finished) and update.job == "greedy")
    assert len(told.files) == 200
    assert told.notes == (TooManyResults(20_000, 200),)


def test_a_history_that_cannot_be_read_is_read_a_few_times_more_and_then_the_job_ends() -> None:
    desk = Desk()
    desk.up()
    desk.request("first")
    first = desk.posted()
    desk.request("second")
    second = desk.posted()
    desk.handle(ExecutionStarted(prompt=first), ExecutionEnded(prompt=first))
    desk.handle(HistoryRead(desk.take(ReadHistory), None))
    readings = 0
    while not any(isinstance(update, Failed) for update in desk.told):
        assert readings < 100
        look = desk.take(QueryServer)
        desk.handle(ServerQueried(look, Queue((), (second,)), {}, {}, frozenset({first})))
        readings += 1
        # The other job is busy all the time.
        desk.now += 1
        desk.handle(NodeStepped(prompt=second, node=NodeId("3"), value=readings, maximum=100))
        desk.now = max(desk.now, desk.truth.due())
        desk.handle(Tick())
    assert readings == len(RECHECK) + 1
    assert desk.last(Failed) == Failed(job=JobId("first"), reason=HistoryUnreadable())
    assert desk.job_table.jobs[JobId("second")].state is State.RUNNING


def test_pictures_that_the_websocket_announced_arrive_although_the_history_cannot_be_read() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(NodeFinished(prompt=prompt, output=NodeOutput(NodeId("9"), (PNG,))))
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), History("unreadable")))
    told = Finished(job=JobId("job"), server=HERE, files=(fetch.path,), notes=(HistoryUnreadable(),))
    assert desk.told[-1] == told


def test_a_queue_that_cannot_be_read_does_not_hide_the_histories() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.handle(Connected(HERE))
    desk.handle(Unreachable(desk.take(QueryServer), ServerError(500), {prompt: success(PNG)}))
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    assert desk.told[-1] == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


THERE = ServerName("there")


def pair() -> Desk:
    """Two servers with one place each, of which the first gets the first job."""
    desk = Desk(1, (HERE, THERE))
    desk.up(HERE)
    desk.up(THERE)
    return desk


@pytest.mark.parametrize("running", [False, True])
def test_the_job_of_a_server_that_does_not_come_back_moves_to_another(running: bool) -> None:
    desk = pair()
    desk.request("job")
    first = desk.posted()
    if running:
        desk.handle(ExecutionStarted(prompt=first))
    desk.away(HERE)
    desk.now += FAILOVER_AFTER * (3 if running else 1) - SILENCE - 1
    desk.away(HERE)
    assert desk.none(SubmitPrompt)
    desk.now += 2
    desk.away(HERE)
    post = desk.take(SubmitPrompt)
    assert post.server == THERE
    assert post.prompt != first
    desk.now += SILENCE
    desk.handle(Tick())
    desk.look(running=(first,))
    assert desk.take(CancelPrompt).prompt == first, "it is dropped where it was"


def test_a_job_moves_to_a_server_that_was_added_while_its_own_one_had_it() -> None:
    desk = Desk()
    _, first = desk.running()
    desk.server_changes.configure(THERE, ServerSettings())
    desk.up(THERE)
    desk.server_changes.offer({"w": (HERE, THERE)})
    desk.away(HERE)
    desk.now += FAILOVER_AFTER * 3
    desk.away(HERE)
    post = desk.take(SubmitPrompt)
    assert post.server == THERE
    assert post.prompt != first


def test_a_job_waits_while_no_server_is_known_to_run_it() -> None:
    desk = pair()
    desk.server_changes.offer({"w": (HERE,)})
    desk.server_changes.remove(HERE)
    desk.request("job")
    desk.server_changes.forget(HERE)
    desk.server_changes.offer({"w": ()})
    assert desk.none(SubmitPrompt), "the other one is known not to run it"
    desk.server_changes.configure(HERE, ServerSettings())
    desk.up(HERE)
    assert desk.none(SubmitPrompt), "nobody has asked it yet"
    desk.server_changes.offer({"w": (HERE,)})
    desk.handle(Tick())
    assert desk.take(SubmitPrompt).server == HERE


def test_an_attempt_that_was_given_up_is_asked_about_also_if_the_next_server_is_removed_over_a_restart() -> None:
    desk = pair()
    job = desk.request("job")
    first = desk.posted()
    desk.away(HERE)
    desk.now += FAILOVER_AFTER
    desk.away(HERE)
    assert desk.take(SubmitPrompt).server == THERE
    later = Desk(servers=(HERE,))
    later.truth.adopt(job, later.now)
    assert [attempt.prompt for _, attempt in later.job_table.prompts.left_at(HERE)] == [first]


def test_what_the_first_server_produced_is_deleted_when_a_job_moves_to_another() -> None:
    desk = pair()
    desk.request("job")
    first = desk.posted()
    files = tuple(FileRef(f"{number}.png") for number in (1, 2))
    desk.handle(NodeFinished(prompt=first, output=NodeOutput(NodeId("9"), files)))
    arrived, late = desk.take(FetchFile), desk.take(FetchFile)
    desk.handle(FileFetched(arrived))
    desk.away(HERE)
    desk.now += 3 * FAILOVER_AFTER
    desk.away(HERE)
    assert desk.take(SubmitPrompt).server == THERE
    assert desk.take(DiscardFiles).paths == (arrived.path,)
    desk.handle(FileFetched(late))
    assert desk.take(DiscardFiles).paths == (late.path,), "it arrived when nobody wanted it any more"


def test_a_file_that_arrives_after_its_job_was_cancelled_is_deleted() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.handle(NodeFinished(prompt=prompt, output=NodeOutput(NodeId("9"), (PNG,))))
    fetch = desk.take(FetchFile)
    desk.job_table.end_as_cancelled(job)
    desk.handle(FileFetched(fetch))
    assert desk.take(DiscardFiles).paths == (fetch.path,)


def moved() -> tuple[Desk, Job, PromptId, PromptId]:
    """A job that runs there, because its first server did not come back."""
    desk = pair()
    job = desk.request("job")
    first = desk.posted()
    desk.away(HERE)
    desk.now += FAILOVER_AFTER
    desk.away(HERE)
    post = desk.take(SubmitPrompt)
    desk.handle(PromptSubmitted(post, Ticket(post.prompt)), ExecutionStarted(prompt=post.prompt))
    return desk, job, first, post.prompt


def test_of_two_results_the_first_counts() -> None:
    desk, job, first, second = moved()
    desk.now += SILENCE
    desk.handle(Tick())
    desk.look(ended={first: success(PNG)})
    assert desk.take(CancelPrompt).prompt == second, "nobody needs it any more"
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    assert fetch.server == HERE
    assert job.terminal_update == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_of_two_results_a_part_of_the_second_is_deleted() -> None:
    desk, job, first, second = moved()
    desk.handle(NodeFinished(prompt=second, output=NodeOutput(NodeId("9"), (FileRef("second.png"),))))
    desk.handle(FileFetched(part := desk.take(FetchFile)))
    desk.now += SILENCE
    desk.handle(Tick())
    desk.look(ended={first: success(PNG)})
    desk.handle(FileFetched(fetch := desk.take(FetchFile)))
    assert job.terminal_update == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))
    assert desk.take(DiscardFiles).paths == (part.path,)


def test_a_failure_there_does_not_end_a_job_that_runs_elsewhere() -> None:
    desk, job, first, _ = moved()
    desk.now += SILENCE
    desk.handle(Tick())
    desk.look(ended={first: History("failed")})
    assert job.state is State.RUNNING
    assert not job.leftovers


def test_a_server_that_comes_back_before_another_was_free_keeps_its_job() -> None:
    desk = pair()
    job = desk.request("job")
    first = desk.posted()
    desk.request("other")
    assert desk.take(SubmitPrompt).server == THERE
    desk.away(HERE)
    desk.now += FAILOVER_AFTER
    desk.away(HERE)
    assert job.state is State.ACCEPTED
    desk.now += SILENCE
    desk.handle(Tick())
    desk.look(running=(first,))
    assert job.state is State.RUNNING
    assert desk.none(SubmitPrompt)
    assert desk.none(CancelPrompt)


def test_a_job_that_no_other_server_can_run_stays_and_its_user_reads_why_and_no_time() -> None:
    desk = Desk(1)
    _, prompt = desk.running()
    desk.handle(NodeStepped(prompt=prompt, node=NodeId("3"), value=5, maximum=10))
    desk.now += 1
    desk.handle(NodeStepped(prompt=prompt, node=NodeId("3"), value=6, maximum=10))
    desk.away()
    desk.now += 10 * FAILOVER_AFTER
    desk.away()
    progress = desk.told[-1]
    assert isinstance(progress, Progressed)
    assert progress.note == ServersOffline((HERE,))
    assert progress.remaining is None
    desk.now += SILENCE
    desk.handle(Tick())
    desk.look(running=(prompt,))
    progress = desk.told[-1]
    assert isinstance(progress, Progressed)
    assert progress.note is None
    assert progress.remaining is not None


def test_results_that_a_dead_server_has_are_made_again_elsewhere() -> None:
    desk = pair()
    job = desk.request("job")
    first = desk.posted()
    desk.handle(ExecutionStarted(prompt=first), ExecutionEnded(prompt=first))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    interrupt(desk, RefusedConnection())
    desk.handle(Unreachable(desk.take(QueryServer), RefusedConnection()))
    desk.now += 3 * FAILOVER_AFTER
    desk.away(HERE)
    assert desk.take(SubmitPrompt).server == THERE
    assert job.tries == 2


def test_a_server_that_keeps_nothing_is_not_sent_a_job_for_ever() -> None:
    desk = Desk()
    desk.up()
    desk.request("job")
    tries = 0
    while not any(isinstance(update, Lost) for update in desk.told):
        assert tries < 10 * MOST_TRIES
        desk.posted()
        tries += 1
        desk.handle(Connected(HERE))
        desk.look()
    assert tries == MOST_TRIES
    assert desk.last(Lost) == Lost(job=JobId("job"), reason=NeverKept(MOST_TRIES))


def test_a_server_that_gives_two_jobs_one_id_is_told_apart_from_one_that_does_not() -> None:
    desk = Desk()
    desk.up()
    first, second = desk.request("first"), desk.request("second")
    for _ in range(2):
        desk.handle(PromptSubmitted(desk.take(SubmitPrompt), Ticket(PromptId("theirs"))))
    assert first.state is State.QUEUED
    assert second.terminal_update == Failed(job=JobId("second"), reason=PromptIdRepeated(HERE))


def test_what_is_to_be_dropped_is_dropped_by_the_next_life_too() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.away()
    desk.job_table.cancel(job, desk.now)
    desk.now += CANCEL_PATIENCE
    desk.handle(Tick())
    desk.job_table.delivered(job)
    later = Desk()
    later.truth.adopt(job, later.now)
    later.handle(Tick())
    later.look(running=(prompt,))
    assert later.take(CancelPrompt).prompt == prompt
    gone = Desk(servers=(THERE,))
    gone.truth.adopt(job, gone.now)
    assert not gone.job_table.jobs, "nobody can ask a server that is no longer configured"


def test_a_job_that_waits_to_be_dropped_is_recorded_as_shown_once() -> None:
    desk = Desk()
    job, _ = desk.running()
    desk.away()
    desk.job_table.cancel(job, desk.now)
    desk.now += CANCEL_PATIENCE
    desk.handle(Tick())
    for _ in range(2):
        desk.job_table.delivered(job)
    causes = [line.cause for line in desk.job_table.transitions]
    assert causes.count("the terminal update was shown") == 1


def test_what_was_shown_is_true_even_if_the_job_was_cancelled_meanwhile() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), success(PNG)))
    desk.handle(FileFetched(desk.take(FetchFile)))
    shown = job.terminal_update
    assert isinstance(shown, Finished)
    desk.job_table.cancel(job, desk.now)
    assert job.terminal_update == Cancelled(job=job.id)
    desk.job_table.delivered(job, shown=shown)
    assert job.terminal_update == shown
    assert job.state is State.DELIVERED


def test_two_jobs_that_fetch_the_same_results_again_do_not_take_each_others_place() -> None:
    desk = Desk()
    desk.up()
    refetch = Refetch(HERE, PromptId("old"), success(PNG))
    for name in ("first", "second"):
        request = JobRequest(job=JobId(name), workflow="w", graph=GRAPH, folder="out", refetch=refetch)
        desk.truth.accept(request, "")
    desk.settle()
    first, second = desk.take(FetchFile), desk.take(FetchFile)
    desk.handle(FileFetched(second))
    assert desk.last(Finished).job == "second"
    assert [job.id for job, _ in desk.job_table.prompts.fetching(HERE)] == ["first"], "its server is still watched"
    desk.handle(FileFetched(first))
    assert desk.last(Finished).job == "first"
    assert not desk.job_table.prompts
