"""What a job's message shows. Pure: the same view gives the same card."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.discord import custom_id
from app.discord.text import escape, shorten
from app.discord.ui.components import (
    BUTTONS_IN_A_ROW,
    LONGEST_ALT_TEXT,
    MOST_BYTES,
    MOST_CHOICES,
    MOST_PICTURES,
    Block,
    Button,
    Card,
    Choice,
    File,
    Gallery,
    Row,
    Select,
    Text,
    Upload,
    rows,
)
from app.discord.ui.file_kinds import is_picture, is_shown
from app.discord.ui.job_view import JobView
from app.events import Cancelled, Failed, Finished, Lost
from app.media_worker.mark import marked
from app.reasons.jobs import JobReason, ResultsMissing
from app.service.jobs.follow_ups import FollowUpAction, results
from app.service.jobs.variations import pictures_of
from app.texts.discord import job_message as texts
from app.texts.discord.help import hint_line
from app.texts.model_names import model_name
from app.texts.reasons.text import reason_text
from app.workflows.variations.derive import STRENGTHS

WAITING, WORKING, DONE, BROKEN = 0x5865F2, 0xFEE75C, 0x57F287, 0xED4245

AGAIN, EDIT, DETAILS = "🔄", "✏️", "ℹ️"
"""Emoji on buttons."""

LONGEST_HEADLINE = 125
"""Characters: two lines on a computer. The details have the rest."""

LONGEST_TEXT = 700
LONGEST_SENTENCE = 250
LONGEST_NAME = 60
"""Characters. Escaping at most doubles them, and texts shown together stay below Discord's 4,000."""

LONGEST_FILE = 10_000_000
"""Bytes of a text that becomes a file: below the 10 MiB that every server takes."""

BAR = 12
"""Squares of the progress bar: the widest that stays on one line on a phone."""

MOST_SIZES = 3
"""Different sizes of results that are named."""

LONGEST_LABEL = 40
"""Characters on a follow-up's button."""

MOST_EACH = 2
"""Follow-ups of which every picture has a button. Further ones are offered like others, and ask which picture."""

MOST_FOLLOW_UPS = 3
"""Other follow-ups below a result, in one row with two more buttons; the rest is in "More…"."""


def render(view: JobView, uploads: Sequence[Upload] = (), before: Upload | None = None) -> tuple[Card, ...]:
    """All messages of a job, the live message first.

    `uploads` are the result's files, compressed to fit; `before` is a small version of the picture that was changed.
    """
    match view.terminal_update:
        case None:
            return (_unfinished(view),)
        case Finished() as finished:
            return _finished(view, finished, uploads, before)
        case Failed(reason=reason):
            return (_ended(view, texts.FAILED, reason_text(reason), BROKEN, retry=True),)
        case Lost(reason=reason):
            return (_ended(view, texts.LOST, reason_text(reason), BROKEN, retry=True),)
        case Cancelled(reason=reason):
            return (_ended(view, texts.CANCELLED, reason_text(reason), None, retry=False),)


def plain(view: JobView) -> Card:
    """A minimal final card, for when Discord refused the real one."""
    send = Button(texts.SEND_AGAIN, custom_id.write("send", view.job), "primary")
    return Card((Text(texts.NOT_POSTED), Text(_owner(view)), Row((send, _details(view), _more(view)))), BROKEN)


def moved(view: JobView, link: str) -> Card:
    """What a job's first message says once its result is in another one; `link` is "" for a direct message."""
    return Card((_head(view), Text(texts.moved(link)), Text(_owner(view))), DONE)


def listed(view: JobView) -> list[FollowUpAction]:
    """The follow-ups that are not on the card of a finished job itself, or only without their form."""
    finished = view.terminal_update
    if not isinstance(finished, Finished):
        return []
    each, others = _offered(view, finished)
    return [*each, *others[MOST_FOLLOW_UPS:]]


def _head(view: JobView) -> Text:
    return Text(f"### {escape(_cut(view.headline, LONGEST_HEADLINE))}")


def _cut(text: str, most: int) -> str:
    """Shorten a text, at the end of a word where one ends near."""
    cut = shorten(text, most)
    words = cut.removesuffix("…").rpartition(" ")[0]
    return f"{words.rstrip(' ,;:')}…" if cut != text and len(words) > most * 3 // 4 else cut


def _owner(view: JobView) -> str:
    return f"-# <@{view.owner}>"


def _unfinished(view: JobView) -> Card:
    blocks: list[Block] = [_head(view)]
    if view.from_page:
        blocks.append(Text(f"-# {texts.asked_on_page(f'<@{view.owner}>')}"))
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
        shown = enumerate(pictures, 1)
        described = [_described(view, picture, number, view.pictures) for number, picture in shown]
        blocks.append(Gallery(tuple(described[-MOST_PICTURES:])))
    if view.outside:
        blocks.append(Text(f"-# {texts.OUTSIDE}"))
    buttons: list[Button] = []
    if view.editable:
        buttons.append(Button(texts.EDIT, custom_id.write("edit", view.job)))
        buttons.append(Button(texts.SETTINGS, custom_id.write(custom_id.ADJUST, view.job)))
    blocks.append(Row((*buttons, Button(texts.CANCEL, custom_id.write("cancel", view.job)))))
    return Card(tuple(blocks), WORKING if view.started else WAITING)


def _progress(view: JobView, when: str) -> str:
    progress = view.progress
    if progress is None:
        return texts.STARTED
    done = min(max(progress.fraction, 0.0), 1.0)
    full = int(done * BAR)
    parts = [f"{'▰' * full}{'▱' * (BAR - full)} {int(done * 100)} %"]
    if view.pictures > 1:
        parts.append(texts.ready(view.ready, view.pictures, progress.running))
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
    buttons += [_edit_prompt(view), _details(view), _more(view)]
    return Card((_head(view), Text(text), Text(_foot_line(view, [])), Row(tuple(buttons))), accent)


def _finished(view: JobView, finished: Finished, uploads: Sequence[Upload], before: Upload | None) -> tuple[Card, ...]:
    shown = [upload for upload in uploads if is_shown(upload.name)]
    others = [upload for upload in uploads if not is_shown(upload.name)]
    words = "\n\n".join(text for text in finished.texts if text.strip())
    blocks: list[Block] = []
    if len(words) > LONGEST_TEXT:
        others.append(_text_file(words))
    elif words:
        blocks.append(Text(escape(words)))
    described = [_described(view, upload, number, len(shown)) for number, upload in enumerate(shown, 1)]
    compared = before if len(shown) == 1 and is_picture(shown[0].name) else None
    if compared is not None:
        described.insert(0, replace(compared, alt=texts.BEFORE, spoiler=view.spoiler))
    pages = [_files(page) for page in _pages([*described, *others])]
    foot = _foot(view, finished, uploads, compared=compared is not None)
    first = pages[0] if pages else ()
    main = Card((_head(view), *first, *blocks, foot, *_buttons(view, finished)), DONE)
    return main, *(Card(page, DONE) for page in pages[1:])


def _files(page: Sequence[Upload]) -> tuple[Block, ...]:
    """The files of one message: first those that Discord shows, in a gallery."""
    items = tuple(upload for upload in page if is_shown(upload.name))
    files = [File(upload) for upload in page if not is_shown(upload.name)]
    return (*((Gallery(items),) if items else ()), *files)


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


def _described(view: JobView, upload: Upload, number: int, count: int) -> Upload:
    """A picture or video with what the job says about it."""
    alt = texts.described(view.prompt.strip() or view.title, number, count)
    return replace(upload, spoiler=view.spoiler, alt=shorten(alt, LONGEST_ALT_TEXT))


def _foot(view: JobView, finished: Finished, uploads: Sequence[Upload], *, compared: bool) -> Text:
    parts = [_size(uploads)]
    if finished.seconds > 0:
        parts.append(texts.took(finished.seconds))
    if finished.seed is not None:
        parts.append(texts.seed(finished.seed, view.pictures))
    lines = [f"-# {texts.BEFORE_AND_AFTER}"] if compared else []
    lines.append(_foot_line(view, parts))
    if finished.notes:
        lines.append(f"-# {escape(shorten(' '.join(map(reason_text, finished.notes)), LONGEST_SENTENCE))}")
    if view.hinted:
        lines.append(f"-# {hint_line(texts.EDIT_PROMPT)}")
    if view.labelled:
        lines.append(f"-# {texts.LABEL}")
    return Text("\n".join(lines))


def _foot_line(view: JobView, parts: Sequence[str]) -> str:
    """Whose result it is and what made it, and these parts, as far as they are known."""
    made_with = view.made_with
    name = model_name(made_with) if made_with else view.title if view.title != view.headline else ""
    change = texts.CHANGES.get(view.change, "")
    return " · ".join(filter(None, [_owner(view), change, escape(shorten(name, LONGEST_NAME)), *parts]))


def _size(uploads: Sequence[Upload]) -> str:
    """The size of the results in pixels, as they were made; "" if it is unknown."""
    sizes = list(dict.fromkeys(texts.size(*upload.dimensions) for upload in uploads if upload.dimensions is not None))
    return texts.sizes(sizes[:MOST_SIZES], len(sizes[MOST_SIZES:]))


def _offered(view: JobView, finished: Finished) -> tuple[list[FollowUpAction], list[FollowUpAction]]:
    """The follow-ups that can use the results: those with a button for each result, and the others."""
    usable = [action for action in view.follow_up if results(finished, action)]
    each = [action for action in usable if action.each][:MOST_EACH]
    return each, [action for action in usable if action not in each]


class _Each(Struct, frozen=True):
    """Something that is done at once with one of `count` results. `verb`, `workflow` and `number` are for its id."""

    label: str
    verb: str
    count: int
    workflow: str = ""
    number: int = 1


def _each(view: JobView, finished: Finished, actions: Sequence[FollowUpAction]) -> list[_Each]:
    """What is done with each result: follow-ups, and variations, unless a follow-up takes their place."""
    each = [
        _Each(
            shorten(action.label.rstrip("…"), LONGEST_LABEL),
            "go",
            len(results(finished, action)),
            action.workflow,
            action.number,
        )
        for action in actions
    ]
    count = len(pictures_of(finished))
    if not count or not view.changes.issuperset(STRENGTHS) or any(button.label == texts.VARY for button in each):
        return each
    if count == 1:
        return [*each, *(_Each(texts.CHANGES[strength], strength, 1) for strength in STRENGTHS)]
    return [*each, _Each(texts.VARY, "strong", count)]


def _buttons(view: JobView, finished: Finished) -> tuple[Row | Select, ...]:
    missing = any(isinstance(note, ResultsMissing) for note in finished.notes)
    again = Button(texts.AGAIN, custom_id.write("again", view.job), "secondary" if missing else "primary", emoji=AGAIN)
    fetch = [Button(texts.FETCH_AGAIN, custom_id.write("fetch", view.job), "primary")] if missing else []
    actions, others = _offered(view, finished)
    each = _each(view, finished, actions)
    last = [*(_follow_up(view, action) for action in others[:MOST_FOLLOW_UPS]), _details(view), _more(view)]
    own = [*fetch, again, _edit_prompt(view)]
    counts = [action.count for action in each]
    if not each or max(counts) == 1:
        first = [*own, *(_start(view, action, 0) for action in each)]
        if len(first) + len(last) <= BUTTONS_IN_A_ROW:
            return rows([*first, *last])
        return (*rows(first), *rows(last))
    if max(counts) >= BUTTONS_IN_A_ROW:
        selects = [_select(view, action) for action in each]
        return (*selects, *rows([*own, *last][: 2 * BUTTONS_IN_A_ROW]))
    lines: list[Row] = []
    beside = [*own]
    for action in each:
        numbered = [_start(view, action, number) for number in range(1, action.count + 1)]
        # A button about all of them stands at the end of each line, while there is room.
        lines.append(Row((*numbered, *beside[:1])))
        del beside[:1]
    return (*lines, *rows([*beside, *last]))


def _start(view: JobView, action: _Each, number: int) -> Button:
    """A button that does something at once with one of several results; 0 is the only one."""
    label = texts.of_picture(action.label, number) if number else action.label
    return Button(label, custom_id.write(action.verb, view.job, action.workflow, action.number, number))


def _select(view: JobView, action: _Each) -> Select:
    """A list of many results, with each of which something is done at once."""
    numbers = range(1, min(action.count, MOST_CHOICES) + 1)
    choices = tuple(Choice(texts.picture(number), str(number)) for number in numbers)
    label = texts.choose(action.label, numbers[-1])
    return Select(custom_id.write(action.verb, view.job, action.workflow, action.number), label, choices)


def _follow_up(view: JobView, action: FollowUpAction) -> Button:
    """A button that opens the form of a follow-up."""
    label = shorten(action.label, LONGEST_LABEL)
    return Button(label, custom_id.write("use", view.job, action.workflow, action.number))


def _edit_prompt(view: JobView) -> Button:
    return Button(texts.EDIT_PROMPT, custom_id.write("vary", view.job), emoji=EDIT)


def _details(view: JobView) -> Button:
    return Button(texts.DETAILS, custom_id.write("settings", view.job), emoji=DETAILS)


def _more(view: JobView) -> Button:
    return Button(texts.MORE, custom_id.write("more", view.job))
