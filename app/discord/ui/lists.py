"""The pages of /jobs and /queue. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.core.jobs.job import Entry, Job, State
from app.core.journal_port import JobPage
from app.discord import custom_id, message_ref
from app.discord.text import escape, one_line, shorten
from app.discord.ui.components import INK, Block, Button, Card, Choice, Illustrated, Line, Row, Select, Text, Upload
from app.events import JobId
from app.texts.discord import lists as texts

JOBS_ON_A_PAGE = 8
"""Jobs on one page: each takes three of Discord's forty components."""

LONGEST_PROMPT = 90
"""Characters of a prompt in a list: one line on a computer, two on a phone."""

LONGEST_NAME = 40
"""Characters of the name of a workflow or model."""

LONGEST_NOTE = 120
"""Characters of the reason why something waits."""

MOST_RUNNING = 8
MOST_WAITING = 10
MOST_OWN = 5
"""Requests of the queue that are shown: those that run, the next ones, and the asking person's own behind them."""

MOST_TEXT = 3500
"""Characters of a list: the rest of Discord's 4,000 is for its head and its end."""

JOBS, NEWER, QUEUE = "jobs", "newer", "queue"
"""Verbs of the buttons that show another page. The key of the page is where other buttons have their job."""

PAGES = frozenset({JOBS, NEWER, QUEUE})

FIRST = "0"
"""The key of the first page."""

STATE_NAMES = {
    State.ACCEPTED: "waiting",
    State.SUBMITTING: "waiting",
    State.QUEUED: "waiting",
    State.RUNNING: "running",
    State.FINISHED: "finished",
    State.DELIVERED: "finished",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.LOST: "lost",
}

FINISHED_STATES = (State.FINISHED, State.DELIVERED)

FILTERS: Sequence[tuple[str, Collection[State]]] = (
    (texts.ALL, ()),
    (texts.UNFINISHED, (State.ACCEPTED, State.SUBMITTING, State.QUEUED, State.RUNNING)),
    (texts.FINISHED, FINISHED_STATES),
    (texts.FAILED, (State.FAILED, State.LOST)),
    (texts.CANCELLED, (State.CANCELLED,)),
)
"""What /jobs can be limited to. Buttons hold the number of their filter, counted from 1."""


class JobsPage(Struct, frozen=True):
    """A page of somebody's jobs: `number` is that of its filter, from 1.

    `titles` are those of the workflows, and `names` the models that made each job, "" for none.
    """

    page: JobPage
    number: int = 1
    titles: Mapping[JobId, str] = {}
    names: Mapping[JobId, str] = {}
    thumbnails: Mapping[JobId, Upload] = {}
    help_command: str = ""


def jobs(shown: JobsPage) -> Card:
    """The page of somebody's own jobs, newest first."""
    page, number = shown.page, shown.number
    blocks: list[Block] = [Text(f"### {texts.JOBS}")]
    if page.entries or number > 1:
        blocks.append(_filters(number))
    if not page.entries:
        blocks.append(Text(texts.NO_SUCH_JOBS if number > 1 else texts.NO_JOBS))
        if number == 1 and shown.help_command:
            blocks.append(Text(f"-# {texts.try_examples(shown.help_command)}"))
    blocks += [_job(entry, shown) for entry in page.entries]
    buttons: list[Button] = []
    if page.newer is not None:
        buttons.append(Button(texts.NEWER, custom_id.write(NEWER, str(page.newer), result=number), emoji="◀"))
    if page.older is not None:
        buttons.append(Button(texts.OLDER, custom_id.write(JOBS, str(page.older), result=number), emoji="▶"))
    blocks += [Row(tuple(buttons))] if buttons else []
    return Card(tuple(blocks), INK)


def _filters(number: int) -> Select:
    choices = tuple(Choice(label, str(each)) for each, (label, _) in enumerate(FILTERS, 1))
    return Select(custom_id.write(JOBS, FIRST), texts.SHOW, choices, chosen=str(number))


def _job(entry: Entry, shown: JobsPage) -> Block:
    job = entry.job
    place = message_ref.read(job.place)
    workflow = one_line(shown.titles.get(job.id, job.request.workflow), LONGEST_NAME)
    prompt, model = prompt_line(job), one_line(shown.names.get(job.id, ""), LONGEST_NAME)
    title, name = (prompt, model or workflow) if prompt else (workflow, model)
    link = f"[{texts.MESSAGE}]({place.link})" if place and place.message and not place.deleted else ""
    count = texts.pictures(job.request.pictures) if job.request.pictures > 1 else ""
    when = f"<t:{round(entry.accepted)}:R>"
    about = texts.state_line(STATE_NAMES[job.state], when, " · ".join(filter(None, [name, count])), link)
    text = f"**{title}**\n-# {about}"
    if job.terminal_update is None:
        return Line(text, Button(texts.CANCEL, custom_id.write("cancel", job.id)))
    if (thumbnail := shown.thumbnails.get(job.id)) is not None:
        return Illustrated(text, thumbnail)
    return Text(text)


def prompt_line(job: Job) -> str:
    """The prompt of a job, as the line of a list; "" if it has none that can be seen."""
    return one_line(str(job.request.values.get("prompt", "")), LONGEST_PROMPT)


class QueueRow(Struct, frozen=True, kw_only=True):
    """One request of the queue, as one person may read of it.

    `title` is its prompt, not yet escaped, and `private` says that this person may not read it, nor who asked.
    `position` counts the requests ahead of it, None once it runs; `place` is its place in line, from 1. `expected` is
    when it starts or ends, in seconds since 1970, None if that is not known. `server` is the public name of the server
    that has it, "" if none has.
    """

    job: JobId
    owner: str
    position: int | None
    title: str = ""
    place: int = 0
    own: bool = False
    private: bool = False
    made_with: str = ""
    link: str = ""
    server: str = ""
    expected: int | None = None
    note: str = ""
    pictures: int = 1


def selected(rows: Sequence[QueueRow]) -> tuple[list[QueueRow], list[QueueRow]]:
    """Those of these rows that run and those that wait, as far as a page shows them, in order."""
    running = [row for row in rows if row.position is None]
    # What is known of places may be from different moments, so that two may have the same.
    in_line = sorted((row for row in rows if row.position is not None), key=_order)
    waiting = [replace(row, place=place) for place, row in enumerate(in_line, 1)]
    own_later = [row for row in waiting[MOST_WAITING:] if row.own][:MOST_OWN]
    return sorted(running, key=lambda row: not row.own)[:MOST_RUNNING], [*waiting[:MOST_WAITING], *own_later]


def _order(row: QueueRow) -> tuple[int, float, str]:
    return row.position or 0, row.expected or math.inf, row.job


def queue(running: Sequence[QueueRow], waiting: Sequence[QueueRow], counts: tuple[int, int]) -> Card:
    """The page of everybody's unfinished requests: the `selected` ones, of these counts that run and wait."""
    refresh = Row((Button(texts.REFRESH, custom_id.write(QUEUE, FIRST), emoji="🔄"),))
    if not any(counts):
        return Card((Text(f"### {texts.QUEUE}"), Text(texts.EMPTY_QUEUE), refresh), INK)
    blocks: list[Block] = [Text(f"### {texts.QUEUE}\n-# {texts.counts(*counts)}")]
    room = MOST_TEXT
    for heading, rows, count in ((texts.RUNNING, running, counts[0]), (texts.WAITING, waiting, counts[1])):
        lines: list[str] = []
        for row in rows:
            line = _row(row)
            if (room := room - len(line) - 1) < 0:
                break
            lines.append(line)
        if further := count - len(lines):
            lines.append(f"-# {texts.further(further)}")
        if count:
            blocks.append(Text("\n".join([f"**{heading}**", *lines])))
    return Card((*blocks, refresh), INK)


def _row(row: QueueRow) -> str:
    when = f"<t:{row.expected}:R>" if row.expected is not None else ""
    if row.position is None:
        mark, timing = "▶", texts.done(when) if when else ""
    else:
        mark, timing = texts.place(row.place), texts.starts(when) if when else ""
    server = texts.on_server(escape(shorten(row.server, LONGEST_NAME))) if row.server else ""
    note = escape(shorten(row.note, LONGEST_NOTE))
    if row.private:
        about = [server, timing]
        title = f"_{texts.PRIVATE}_"
    else:
        count = texts.pictures(row.pictures) if row.pictures > 1 else ""
        link = f"[{texts.MESSAGE}]({row.link})" if row.link else ""
        about = [f"<@{row.owner}>", one_line(row.made_with, LONGEST_NAME), count, server, timing, note, link]
        title = one_line(row.title, LONGEST_PROMPT) or one_line(row.made_with, LONGEST_NAME)
        title = f"**{title}**" if row.own else title
    shown = " · ".join(filter(None, about))
    return f"{mark} {title}\n-# {shown}" if shown else f"{mark} {title}"
