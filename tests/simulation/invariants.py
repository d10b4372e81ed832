"""What must hold in every world, whatever happened there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from app.core.gallery import Audience, GalleryQuery, is_shown
from app.core.jobs.downloads import MOST_TRIES, WAIT
from app.core.jobs.job import Job, State, TransitionRow
from app.discord import message_ref
from app.discord.messages.delivery import nonce
from app.discord.ui.components import MOST_PICTURES, Card
from app.events import Cancelled, Failed, Finished, JobId, Lost
from app.journal.store import Store
from app.reasons.jobs import BatchIncomplete, InputUnreadable
from app.texts.discord.answers import FAREWELL
from app.texts.reasons.text import reason_text
from app.workflows.load import Workflow
from tests.simulation.board import CHANNEL, Board, about, is_last_word
from tests.simulation.frontend import last_cards, plain_card
from tests.simulation.network import Network
from tests.simulation.notified import Times, check_notifications
from tests.simulation.offer import LONGEST_STEP, ending_of, offered, streams
from tests.simulation.pictures import expected, expected_of
from tests.simulation.plan import IN_FLEETS, Kind, Plan
from tests.simulation.recorder import Recorder

ENDS = {state.name.lower() for state in State if state.settled and state is not State.DELIVERED}

MOVES = "did not come back", "no longer configured"
"""Words in the cause of the transition with which a job moves to another server."""

GATHERED = "the whole batch has ended"
"""The cause of the transition with which the first job of a batch ends as all of them together did."""

SHOWN = "the terminal update was shown"
"""The cause of the transition with which a job is over for its person."""

MEANWHILE = 1.0
"""Seconds in which the bot may hear that a message is deleted while it turns to another place."""

ELSEWHERE = "in another message", "to you directly"
"""Words of a message whose result is elsewhere."""

SOMETHING = "Something went wrong"
"""How the sentence of `app.boundary.report_failure` begins."""

HEARD = 5.0
"""Seconds within which a server has heard, while all is well, that it shall drop a job."""

ANSWERED = 10.0
"""Seconds after which a person knows how a job ended that they cancelled."""

WAITING_KINDS: set[Kind] = {
    *("kill", "stop", "disk_full", "journal_locked", "journal_damaged", "sync_fails", "removed"),
    *IN_FLEETS,
}
"""Faults while which nothing can be answered, because the bot or its journal is not there."""

AWAY: set[Kind] = {"kill_front", "stop_front", "freeze_front", "cut_front", "silent_engine", "lost_answers"}
"""Faults while which the only disk that has a file may be out of reach."""

UNEDITABLE: set[Kind] = {"channel_closed", "nowhere", "channel_removed"}
"""Faults after which two messages may show a result: one shows it without our knowing, and refuses the next edit."""

AT_ONCE = 5.0
"""Seconds within which the end of a job is shown while all is well."""

CHECKS = 1.0
"""Seconds after which a server that was told to stop has stopped, or had ended before: the gap until its history."""


def broken(
    plan: Plan,
    recorder: Recorder,
    board: Board,
    store: Store,
    networks: Sequence[Network],
    began: float,
    folder: Path,
) -> Iterator[str]:
    """Every promise that was broken, as a sentence."""
    for job, remembered in recorder.told.items():
        if not remembered:
            yield f"{job} was told before it was in the journal"
    # Among these: the process ended by itself, an exception came out of an entry point, a stop took too long.
    yield from recorder.wrong
    kinds: set[Kind] = {fault.kind for fault in plan.faults}
    workflows = offered([network.name for network in networks])
    # The times in the journal say nothing then.
    jumps = "clock_jumps" in kinds
    jobs: dict[JobId, Job] = {}
    for entry in store.newest("", 1000):
        job, transitions = entry.job, store.transitions(entry.job.id)
        jobs[job.id] = job
        if job.terminal_update is None or not job.notified:
            yield f"{job.id} was accepted, and ended {job.state.name.lower()}, told: {job.notified}"
        elif not job.request.lead:
            yield from _shown(job, board, recorder, workflows, kinds)
            yield from check_notifications(job, times_of(transitions, began), board, recorder, plan.notify, kinds)
        yield from _story(transitions, hurt=job.id in recorder.hurt)
        yield from _deserved(job, transitions, kinds, recorder)
        yield from check_own_pictures_on_disk(job, kinds)
        yield from check_faults_stay_with_their_job(job, recorder)
        edited = recorder.edits.is_edited(job.id) and not _left_out(job)
        if edited and not recorder.edits.counts(job.id, job.request.graph):
            yield f"{job.id} is not as it was edited last, or was edited although nobody was told so"
        if job.id not in recorder.hurt and not jumps:
            yield from _outlived(job, transitions, recorder, began, LONGEST_STEP * plan.slowest)
            yield from _taken_back(job, transitions, recorder, began)
        if not jumps and not job.request.lead:
            yield from check_a_hang_stays_with_its_message(job, transitions, board, recorder, began)
        if not kinds & WAITING_KINDS and not jumps:
            yield from check_cancel_is_answered(transitions)
    for lost in recorder.told.keys() - jobs.keys():
        yield f"{lost} was told, and is in no journal any more"
    for job in jobs.values():
        if job.request.batch is not None:
            yield from check_batch(job, jobs, store.transitions(job.id))
    yield from check_no_part_is_left(folder)
    if not kinds & WAITING_KINDS:
        yield from check_every_result_is_delivered(folder, jobs, store)
    yield from check_requests_are_bounded(plan, recorder, jobs)
    yield from check_own_pictures_in_messages(board, jobs, recorder, kinds)
    yield from check_no_message_stays_behind(board)
    yield from check_every_page_is_shown(board, jobs, recorder, workflows)
    yield from check_deleted_messages_stay_away(board)
    yield from check_the_gallery(store, jobs, recorder)
    yield from check_operators_are_heard(store)
    if not kinds & WAITING_KINDS:
        yield from check_late_edits_are_refused(board, recorder)
    orphans = recorder.servers.orphans | {taken.prompt for job in recorder.hurt for taken in recorder.taken[job]}
    for network in networks:
        if network.dead:
            continue
        for item in network.queue:
            if item[3].get("client_id") != "somebody else" and item[1] not in orphans:
                yield f"{network.name} still has {item[1]}, and nobody waits for it"


def times_of(transitions: Sequence[TransitionRow], began: float) -> Times:
    """When a job was accepted, ended and was shown."""
    shown = next((line.at for line in transitions if line.transition.cause == SHOWN), float("inf"))
    ends = [line.at for line in transitions if line.transition.state in ENDS and line.at <= shown]
    return Times(transitions[0].at + began, ends[-1] + began if ends else float("inf"), shown + began)


def check_a_hang_stays_with_its_message(
    job: Job, transitions: Sequence[TransitionRow], board: Board, recorder: Recorder, began: float
) -> Iterator[str]:
    """While nothing is wrong but that calls about some message hang, every other job's end is shown at once.

    A new message waits only where its channel hangs, and then every job of the channel does.
    """
    waited = board.answers.waited
    own = {message.number for message in board.messages if message.said_of(job.id)}
    ends = [line.at + began for line in transitions if line.transition.state in ENDS and line.transition.cause != SHOWN]
    shown = [line.at + began for line in transitions if line.transition.cause == SHOWN]
    if not waited or None in waited or waited & own or not ends or not shown:
        return
    if shown[0] > ends[-1] + AT_ONCE and recorder.well(ends[-1], ends[-1] + AT_ONCE):
        yield f"{job.id} was shown {shown[0] - ends[-1]:.1f} s after its end, although nothing of its own hung"


def check_cancel_is_answered(transitions: Sequence[TransitionRow]) -> Iterator[str]:
    """Whoever cancels a job reads within ten seconds how it ended."""
    asked = next((line for line in transitions if line.transition.cause == "to be cancelled"), None)
    if asked is None:
        return
    ends = [line.at for line in transitions if line.transition.state in ENDS and line.at >= asked.at]
    if not ends or ends[0] - asked.at > ANSWERED:
        yield f"{asked.transition.job} was cancelled, and its end was not known within {ANSWERED:.0f} s"


def check_requests_are_bounded(plan: Plan, recorder: Recorder, jobs: Mapping[JobId, Job]) -> Iterator[str]:
    """No file is asked for, and no job is sent, again and again: only as often as something went wrong."""
    # A change of all servers may move a job several times.
    troubles = 1 + sum(plan.servers if fault.kind.endswith("_all") else 1 for fault in plan.faults)
    # While the disk is full, each file is tried every two seconds.
    waits = sum(fault.seconds / WAIT for fault in plan.faults if fault.kind == "results_full")
    for path, count in recorder.fetched.items():
        if count > MOST_TRIES + troubles + waits:
            yield f"{Path(path).name} was fetched {count} times"
    for job in jobs.values():
        if job.tries > 1 + troubles:
            yield f"{job.id} was sent {job.tries} times"


def check_batch(lead: Job, jobs: Mapping[JobId, Job], transitions: Sequence[TransitionRow]) -> Iterator[str]:
    """Each picture of a batch is made by one job, and each result is part of the result of all, once and in order.

    What was made before somebody cancelled the others stays; it is given up only if they cancel the whole result.
    """
    parts = batch_of(lead, jobs)[1:]
    if [part.request.part for part in parts] != list(range(1, lead.request.pictures)):
        yield f"{lead.id} has {1 + len(parts)} of its {lead.request.pictures} pictures"
    for part in parts:
        if expected(part.request.graph) != expected(lead.request.graph, part.request.part):
            yield f"{part.id} makes another picture than number {part.request.part} of {lead.id}"
    causes = [line.transition.cause for line in transitions]
    if GATHERED not in causes:
        yield f"{lead.id} ended before all of its {lead.request.pictures} pictures had"
        return
    own = own_end(transitions) == "finished"
    finished = [end for part in parts if isinstance(end := part.terminal_update, Finished)]
    if not isinstance(lead.terminal_update, Finished):
        given_up = "to be cancelled" in causes[causes.index(GATHERED) :]
        if (own or finished) and not given_up:
            yield f"{lead.id} ended without the {own + len(finished)} pictures that were made"
        return
    files = lead.terminal_update.files
    first = [file for file in files if f"-{lead.id[:8]}-01" in Path(file).name]
    if files != (*first, *(file for end in finished for file in end.files)) or bool(first) > own:
        yield f"the result of {lead.id} is not that of its {lead.request.pictures} pictures"
    if made_of(lead) != own + len(finished):
        yield f"{lead.id} says that {made_of(lead)} pictures were made, and {own + len(finished)} were"


def batch_of(lead: Job, jobs: Mapping[JobId, Job]) -> list[Job]:
    """A job with those of its batch, in order, but for those that an edit has left out."""
    parts = [job for job in jobs.values() if job.request.lead == lead.id and not _left_out(job)]
    return [lead, *sorted(parts, key=lambda part: part.request.part)]


def _left_out(job: Job) -> bool:
    """Whether an edit has left out this part of a batch: it was cancelled, and nobody cancelled it."""
    return bool(job.request.lead) and isinstance(job.terminal_update, Cancelled) and not (job.cancelling or job.tries)


def made_of(job: Job) -> int:
    """How many of its pictures a job says were made, if it has ended with any."""
    notes = job.terminal_update.notes if isinstance(job.terminal_update, Finished) else ()
    return next((note.made for note in notes if isinstance(note, BatchIncomplete)), job.request.pictures)


def own_end(transitions: Sequence[TransitionRow]) -> str:
    """How a job ended by itself, whatever became of the batch that it leads."""
    ended = ""
    for line in transitions:
        if line.transition.cause == GATHERED:
            break
        if line.transition.state in ENDS and line.transition.cause != SHOWN:
            ended = line.transition.state
    return ended


def check_no_part_is_left(folder: Path) -> Iterator[str]:
    """No file that was not written whole is left."""
    for part in folder.rglob("*.part"):
        yield f"{part.name} is left"


def check_every_result_is_delivered(folder: Path, jobs: Mapping[JobId, Job], store: Store) -> Iterator[str]:
    """A job that finished leaves no file on the disk but its results, even if another attempt had produced some.

    Of a batch, pictures that were not made may have left some, as other jobs may.
    """
    for job in jobs.values():
        if not isinstance(job.terminal_update, Finished) or job.request.lead:
            continue
        unmade = [part for part in batch_of(job, jobs)[1:] if not isinstance(part.terminal_update, Finished)]
        unmade += [job] if own_end(store.transitions(job.id)) != "finished" else []
        numbers = [f"-{job.id[:8]}-{each.request.part + 1:02}" for each in unmade]
        for file in folder.rglob(f"*-{job.id[:8]}-*"):
            if str(file) not in job.terminal_update.files and not any(number in file.name for number in numbers):
                yield f"{file.name} is left of {job.id}"


def check_own_pictures_on_disk(job: Job, kinds: set[Kind]) -> Iterator[str]:
    """The files of a job hold the bytes of its own pictures, and each of them once."""
    if not isinstance(job.terminal_update, Finished):
        return
    files = [Path(file).read_bytes() for file in job.terminal_update.files if Path(file).is_file()]
    yield from _own(f"{job.id} has on disk", files, job, kinds)


def check_own_pictures_in_messages(
    board: Board, jobs: Mapping[JobId, Job], recorder: Recorder, kinds: set[Kind]
) -> Iterator[str]:
    """A person's message shows only jobs of that person, with the bytes of their own pictures and previews."""
    for message in board.messages:
        for card in message.said:
            if (job := jobs.get(about(card))) is None:
                continue
            if message.person not in {"", job.request.owner}:
                yield f"message {message.number} of {message.person} shows {job.id} of {job.request.owner}"
            given = [upload for upload in card.uploads if upload.name.startswith("before-")]
            made = [upload for upload in card.uploads if upload not in given]
            data = [upload.data for upload in made if not upload.name.startswith("preview.")]
            if any(upload.data != Path(str(job.request.values.get("photo"))).read_bytes() for upload in given):
                yield f"message {message.number} shows {job.id} beside a picture that it was not made from"
            yield from _own(f"message {message.number} shows", data, job, kinds)
            if is_last_word(card):
                promised = job.terminal_update.files if isinstance(job.terminal_update, Finished) else ()
                if is_taken_back(job, recorder) or job.id in recorder.deleted or is_plain(card, job, board):
                    continue
                if len(data) != len(promised[:MOST_PICTURES]) and not is_apology(card, job, recorder):
                    yield f"message {message.number} shows {len(data)} of {len(promised)} of {job.id}"
                continue
            prompts = {taken.prompt for each in batch_of(job, jobs) for taken in recorder.taken[each.id]}
            for preview in [upload.data for upload in card.uploads if upload.name.startswith("preview.")]:
                made = next((of for whole, of in recorder.previews.items() if whole.startswith(preview)), set[str]())
                if prompts.isdisjoint(made):
                    yield f"message {message.number} shows {job.id} with a preview of somebody else"


def _own(where: str, files: Sequence[bytes], job: Job, kinds: set[Kind]) -> Iterator[str]:
    due = expected_of(job.request)
    for file in files:
        whole = file in due
        # A frame of a picture that breaks off cannot be told from a whole one.
        broke_off = "garbage" in kinds and streams(job.request.workflow) and any(one.startswith(file) for one in due)
        if not whole and not broke_off:
            yield f"{where} a picture that is not of {job.id}: {file[:30]!r}"
    if len(set(files)) < len(files) and not streams(job.request.workflow):
        yield f"{where} a picture of {job.id} twice"


def is_apology(card: Card, job: Job, recorder: Recorder) -> bool:
    """Whether it only says that something went wrong while this job was shown."""
    return job.id in recorder.unshowable and "Something" in str(card)


def is_plain(card: Card, job: Job, board: Board) -> bool:
    """Whether it only says that Discord does not take the result, after Discord refused it on every route."""
    return board.may_be_plain(job.id) and card == plain_card(job)


def is_taken_back(job: Job, recorder: Recorder) -> bool:
    """Whether it was cancelled, perhaps after its result was posted and before we knew that it was."""
    return recorder.is_asked_back(job) and isinstance(job.terminal_update, Cancelled)


def check_faults_stay_with_their_job(job: Job, recorder: Recorder) -> Iterator[str]:
    """An unexpected exception in one job's data fails that job at most, and says so; nobody else's."""
    wrong = isinstance(job.terminal_update, Failed) and SOMETHING in reason_text(job.terminal_update.reason)
    if wrong and not recorder.is_hurt(job):
        yield f"{job.id} failed because something went wrong with another job"


def check_operators_are_heard(store: Store) -> Iterator[str]:
    """Every request that an operator left in the journal was carried out."""
    for request in store.requests():
        yield f"an operator asked to {request.verb} {request.job}, and nothing happened"


def check_late_edits_are_refused(board: Board, recorder: Recorder) -> Iterator[str]:
    """Whoever edits a job that no longer waits is told that nothing was changed."""
    for sent in recorder.edits.sent:
        if recorder.edits.refused(sent) and sent.token not in board.followed_up:
            yield f"an edit of {sent.job} came too late, and nobody said so"


def check_deleted_messages_stay_away(board: Board) -> Iterator[str]:
    """A job whose message the bot knows to be deleted is not shown in that channel again without being asked for.

    It does not know it as long as Discord answers otherwise, or if it dies before it has recorded it.
    """
    for message in board.messages:
        removed = [
            m for m in board.messages if m.job == message.job and m.person and m.heard_at < message.born - MEANWHILE
        ]
        if removed and not message.person and not message.page and message.channel == CHANNEL:
            yield f"{message.job} is in message {message.number}, after message {removed[0].number} was deleted"


def check_the_gallery(store: Store, jobs: Mapping[JobId, Job], recorder: Recorder) -> Iterator[str]:
    """Every result is in the gallery once, and others see only what is in the channel where it was asked for."""
    everything = [row.entry.job for row in store.gallery(GalleryQuery(), Audience("", everything=True), None, 1000)]
    if len({*everything}) < len(everything):
        yield f"the gallery has something twice: {everything}"
    results = {job.id for job in jobs.values() if is_shown(job)}
    if wrong := ({*everything} ^ results) - recorder.deleted:
        yield f"the gallery lacks these results, or has too many: {sorted(wrong)}"
    for row in store.gallery(GalleryQuery(), Audience("nobody"), None, 1000):
        place = message_ref.read(row.place)
        if place is not None and (place.deleted or place.channel != row.entry.channel):
            yield f"others see {row.entry.job} in the gallery, which is not in the channel where it was asked for"


def check_every_page_is_shown(
    board: Board, jobs: Mapping[JobId, Job], recorder: Recorder, workflows: Mapping[str, Workflow]
) -> Iterator[str]:
    """Each message that continues a result is where the journal says, and shows the rest of the files."""
    posted = {message.nonce: message for message in board.messages if message.page}
    for job in [job for job in jobs.values() if not job.request.lead]:
        own = {number: posted[key] for number in range(1, 10) if (key := nonce(job.id, number)) in posted}
        for number, message in own.items():
            for card in message.said:
                yield from _own(f"page {number} of {job.id} shows", [one.data for one in card.uploads], job, set())
        if not isinstance(job.terminal_update, Finished) or job.id in recorder.deleted or board.may_be_plain(job.id):
            continue
        place, pages = message_ref.read(job.place), last_cards(job, workflows)[1:]
        numbers = [int(message) for _, message in place.continuations] if place is not None else []
        if len(numbers) != len(pages):
            yield f"{job.id} has {len(numbers)} of {len(pages)} more messages"
        for page, message in zip(pages, (board.messages[number] for number in numbers), strict=False):
            if message.said[-1] != page and not message.stuck and board.is_there(message):
                yield f"message {message.number} does not show the rest of {job.id}"


def check_no_message_stays_behind(board: Board) -> Iterator[str]:
    """No message says in the end that its job still goes on; but one may say that there was never a job.

    A message that refused the last edit stays as it was: Discord leaves the bot no other way to change it. Nobody sees
    what a removed channel showed.
    """
    for message in board.messages:
        if not message.said or message.ended or message.page or message.stuck or not board.is_there(message):
            continue
        refused = not message.job and FAREWELL not in str(message.said[-1])
        if not refused and not any(elsewhere in str(message.said[-1]) for elsewhere in ELSEWHERE):
            yield f"message {message.number} says in the end that {message.job} goes on"


def _shown(
    job: Job, board: Board, recorder: Recorder, workflows: Mapping[str, Workflow], kinds: set[Kind]
) -> Iterator[str]:
    """The person of a job knows how it ended: from one message, which says what is true."""
    shown = {message.number: cards for message in board.messages if (cards := message.said_of(job.id))}
    results = {number: [card for card in cards if is_last_word(card)] for number, cards in shown.items()}
    lasting = [number for number, cards in results.items() if cards and not board.messages[number].deleted]
    deleted = any(message.deleted and message.person == job.request.owner for message in board.messages)
    deleted |= any(board.messages[number].deleted for number in shown)
    # A message may show the end without our knowing it, and refuse the next edit.
    most = 1 + bool(kinds & UNEDITABLE) + board.oddities[job.id]
    if not 1 <= len(lasting) <= most and not (deleted and not lasting):
        yield f"{job.id} has {len(lasting)} messages with a last word"
    if job.id in recorder.deleted:
        return
    due = last_cards(job, workflows)[0]
    for number, cards in results.items():
        if not cards:
            continue
        if kinds & AWAY and due not in cards:
            # What it was made from may have been on a disk that could not be reached.
            due = last_cards(job, workflows, beside=False)[0]
        if kinds & AWAY:
            # A result that another front has fetched again has another number in its name.
            cards = [due if _unnumbered(card) == _unnumbered(due) else card for card in cards]
        after = shown[number][shown[number].index(due) :] if due in shown[number] else []
        # What a front has sent that another one has replaced may arrive later; then the result is shown once more.
        if any(not is_last_word(card) for card in after) and not kinds & AWAY:
            yield f"{job.id} went on in message {number} after its last word"
        told = [card for card in cards if card != due]
        apologies = [card for card in told if is_apology(card, job, recorder) or is_plain(card, job, board)]
        if is_taken_back(job, recorder):
            apologies = told
        ends = cards[-1] == due or is_plain(cards[-1], job, board) or not board.is_there(board.messages[number])
        # A post whose answer was lost cannot be changed where Discord refuses to post it again: nobody knows its id.
        ends |= most > 1 and is_taken_back(job, recorder) and board.messages[number].nonce != ""
        # It showed a result, and says since then where the end is.
        ends |= any(elsewhere in str(board.messages[number].said[-1]) for elsewhere in ELSEWHERE)
        if len(told) > len(apologies) or not ends:
            yield f"{job.id} was told {told}, and is {job.terminal_update}"


def _unnumbered(card: Card) -> str:
    return re.sub(r"-\d\d\.png", ".png", repr(card))


def _story(transitions: Sequence[TransitionRow], *, hurt: bool) -> Iterator[str]:
    """Versions only grow, an attempt never goes back, and an end stays the end.

    But a job that is `hurt` may fail while its results are on their way, although its server is done with it.
    """
    version, end, reached = -1, "", dict[str, State]()
    ends = set[str]()
    for line in transitions:
        step = line.transition
        if step.version < version:
            yield f"{step.job} went back from version {version} to {step.version}"
        version = step.version
        state = State[step.state.upper()]
        if step.cause == GATHERED:
            # From here on it is the end of its batch.
            end, reached[step.prompt] = step.state, state
            ends.add(end)
            continue
        if state is State.ACCEPTED and not step.prompt:
            # An attempt that was given up may be taken back, and counts from the start then.
            reached.clear()
        # What was shown counts, even if the job was cancelled while it was shown.
        counts = state is State.DELIVERED or (step.cause == SHOWN and step.state in ends)
        if state < reached.get(step.prompt, State.ACCEPTED) and step.prompt and not counts:
            yield f"{step.job} went back from {reached[step.prompt].name.lower()} to {step.state}"
        reached[step.prompt] = state
        if any(moves in step.cause for moves in MOVES):
            # Its results are on a server that is gone, so they are made again on another.
            end = ""
        fails = step.state == "cancelled" or (hurt and (end, step.state) == ("finished", "failed"))
        if end and not fails and not counts and step.state != end:
            yield f"{step.job} was {end}, and became {step.state}"
        if step.state in ENDS:
            end = step.state
            ends.add(end)


def _deserved(job: Job, transitions: Sequence[TransitionRow], kinds: set[Kind], recorder: Recorder) -> Iterator[str]:
    """No job ends otherwise than its server, or whoever meddled with it, made it end."""
    ending = ending_of(job.request.workflow)
    prompts = {line.transition.prompt for line in transitions}
    hurt = recorder.is_hurt(job)
    match job.terminal_update:
        case Finished(files=files):
            kept = recorder.is_deleted(job) or all(Path(file).is_file() for file in files)
            whole = len(files) == made_of(job) * len(expected(job.request.graph)) and kept
            wrong = {"malformed", "unread_history", "view_500", "cut_short", "slow_view"}
            missing = kinds & wrong or streams(job.request.workflow)
            if ending != "well" or not (whole or missing):
                yield f"{job.id} was delivered with {files}, and should have ended: {ending}"
        case Failed():
            wrong = {"post_500", "post_500_effect", "malformed", "unread_history"}
            away = kinds & AWAY and isinstance(job.terminal_update.reason, InputUnreadable)
            if ending == "well" and not kinds & wrong and not hurt and not away:
                yield f"{job.id} failed, and nothing was wrong with it"
        case Cancelled():
            left_out = transitions[-1].transition.cause.startswith("edited by")
            if not left_out and not recorder.is_asked_back(job) and not prompts & recorder.interrupted:
                yield f"{job.id} was cancelled, and nobody had asked for it"
        case Lost():
            # A batch may be lost with another of its jobs.
            if len(prompts - {""}) < 2 and own_end(transitions) == "lost":
                yield f"{job.id} was lost after one try"
        case None:
            pass


def _outlived(
    job: Job, transitions: Sequence[TransitionRow], recorder: Recorder, began: float, longest_step: float
) -> Iterator[str]:
    """No server works for a job that has ended, unless nobody could tell it so."""
    end = next((line.at + began for line in transitions if line.transition.state in ENDS), float("inf"))
    for taken in recorder.taken[job.id]:
        at = taken.network.simulator.ended_at.get(taken.prompt, float("-inf"))
        heard = recorder.withdrawn.get(taken.prompt, float("inf"))
        if taken.network.dead or at <= end + HEARD or taken.prompt in recorder.servers.orphans:
            continue
        # It stops only between two steps.
        if (heard > end + HEARD and recorder.well(end, at)) or at > max(end, heard) + longest_step + HEARD:
            yield f"{taken.prompt} ran on for {at - end:.1f} s after the end of its job"


def _taken_back(job: Job, transitions: Sequence[TransitionRow], recorder: Recorder, began: float) -> Iterator[str]:
    """What is taken back ends cancelled, and is not sent anew, unless its server was done before it heard of it."""
    asked = next((place for place, line in enumerate(transitions) if line.transition.cause == "to be cancelled"), None)
    if asked is None:
        return
    if any(
        line.transition.state == "submitting" and line.transition.cause.startswith("try")
        for line in transitions[asked:]
    ):
        yield f"{job.id} was sent although it had been taken back"
    if isinstance(job.terminal_update, Cancelled) or (ended := own_end(transitions)) == "cancelled":
        return
    if transitions[asked].transition.state == "accepted":
        yield f"{job.id} was taken back while it waited with us, and ended {ended}"
    for taken in recorder.taken[job.id]:
        at_server = taken.network.simulator.ended_at.get(taken.prompt)
        heard = recorder.withdrawn.get(taken.prompt, float("inf")) + CHECKS
        if recorder.well(at := transitions[asked].at + began, at + HEARD):
            heard = min(heard, at + HEARD)
        if at_server is not None and at_server > heard:
            yield f"{job.id} was taken back {at_server - heard:.1f} s before its end, which did not win"
