"""What a job's message shows. Pure: the same view gives the same card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from msgspec.structs import replace

from app.discord import custom_id
from app.discord.text import escape, shorten
from app.discord.ui.components import (
    LONGEST_ALT_TEXT,
    MOST_BYTES,
    MOST_PICTURES,
    Block,
    Button,
    Card,
    File,
    Gallery,
    Row,
    Text,
    Upload,
    rows,
)
from app.discord.ui.job_view import JobView
from app.events import Cancelled, Failed, Finished, Lost
from app.media_worker.mark import marked
from app.reasons.jobs import JobReason, ResultsMissing
from app.service.follow_ups import results
from app.texts import job_message as texts
from app.texts.reasons import reason_text

WAITING, WORKING, DONE, BROKEN = 0x5865F2, 0xFEE75C, 0x57F287, 0xED4245

LONGEST_TITLE = 90
LONGEST_PROMPT = 450
LONGEST_TEXT = 700
LONGEST_SENTENCE = 250
LONGEST_SETTINGS = 700
"""Characters. Escaping at most doubles them, and texts shown together stay below Discord's 4,000."""

LONGEST_FILE = 10_000_000
"""Bytes of a text that becomes a file: below the 10 MiB that every server takes."""

BAR = 12
"""Squares of the progress bar: the widest that stays on one line on a phone."""

SHOWN = frozenset({"png", "jpg", "jpeg", "webp", "gif", "avif", "mp4", "webm", "mov"})
"""Suffixes of files that Discord shows inline; everything else is a file to download."""

MOST_SIZES = 3
"""Different sizes of results that are named."""

LONGEST_LABEL = 40
"""Characters on a follow-up's button."""

MOST_FOLLOW_UPS = 10
"""Follow-up buttons, in two rows: a message is not a menu."""


def render(view: JobView, uploads: Sequence[Upload] = ()) -> tuple[Card, ...]:
    """All messages of a job, the live message first. `uploads` are the result's files, compressed to fit."""
    match view.terminal_update:
        case None:
            return (_unfinished(view),)
        case Finished() as finished:
            return _finished(view, finished, uploads)
        case Failed(reason=reason):
            return (_ended(view, texts.FAILED, reason_text(reason), BROKEN, retry=True),)
        case Lost(reason=reason):
            return (_ended(view, texts.LOST, reason_text(reason), BROKEN, retry=True),)
        case Cancelled(reason=reason):
            return (_ended(view, texts.CANCELLED, reason_text(reason), None, retry=False),)


def plain(view: JobView) -> Card:
    """A minimal final card, for when Discord refused the real one."""
    send = Button(texts.SEND_AGAIN, custom_id.write("send", view.job), "primary")
    buttons = rows([send, _settings(view), _delete(view)])
    return Card((Text(texts.NOT_POSTED), Text(f"-# <@{view.owner}>"), *buttons), BROKEN)


def moved(view: JobView, link: str) -> Card:
    """What a job's first message says once its result is in another one; `link` is "" for a direct message."""
    return Card((_head(view), Text(texts.moved(link)), Text(f"-# <@{view.owner}>")), DONE)


def _head(view: JobView) -> Text:
    prompt = escape(shorten(view.prompt, LONGEST_PROMPT)).splitlines()
    return Text("\n".join([f"### {escape(shorten(view.title, LONGEST_TITLE))}", *(f"> {line}" for line in prompt)]))


def _unfinished(view: JobView) -> Card:
    blocks: list[Block] = [_head(view)]
    if view.farewell:
        return Card((*blocks, Text(view.farewell)), WAITING)
    when = f"<t:{view.expected}:R>" if view.expected else ""
    if not view.started:
        line = texts.waiting(view.position or 0, when)
        if view.ready:
            line = f"{texts.ready(view.ready, view.pictures)} · {line}"
        blocks.append(Text(_with_note(line, view.note)))
    else:
        blocks.append(Text(_with_note(_progress(view, when), view.note)))
    pictures = list(view.arrived)
    if view.started and view.preview is not None:
        kind = view.preview.media_type.partition("/")[2] or "jpeg"
        data = marked(view.preview.image) if view.mark_previews else view.preview.image
        pictures.append(Upload(f"preview.{kind}", data=data))
    if pictures:
        blocks.append(Gallery(tuple(_shown(view, picture) for picture in pictures[-MOST_PICTURES:])))
    buttons = [Button(texts.EDIT, custom_id.write("edit", view.job))] if view.editable else []
    blocks.append(Row((*buttons, Button(texts.CANCEL, custom_id.write("cancel", view.job), "danger"))))
    return Card(tuple(blocks), WORKING if view.started else WAITING)


def _progress(view: JobView, when: str) -> str:
    progress = view.progress
    if progress is None:
        return texts.STARTED
    done = min(max(progress.fraction, 0.0), 1.0)
    full = int(done * BAR)
    parts = [f"{'▰' * full}{'▱' * (BAR - full)} {int(done * 100)} %"]
    if view.ready:
        parts.append(texts.ready(view.ready, view.pictures))
    if progress.steps:
        parts.append(texts.step(progress.step, progress.steps))
    if progress.node:
        parts.append(escape(shorten(progress.node, 60)))
    if when:
        parts.append(texts.done(when))
    return " · ".join(parts)


def _with_note(text: str, note: JobReason | None) -> str:
    return f"{text}\n-# {escape(shorten(reason_text(note), LONGEST_SENTENCE))}" if note is not None else text


def _ended(view: JobView, word: str, reason: str, accent: int | None, *, retry: bool) -> Card:
    text = f"{word}: {escape(shorten(reason, LONGEST_SENTENCE))}" if reason else f"{word}."
    buttons = [Button(texts.RETRY, custom_id.write("retry", view.job), "primary")] if retry else []
    buttons += [_settings(view), _delete(view)]
    return Card((_head(view), Text(text), Text(f"-# <@{view.owner}>"), *rows(buttons)), accent)


def _finished(view: JobView, finished: Finished, uploads: Sequence[Upload]) -> tuple[Card, ...]:
    shown = [upload for upload in uploads if _suffix(upload.name) in SHOWN]
    others = [upload for upload in uploads if _suffix(upload.name) not in SHOWN]
    words = "\n\n".join(text for text in finished.texts if text.strip())
    blocks: list[Block] = []
    if len(words) > LONGEST_TEXT:
        others.append(_text_file(words))
    elif words:
        blocks.append(Text(escape(words)))
    pages = [
        (*_gallery(view, page), *(File(upload) for upload in page if upload not in shown))
        for page in _pages([*shown, *others])
    ]
    first = pages[0] if pages else ()
    main = Card((_head(view), *first, *blocks, *_foot(view, finished, uploads), *_buttons(view, finished)), DONE)
    return main, *(Card(page, DONE) for page in pages[1:])


def _pages(uploads: Sequence[Upload]) -> list[list[Upload]]:
    """The files of each message, as many as Discord takes in one request."""
    pages: list[list[Upload]] = []
    room = 0
    for upload in uploads:
        size = upload.size or len(upload.data)
        if not pages or len(pages[-1]) == MOST_PICTURES or size > room:
            pages.append([])
            room = MOST_BYTES
        pages[-1].append(upload)
        room -= size
    return pages


def _text_file(text: str) -> Upload:
    data = text.encode()
    if len(data) > LONGEST_FILE:
        data = data[:LONGEST_FILE].decode(errors="ignore").encode() + texts.SHORTENED.encode()
    return Upload("text.txt", data=data)


def _gallery(view: JobView, page: Sequence[Upload]) -> tuple[Block, ...]:
    items = tuple(_shown(view, upload) for upload in page if _suffix(upload.name) in SHOWN)
    return (Gallery(items),) if items else ()


def _shown(view: JobView, upload: Upload) -> Upload:
    """A picture or video with what the job says about it."""
    return replace(upload, spoiler=view.spoiler, alt=shorten(view.prompt.strip() or view.title, LONGEST_ALT_TEXT))


def _foot(view: JobView, finished: Finished, uploads: Sequence[Upload]) -> tuple[Block, ...]:
    parts = [f"<@{view.owner}>"]
    if size := _size(uploads):
        parts.append(size)
    if finished.seed is not None:
        parts.append(texts.seed(finished.seed, view.pictures))
    parts += [f"{escape(setting.title.lower())} {escape(shorten(setting.value, 80))}" for setting in view.settings]
    lines = [f"-# {shorten(' · '.join(parts), LONGEST_SETTINGS)}"]
    if finished.notes:
        lines.append(f"-# {escape(shorten(' '.join(map(reason_text, finished.notes)), LONGEST_SENTENCE))}")
    if view.labelled:
        lines.append(f"-# {texts.LABEL}")
    return (Text("\n".join(lines)),)


def _size(uploads: Sequence[Upload]) -> str:
    """The size of the results in pixels, as they were made; "" if it is unknown."""
    sizes = list(dict.fromkeys(texts.size(*upload.dimensions) for upload in uploads if upload.dimensions is not None))
    return texts.sizes(sizes[:MOST_SIZES], len(sizes[MOST_SIZES:]))


def _buttons(view: JobView, finished: Finished) -> tuple[Row, ...]:
    missing = any(isinstance(note, ResultsMissing) for note in finished.notes)
    buttons = [
        *([Button(texts.FETCH_AGAIN, custom_id.write("fetch", view.job), "primary")] if missing else []),
        Button(texts.AGAIN, custom_id.write("again", view.job), "secondary" if missing else "primary"),
        Button(texts.EDIT_PROMPT, custom_id.write("vary", view.job)),
        _settings(view),
        _delete(view),
    ]
    follow_up = [
        Button(shorten(action.label, LONGEST_LABEL), custom_id.write("use", view.job, action.workflow, action.number))
        for action in view.follow_up
        if results(finished, action)
    ][:MOST_FOLLOW_UPS]
    # Follow-ups get their own rows: buttons that start something new are separate from those about this job.
    return rows(buttons) + rows(follow_up)


def _settings(view: JobView) -> Button:
    return Button(texts.SETTINGS, custom_id.write("settings", view.job))


def _delete(view: JobView) -> Button:
    return Button(texts.DELETE, custom_id.write("delete", view.job), "danger")


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower().lstrip(".")
