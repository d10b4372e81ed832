"""What must hold of notifications in every world."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from app.core.jobs.job import Job
from app.events import Cancelled
from tests.simulation.board import CHANNEL, Board
from tests.simulation.notices import way_of
from tests.simulation.plan import Kind
from tests.simulation.recorder import Recorder

AFTER = 30.0
"""Seconds that a job takes, from its acceptance to its result, before its owner is notified."""

AROUND = 2.0
"""Seconds around it in which both is right: the request came a little before the journal had it."""

NOWHERE: set[Kind] = {"channel_closed", "nowhere", "channel_removed", "clock_jumps"}
"""Faults with which no place may take a notification, or with which the bot does not know how long something took."""


class Times(Struct, frozen=True):
    """When a job was accepted, when it ended, and when the journal says that it was shown, in the loop's clock.

    Infinite if it never was.
    """

    accepted: float
    ended: float
    shown: float


def check_notifications(
    job: Job, times: Times, board: Board, recorder: Recorder, default: str, kinds: set[Kind]
) -> Iterator[str]:
    """The owner of a job that took long has one notification, before the journal says that nothing is left to do.

    Where `default` is "off", nobody has one. With some `kinds` of faults there may be none, and where the clock jumps
    there may be two.
    """
    notices, owner = board.notices.of(job.id), job.request.owner
    for posted in notices:
        notice = posted.notice
        if notice.person not in {"", owner} or (posted.channel == CHANNEL and notice.person != owner):
            yield f"a notification of {job.id} mentions {notice.person or 'nobody'}, and its owner is {owner}"
        if notice.reply_to and not board.messages[int(notice.reply_to)].said_of(job.id):
            yield f"a notification of {job.id} replies to a message of another job"
    way = "never" if default == "off" else way_of(owner, default)
    if way == "never" and notices:
        yield f"{owner} was notified of {job.id}, and wants no notifications"
    if len(notices) > 1 and "clock_jumps" not in kinds:
        yield f"{job.id} has {len(notices)} notifications"
    if isinstance(job.terminal_update, Cancelled) and not job.terminal_update.reason:
        # It may have been cancelled after its result was shown.
        return
    if kinds & NOWHERE:
        return
    if notices and times.shown - times.accepted < AFTER - AROUND:
        yield f"{owner} was notified of {job.id}, which took {times.shown - times.accepted:.1f} s"
    if notices and notices[0].at > times.shown + AROUND:
        yield f"{owner} was notified of {job.id} after the journal said that nothing was left to do"
    messages = [message for message in board.messages if message.said_of(job.id)]
    elsewhere = any(message.deleted or message.channel != CHANNEL for message in messages)
    odd = board.oddities[job.id] + board.notices.oddities[job.id] > 0 or job.id in recorder.unshowable
    took_long = times.shown < float("inf") and times.ended - times.accepted > AFTER + AROUND
    if way != "never" and took_long and not notices and not elsewhere and not odd:
        yield f"{owner} was not notified of {job.id}, which took {times.ended - times.accepted:.1f} s"
