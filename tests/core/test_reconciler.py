"""The truth rules, without any I/O: messages in; what is told, remembered and done comes out."""

from __future__ import annotations

from typing import TypeVar

import pytest

from app.core.effects import (
    EffectFailed,
    Errand,
    Fetch,
    Fetched,
    Keep,
    Kept,
    Look,
    Looked,
    Post,
    Posted,
    PostRefused,
    PostUnsure,
    Read,
    ReadDone,
    Redial,
    Tick,
    Unreachable,
    Withdraw,
    Withdrawn,
)
from app.core.job import Job, State, Wish
from app.core.job_table import Ledger
from app.core.reconciler import Message, Truth
from app.core.scheduler import Dispatcher
from app.core.server_state import SILENCE
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
    Heard,
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
    ServerName,
    Spoken,
    Started,
)
from app.ports import Graph, History, Queue, Ticket

HERE = ServerName("here")
PNG = FileRef("a_00001_.png")
GRAPH: Graph = {
    "3": {"class_type": "KSampler", "inputs": {"steps": 10}, "_meta": {"title": "Sampler"}},
    "9": {"class_type": "SaveImage", "inputs": {}},
}
STREAMING: Graph = {"7": {"class_type": "SaveImageWebsocket", "inputs": {}}}
E = TypeVar("E", bound=Errand)


class Desk:
    """A ledger with everything around it that decides, and a clock that is turned by hand."""

    def __init__(self, depth: int = 2) -> None:
        self.ledger = Ledger()
        self.truth = Truth(self.ledger, [HERE])
        self._minted = 0
        self._dispatcher = Dispatcher(self.ledger, self.truth.machines, depth, self._mint)
        self.now = 100.0
        self.told: list[AnyUpdate] = []
        self.errands: list[Errand] = []

    def _mint(self) -> PromptId:
        self._minted += 1
        return PromptId(f"p{self._minted}")

    def settle(self) -> None:
        self._dispatcher.plan(self.now)
        self.ledger.changed.clear()
        self.told += self.ledger.news
        self.errands += self.ledger.errands
        self.ledger.news.clear()
        self.ledger.errands.clear()

    def wish(self, name: str, graph: Graph = GRAPH) -> Job:
        self.ledger.accept(Wish(job=JobId(name), workflow="w", graph=graph, folder="out"))
        self.settle()
        return self.ledger.jobs[JobId(name)]

    def hear(self, *messages: Message | Spoken) -> None:
        for message in messages:
            heard = Heard(HERE, message) if isinstance(message, Spoken) else message
            self.truth.hear(heard, self.now)
        self.settle()

    def take(self, kind: type[E]) -> E:
        """The oldest errand of a kind that nobody has done yet."""
        errand = next(errand for errand in self.errands if isinstance(errand, kind))
        self.errands.remove(errand)
        return errand

    def none(self, kind: type[Errand]) -> bool:
        return not any(isinstance(errand, kind) for errand in self.errands)

    def up(self) -> None:
        self.hear(Connected(HERE))
        self.look()

    def look(
        self,
        running: tuple[str, ...] = (),
        pending: tuple[str, ...] = (),
        ended: dict[str, History] | None = None,
    ) -> None:
        """Do the look that is asked for, and find this."""
        queue = Queue(tuple(map(PromptId, running)), tuple(map(PromptId, pending)))
        found = {PromptId(prompt): history for prompt, history in (ended or {}).items()}
        self.hear(Looked(self.take(Look), queue, found))

    def posted(self) -> PromptId:
        post = self.take(Post)
        self.hear(QueueChanged(remaining=1), Posted(post, Ticket(post.prompt)))
        return post.prompt

    def running(self, name: str = "job") -> tuple[Job, PromptId]:
        self.up()
        job = self.wish(name)
        prompt = self.posted()
        self.hear(ExecutionStarted(prompt=prompt))
        return job, prompt

    def last(self, kind: type[AnyUpdate]) -> AnyUpdate:
        return [update for update in self.told if isinstance(update, kind)][-1]


def success(*files: FileRef) -> History:
    return History("success", (NodeOutput(NodeId("9"), files),))


def test_a_job_goes_from_the_wish_to_the_file() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success(PNG)))
    desk.hear(Fetched(fetch := desk.take(Fetch)))
    assert [type(update) for update in desk.told] == [Queued, Started, Finished]
    assert desk.last(Finished) == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_nothing_is_posted_before_the_server_was_reached() -> None:
    desk = Desk()
    desk.wish("job")
    assert desk.none(Post)
    assert desk.last(Queued) == Queued(job=JobId("job"), position=0)
    desk.up()
    assert desk.take(Post).job == "job"


def test_a_file_is_fetched_as_soon_as_its_node_names_it_and_only_once() -> None:
    desk = Desk()
    _, prompt = desk.running()
    named = NodeFinished(prompt=prompt, output=NodeOutput(NodeId("9"), (PNG, FileRef("t.png", "", "temp"))))
    desk.hear(named, named)
    desk.hear(Fetched(desk.take(Fetch)))
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success(PNG)))
    assert desk.none(Fetch)
    assert isinstance(desk.told[-1], Finished)


def test_a_prefetched_file_that_history_does_not_know_is_no_result() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(NodeFinished(prompt=prompt, output=NodeOutput(NodeId("9"), (PNG,))))
    desk.hear(Fetched(desk.take(Fetch)), ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success()))
    assert desk.last(Finished) == Finished(
        job=JobId("job"), server=HERE, notes=("The workflow ended well, but it made no file and no text.",)
    )


def test_a_job_that_waited_on_a_server_that_forgot_it_is_sent_again_under_a_new_id() -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    first = desk.posted()
    desk.hear(Connected(HERE))
    desk.look()
    second = desk.take(Post).prompt
    assert first != second
    assert job.state is State.SUBMITTING
    assert not any(isinstance(update, Lost) for update in desk.told)


def test_a_job_that_was_running_is_sent_again_once_and_then_lost_and_told() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(Connected(HERE))
    desk.look()
    desk.hear(ExecutionStarted(prompt=(second := desk.posted())))
    assert second != prompt
    desk.hear(Connected(HERE))
    desk.look()
    assert desk.last(Lost) == Lost(job=JobId("job"), reason="here forgot it 2 times while working on it.")
    assert desk.none(Post)


def test_two_readings_of_the_same_gone_act_once() -> None:
    desk = Desk()
    _, prompt = desk.running()
    stale = Look(HERE, {prompt: desk.ledger.jobs[JobId("job")].version})
    desk.hear(Looked(stale, Queue(), {}), Looked(stale, Queue(), {}))
    assert desk.take(Post).prompt == "p2"
    assert desk.none(Post)


def test_a_reading_from_before_a_transition_changes_nothing() -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    prompt = desk.posted()
    stale = Look(HERE, {prompt: job.version})
    desk.hear(ExecutionStarted(prompt=prompt))
    desk.hear(Looked(stale, Queue(), {}))
    assert job.state is State.RUNNING
    assert desk.none(Post)


def test_frames_of_an_attempt_that_was_given_up_are_ignored() -> None:
    desk = Desk()
    job, old = desk.running()
    desk.hear(Connected(HERE))
    desk.look()
    desk.hear(ExecutionStarted(prompt=old), ExecutionEnded(prompt=old))
    assert job.state is State.SUBMITTING
    assert desk.none(Read)


def test_a_lower_rank_loses_so_that_the_answer_to_a_post_may_come_late() -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    post = desk.take(Post)
    desk.hear(ExecutionStarted(prompt=post.prompt))
    desk.hear(Posted(post, Ticket(post.prompt)))
    assert job.state is State.RUNNING


@pytest.mark.parametrize("answer", ["taken", "500", "lost"])
def test_the_next_job_leaves_also_where_a_start_overtook_the_answer_to_its_post(answer: str) -> None:
    desk = Desk()
    desk.up()
    desk.wish("first")
    desk.wish("second")
    post = desk.take(Post)
    desk.hear(QueueChanged(remaining=1), ExecutionStarted(prompt=post.prompt))
    assert desk.none(Post)
    if answer == "taken":
        desk.hear(Posted(post, Ticket(post.prompt)))
    else:
        desk.hear(PostRefused(post, "no", certain=False) if answer == "500" else PostUnsure(post, "cut"))
        desk.look(running=(post.prompt,))
    assert desk.take(Post).job == "second"


def test_a_missed_start_is_made_good_by_any_later_frame() -> None:
    desk = Desk()
    desk.up()
    desk.wish("job")
    desk.hear(NodeStarted(prompt=desk.posted(), node=NodeId("3"), display=NodeId("3")))
    assert Started(job=JobId("job"), server=HERE) in desk.told


@pytest.mark.parametrize("where", ["running", "pending", "history", "nowhere"])
def test_a_post_whose_answer_was_lost_is_looked_for_before_it_is_sent_again(where: str) -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    post = desk.take(Post)
    desk.hear(PostUnsure(post, "the connection broke"))
    assert desk.none(Post)
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
        assert desk.take(Post).prompt == "p2"


def test_a_500_is_looked_into_and_three_of_them_are_an_answer() -> None:
    desk = Desk()
    desk.up()
    desk.wish("job")
    for _ in range(3):
        desk.hear(PostRefused(desk.take(Post), "got itself in trouble", certain=False))
        desk.look()
    assert desk.last(Failed) == Failed(job=JobId("job"), reason="got itself in trouble")
    assert desk.none(Post)


def test_a_server_that_says_no_fails_the_job_with_its_reason() -> None:
    desk = Desk()
    desk.up()
    desk.wish("job")
    desk.hear(PostRefused(desk.take(Post), "“Sampler” has no such sampler.", certain=True))
    assert desk.last(Failed) == Failed(job=JobId("job"), reason="“Sampler” has no such sampler.")


def test_a_cancelled_job_that_lies_with_us_is_gone_at_once() -> None:
    desk = Desk(depth=1)
    desk.running("first")
    second = desk.wish("second")
    desk.ledger.cancel(second)
    desk.settle()
    assert desk.told[-1] == Cancelled(job=JobId("second"))
    assert desk.none(Withdraw)


def test_a_cancelled_job_on_the_server_is_withdrawn_and_confirmed_by_what_happens_next() -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    prompt = desk.posted()
    desk.ledger.cancel(job)
    desk.settle()
    withdraw = desk.take(Withdraw)
    assert withdraw.prompt == prompt
    desk.hear(Withdrawn(withdraw, heard=True))
    assert not any(isinstance(update, Cancelled) for update in desk.told)
    desk.look()
    assert desk.told[-1] == Cancelled(job=JobId("job"))
    assert desk.none(Post)


def test_a_cancel_that_comes_during_the_post_is_sent_after_it() -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    desk.ledger.cancel(job)
    desk.settle()
    assert desk.none(Withdraw)
    desk.posted()
    assert desk.take(Withdraw).prompt == "p1"


def test_a_cancel_that_the_server_did_not_hear_is_sent_again() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.ledger.cancel(job)
    desk.settle()
    desk.hear(Withdrawn(desk.take(Withdraw), heard=False))
    desk.look(running=(prompt,))
    assert desk.take(Withdraw).prompt == prompt


def test_a_cancel_that_comes_after_the_end_does_nothing() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success(PNG)))
    desk.ledger.cancel(job)
    desk.hear(Fetched(desk.take(Fetch)))
    assert desk.none(Withdraw)
    assert isinstance(desk.told[-1], Finished)


def test_an_interrupt_by_somebody_else_is_told_as_such() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), History("interrupted")))
    assert desk.told[-1] == Cancelled(job=JobId("job"), reason="Somebody interrupted it at the server.")


def test_a_failure_names_the_node_and_keeps_what_was_made_before() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    output = (NodeOutput(NodeId("9"), (PNG,)),)
    history = History("failed", output, node="3", error="bad size in /srv/comfy/nodes.py\nmore", error_kind="X")
    desk.hear(ReadDone(desk.take(Read), history))
    desk.hear(Fetched(fetch := desk.take(Fetch)))
    told = Failed(job=JobId("job"), reason="“Sampler” failed: bad size in nodes.py", files=(fetch.path,))
    assert desk.told[-1] == told


def test_at_most_two_jobs_lie_on_the_server_and_the_next_follows_when_one_ends() -> None:
    desk = Desk(depth=2)
    desk.up()
    for name in "abc":
        desk.wish(name)
    first, second = desk.posted(), desk.posted()
    assert desk.none(Post)
    desk.hear(ExecutionStarted(prompt=first), ExecutionEnded(prompt=first))
    desk.hear(ReadDone(desk.take(Read), success(PNG)))
    assert desk.take(Post).job == "c", "the place is free before the files have arrived"
    assert second == "p2"


def test_a_position_counts_our_own_and_other_peoples_prompts() -> None:
    desk = Desk(depth=2)
    desk.up()
    desk.hear(QueueChanged(remaining=3))
    for name in "abcd":
        desk.wish(name)
    positions = {update.job: update.position for update in desk.told if isinstance(update, Queued)}
    assert positions == {"a": 3, "b": 4, "c": 5, "d": 6}


def test_a_look_says_exactly_how_many_of_the_others_are_ahead() -> None:
    desk = Desk()
    desk.up()
    desk.hear(QueueChanged(remaining=2))
    desk.wish("a")
    post = desk.take(Post)
    desk.hear(QueueChanged(remaining=4), Posted(post, Ticket(post.prompt)))
    desk.now += 3
    desk.hear(Tick())
    desk.look(running=("x",), pending=("p1", "y", "z"))
    assert desk.last(Queued) == Queued(job=JobId("a"), position=1, server=HERE)


def test_silence_is_looked_into_while_jobs_are_in_flight() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.now += 1.9
    desk.hear(Tick())
    assert desk.none(Look)
    desk.now += 0.2
    desk.hear(Tick())
    desk.look(running=(prompt,))
    desk.hear(Tick())
    assert desk.none(Look), "a look is not repeated before the next silence"


def test_an_idle_house_asks_nothing() -> None:
    desk = Desk()
    desk.up()
    desk.now += 60
    desk.hear(Tick())
    assert desk.errands == []


def test_a_running_job_that_says_nothing_for_long_is_told_about_and_goes_on() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.now += 61
    desk.hear(Tick())
    desk.look(running=(prompt,))
    told = desk.last(Progressed)
    assert isinstance(told, Progressed)
    assert told.note == "here still works on it, without a word for 60 s"
    desk.now += 600
    desk.hear(Tick())
    desk.look(running=(prompt,))
    told = desk.last(Progressed)
    assert isinstance(told, Progressed)
    assert told.note.endswith("it may hang: whoever runs it should look, or you can cancel")
    assert job.state is State.RUNNING


def test_a_socket_that_says_nothing_of_an_accepted_post_is_replaced() -> None:
    desk = Desk()
    desk.up()
    desk.wish("job")
    desk.now += 1
    post = desk.take(Post)
    desk.hear(Posted(post, Ticket(post.prompt)))
    desk.now += 4.9
    desk.hear(Tick())
    assert desk.none(Redial)
    desk.now += 0.2
    desk.hear(Tick(), Tick())
    desk.take(Redial)
    assert desk.none(Redial)


def test_a_socket_that_did_not_say_what_a_look_found_is_replaced() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.now += 2.1
    desk.hear(Tick())
    desk.look(ended={prompt: success()})
    assert isinstance(desk.told[-1], Finished), "the job does not wait for the socket"
    desk.now += 0.6
    desk.hear(Tick())
    desk.take(Redial)


def test_a_socket_that_was_only_slower_than_a_look_is_kept() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.now += 2.1
    desk.hear(Tick())
    desk.look(ended={prompt: success()})
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.now += 0.6
    desk.hear(Tick())
    assert desk.none(Redial)


def test_a_server_that_does_not_answer_is_probed_while_somebody_waits() -> None:
    desk = Desk()
    desk.hear(Connected(HERE))
    desk.hear(Unreachable(desk.take(Look), "refused"))
    desk.now += 5
    desk.hear(Tick())
    assert desk.none(Look)
    desk.wish("job")
    assert desk.last(Queued) == Queued(job=JobId("job"), position=0, note="waiting for here to answer")
    desk.hear(Tick())
    desk.look()
    assert desk.take(Post).job == "job"


def test_who_asks_for_a_look_during_a_look_gets_the_next_one() -> None:
    desk = Desk()
    desk.hear(Connected(HERE), Connected(HERE))
    first = desk.take(Look)
    assert desk.none(Look)
    desk.hear(Looked(first, Queue(), {}))
    desk.take(Look)


def test_an_old_server_that_chooses_its_own_ids_is_followed_under_them() -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    post = desk.take(Post)
    desk.hear(Posted(post, Ticket(PromptId("theirs"))))
    desk.hear(ExecutionStarted(prompt=PromptId("theirs")))
    assert job.state is State.RUNNING


def test_a_history_that_is_not_there_yet_is_looked_for() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), None))
    desk.take(Look)


def test_what_is_unusual_in_a_good_run_gets_a_sentence_of_its_own() -> None:
    desk = Desk()
    desk.up()
    desk.wish("job")
    post = desk.take(Post)
    desk.hear(Posted(post, Ticket(post.prompt, ("“Second” was left out.",))))
    desk.hear(ExecutionBlocked(prompt=post.prompt, node=NodeId("3"), message="no"))
    desk.hear(ExecutionEnded(prompt=post.prompt))
    history = History("success", (NodeOutput(NodeId("9"), (), ("a cat",)),), cached=frozenset({"3", "9"}))
    desk.hear(ReadDone(desk.take(Read), history))
    told = desk.told[-1]
    assert isinstance(told, Finished)
    assert told.texts == ("a cat",)
    assert told.notes == (
        "“Second” was left out.",
        "“Sampler” was blocked, so what depends on it did not run.",
        "Nothing had changed since an earlier run, so the server gave the same result again.",
    )


def test_a_file_that_is_gone_from_the_server_is_a_note_and_no_reason_to_hang() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success(PNG, FileRef("b.png"))))
    desk.hear(Fetched(desk.take(Fetch), "a.png is gone"))
    desk.hear(Fetched(second := desk.take(Fetch)))
    assert desk.told[-1] == Finished(job=JobId("job"), server=HERE, files=(second.path,), notes=("a.png is gone",))


def test_a_picture_that_comes_through_the_websocket_is_a_result_and_others_are_previews() -> None:
    desk = Desk()
    desk.up()
    desk.wish("job", STREAMING)
    prompt = desk.posted()
    desk.hear(ImageStreamed(prompt=prompt, display=NodeId("3"), image=b"j", media_type="image/jpeg"))
    assert desk.told[-1] == Previewed(job=JobId("job"), image=b"j", media_type="image/jpeg")
    desk.hear(ImageStreamed(prompt=prompt, display=NodeId("7"), image=b"p", media_type="image/png"))
    keep = desk.take(Keep)
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), History("success")))
    assert not any(isinstance(update, Finished) for update in desk.told), "the picture is not on the disk yet"
    assert desk.none(Post), "the picture is not lost, so it is not made again"
    desk.hear(Kept(keep))
    assert desk.told[-1] == Finished(job=JobId("job"), server=HERE, files=(keep.path,))
    assert keep.path.endswith(".png")


def test_a_picture_that_was_lost_with_the_websocket_is_made_again_once() -> None:
    desk = Desk()
    desk.up()
    desk.wish("job", STREAMING)
    for prompt in ("p1", "p2"):
        assert desk.posted() == prompt
        desk.hear(ExecutionEnded(prompt=PromptId(prompt)))
        desk.hear(ReadDone(desk.take(Read), History("success")))
    told = desk.told[-1]
    assert isinstance(told, Finished)
    assert told.notes == ("Its picture was sent through a connection that broke; run it again to get it.",)


def test_progress_is_told_and_never_of_a_foreign_prompt() -> None:
    desk = Desk()
    _, prompt = desk.running()
    told = len(desk.told)
    desk.hear(NodeStepped(prompt=PromptId("x"), node=NodeId("3"), value=1, maximum=2))
    assert len(desk.told) == told
    desk.hear(NodeStepped(prompt=prompt, node=NodeId("3"), value=5, maximum=10))
    assert isinstance(progress := desk.told[-1], Progressed)
    assert (progress.node, progress.step, progress.steps) == ("Sampler", 5, 10)
    assert progress.fraction == pytest.approx(5 / 11)


def test_a_job_from_an_earlier_life_is_followed_on() -> None:
    desk = Desk()
    job, prompt = desk.running()
    later = Desk()
    later.ledger.adopt(job, later.now)
    later.hear(Connected(HERE))
    later.look(ended={prompt: success(PNG)})
    later.hear(Fetched(fetch := later.take(Fetch)))
    assert later.told[-1] == Finished(job=JobId("job"), server=HERE, files=(fetch.path,))


def test_a_running_job_of_an_earlier_life_is_told_of_before_the_websocket_is_there() -> None:
    job, prompt = Desk().running()
    later = Desk()
    later.ledger.adopt(job, later.now)
    assert later.truth.due() <= later.now, "its server is asked at once"
    later.hear(Tick())
    later.look(running=(prompt,))
    later.now += job.wish.silence + 1
    later.hear(Tick())
    later.look(running=(prompt,))
    progress = later.last(Progressed)
    assert isinstance(progress, Progressed)
    assert progress.note == f"here still works on it, without a word for {job.wish.silence:.0f} s"
    later.hear(NodeStepped(prompt=prompt, node=NodeId("3"), value=5, maximum=10))
    assert isinstance(later.told[-1], Progressed)


def test_time_alone_changes_nothing_while_nothing_hangs_on_a_server() -> None:
    desk = Desk()
    desk.up()
    assert desk.truth.due() == float("inf")
    _, prompt = desk.running()
    assert desk.truth.due() == desk.now + SILENCE
    desk.now += SILENCE
    desk.hear(Tick())
    assert desk.truth.due() == float("inf"), "the look that is under way answers in any case"
    desk.look(running=(prompt,))
    assert desk.truth.due() == desk.now + SILENCE


def test_a_job_is_forgotten_when_its_last_word_was_heard_and_not_before() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.ledger.delivered(job)
    assert desk.ledger.jobs
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success()))
    desk.ledger.delivered(job)
    assert not desk.ledger.jobs
    assert not desk.ledger.by_prompt
    assert not desk.ledger.meters
    assert job.state is State.DELIVERED
    desk.ledger.delivered(job)
    assert [line.cause for line in desk.ledger.story].count("its person has had the last word") == 1


def test_a_job_ends_once_also_if_more_is_heard_of_it() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success(PNG)))
    desk.hear(Fetched(fetch := desk.take(Fetch)))
    ended = job.last_word
    desk.hear(Fetched(fetch, "gone"), EffectFailed(fetch, "odd"))
    assert job.last_word == ended
    assert [type(update) for update in desk.told].count(Finished) == 1
    assert not any(isinstance(update, Failed) for update in desk.told)


def test_a_job_whose_servers_are_all_gone_from_the_configuration_goes_to_any_other() -> None:
    desk = Desk()
    desk.up()
    wish = Wish(job=JobId("job"), workflow="w", graph=GRAPH, folder="out", servers=(ServerName("removed"),))
    desk.ledger.accept(wish)
    desk.settle()
    assert desk.take(Post).server == HERE


def test_an_effect_that_broke_fails_its_job_and_frees_its_place() -> None:
    desk = Desk(depth=1)
    desk.up()
    job = desk.wish("first")
    post = desk.take(Post)
    desk.wish("second")
    desk.hear(EffectFailed(post, "Something went wrong."))
    assert desk.last(Failed) == Failed(job=JobId("first"), reason="Something went wrong.")
    assert job.state is State.FAILED
    assert desk.take(Withdraw).prompt == post.prompt, "the server may have taken it"
    assert desk.take(Post).job == "second"


def test_an_effect_that_broke_for_an_attempt_that_is_over_changes_nothing() -> None:
    desk = Desk()
    job, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    read = desk.take(Read)
    desk.hear(Connected(HERE))
    desk.look()
    desk.hear(EffectFailed(read, "Something went wrong."))
    assert job.last_word is None


def test_a_job_that_failed_during_its_post_is_withdrawn_once_the_post_is_answered() -> None:
    desk = Desk()
    desk.up()
    job = desk.wish("job")
    post = desk.take(Post)
    desk.ledger.fail(job, "Something went wrong.")
    desk.settle()
    assert desk.none(Withdraw)
    desk.hear(Posted(post, Ticket(PromptId("theirs"))))
    assert desk.take(Withdraw).prompt == "theirs"
    assert not desk.ledger.by_prompt
    assert job.state is State.FAILED


def test_a_failed_job_keeps_the_files_that_have_arrived() -> None:
    desk = Desk()
    _, prompt = desk.running()
    desk.hear(ExecutionEnded(prompt=prompt))
    desk.hear(ReadDone(desk.take(Read), success(PNG, FileRef("b.png"))))
    desk.hear(Fetched(first := desk.take(Fetch)))
    desk.hear(EffectFailed(desk.take(Fetch), "Something went wrong."))
    assert desk.told[-1] == Failed(job=JobId("job"), reason="Something went wrong.", files=(first.path,))


def test_a_history_that_cannot_be_read_fails_its_own_job_and_no_other_of_the_same_look() -> None:
    desk = Desk()
    desk.up()
    desk.wish("first")
    first = desk.posted()
    desk.wish("second")
    second = desk.posted()
    desk.hear(Connected(HERE))
    look = desk.take(Look)
    desk.hear(Looked(look, Queue(), {second: success()}, {first: "Something went wrong."}))
    assert desk.last(Failed) == Failed(job=JobId("first"), reason="Something went wrong.")
    assert isinstance(desk.told[-1], Finished)
    desk.hear(Connected(HERE))
    desk.take(Look)
