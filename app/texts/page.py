"""Every sentence and label of the web page. Templates get this module as `texts`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from app.core.scheduling.line.ahead import Ahead
from app.service.queue.rows import QueueRow, RowProgress
from app.texts.reasons.text import reason_text
from app.texts.wording import shortened

# The frame of every page.

NAME = "Atelier"

GALLERY = "Gallery"

QUEUE = "Queue"

SEARCH = "Search prompts"

SKIP = "Skip to the content"

LOG_IN = "Log in"

LOG_OUT = "Log out"

YOU = "You"

# The gallery.

ALL = "All"

DATES = "Days are those of UTC."

EMPTY = "There is nothing here yet: type /imagine in Discord to make the first picture."

FILTER = "Filter"

FILTERS = "Filters"

FROM = "From"

GUILD = "Server"

HELP_KEY = "?"

KEYS = "Keys"

KEY_HELP = (
    ("←  →  ↑  ↓  J  K", "Move between the pictures"),
    ("Enter", "Open the picture"),
    ("/", "Search"),
    ("Esc", "Back to the gallery"),
    ("?", "Show these keys"),
)

KEYS_ON = "Use J, K, / and ? as keys"

CLOSE = "Close"

KINDS = {"video": "Video", "audio": "Audio", "model": "3D", "text": "Text"}

MODEL = "Model"

MORE_TO_LOOK_AT = "You cannot see the newest results: press Older to look further."

NEWEST = "Newest"

NEW_ONE = "1 new result"

NEW_RESULTS = "New results"

NEW_SOME = "{} new results"

NEW_TOO_MANY = "Many new results"

NOTHING_FOUND = "Nothing matches: use fewer words or fewer filters."

NOTHING_OLDER = "There is nothing older: press Newest."

OLDER = "Older"

PERSON = "Person"

RESULTS = "Results"

SHOW_ALL = "Show all"

SPOILER = "Spoiler"

TIMES = "×"

UNTIL = "To"

UNTITLED = "Without a description"

WORKFLOW = "Made with"

PICTURES = "pictures"


def remove(label: str, value: str) -> str:
    """What the link does that removes a filter."""
    return f"Remove the filter {label}: {value}"


def title_of(search: str) -> str:
    """What the page is called that shows what was found."""
    return f"“{search}”" if search else GALLERY


def not_a_date(text: str) -> str:
    """The refusal of a day that was typed."""
    return f"“{text[:40]}” is not a date: write it as 2026-11-30."


DATES_REVERSED = "The first day is after the last one: swap them."

NO_SUCH_PLACE = "This place in the gallery does not exist: begin with the newest."

TOO_LONG = "This search is too long: use fewer words."

UNKNOWN = {
    "person": "Nobody of this name has made anything that you can see: choose another person.",
    "workflow": "Nothing that you can see was made with this: choose another one.",
    "model": "Nothing that you can see was made with this model: choose another one.",
    "guild": "Nothing that you can see was made in this Discord server: choose another one.",
}

# One picture.

AFTER = "After"

ATTACH_AGAIN = "Attach the file again: a command cannot hold it."

BEFORE = "Before"

COPIED = "Copied"

COPY = "Copy"

COPY_SETTINGS = "Copy the settings"

DELETE = "Delete"

DELETED = "This file was deleted: make it again first."

DELETE_QUESTION = "Delete this result?"

DELETE_WARNING = "Its files and its messages in Discord are deleted for everybody. Nobody can undo this."

DOWNLOAD = "Download"

JOB = "Job"

KEEP_IT = "Keep it"

KEPT = "These settings are your defaults now. Type /settings in Discord to see or reset them."

MADE_BY = "Server"

MADE_FROM = "Made from"

MADE_INTO = "Made into"

NEWER = "Newer"

OPEN_IN_DISCORD = "Open in Discord"

OPEN_LARGE = "Open in full size"

OTHERS = "All of this request"

SAVE = "Save"

SEED = "Seed"

SEE_QUEUE = "See the queue"

SETTINGS = "Settings"

SIZE = "Size"

START = "Start"

STATES = {
    "waiting": "Waiting for a free place on a server.",
    "running": "Being made.",
    "fetching": "Made. Its files are on the way.",
    "finished": "Finished.",
    "failed": "This failed.",
    "cancelled": "This was cancelled.",
    "lost": "The server lost this.",
}

TO_GALLERY = "Back to the gallery"

TOOK = "Took"

TRY_AGAIN = "Try again"


def ago(seconds: float) -> str:
    """How long ago something was."""
    for length, word in (
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (7 * 86_400, "week"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "just now"


def bytes_text(size: int) -> str:
    """The size of a file."""
    if size < 1_000_000:
        return f"{max(1, round(size / 1_000))} kB"
    return f"{size / 1_000_000:.1f} MB"


def described(title: str, number: int, count: int) -> str:
    """What a picture shows, for people who do not see it; of several ones, with its number."""
    return f"{number} of {count}: {title}" if count > 1 else title


def of_picture(action: str, number: int) -> str:
    """The label of a button for one of several pictures."""
    return f"{action}: picture {number}"


def picture_number(number: int) -> str:
    """The link to one of several pictures."""
    return f"Picture {number}"


# Refusals.

JOURNAL_UNAVAILABLE = "The bot cannot read its records now: load the page again in a minute."

FORM_NOT_OURS = "This form is out of date: go back, load the page again, and send it once more."

LOGGED_OUT = "You are logged out: load the page again to log in."

NOT_UNDERSTOOD = "The page does not understand this request: go back and try again."

NO_SUCH_PAGE = "There is no such page: go to the gallery."

STARTING = "The bot is starting: load the page again in a moment."

TOO_LARGE = "What you sent is too large: shorten it."

TOO_MANY = "You ask for too much at once: wait a minute, and load the page again."

# The login.

LOGIN = "Log in to Atelier"

CONTINUE = "Continue"

DISCORD_AWAY = "Discord does not answer just now: wait a minute, and log in again."

LINK_CONTINUE = "This link logs you in, once. Continue only if you got it from the bot yourself."

LINK_OVER = "This link was used or is too old: type /page in Discord for a new one."

LOGIN_CANCELLED = "You did not let Discord say who you are: log in again, or type /page in Discord for a link."

LOGIN_OVER = "This login took too long or began in another browser: log in again."

LOGIN_REFUSED = "Discord did not accept this login: log in again."

LOGIN_WHY = "Discord tells the bot only who you are. You see what you can see in Discord."

LOGIN_WITH_DISCORD = "Log in with Discord"

LOGIN_BY_LINK = "Type /page in Discord, wherever the bot is. It answers with a link that logs you in."

# The queue.

CANCEL = "Cancel"

ENDS = "done in about {}"

HOURS = "{} h"

MINUTES = "{} min"

PREVIEW = "Preview"

PROGRESS = "Progress"

QUEUE_RELOAD = "Load the page again to see what has changed."

SECONDS = "{} s"

SOMEBODY = "Somebody's job"

STARTS = "starts in about {}"


def queue_about(row: QueueRow) -> str:
    """Whose request it is, what makes it, and where."""
    server = f"on {shortened(row.server)}" if row.server else ""
    if row.hidden:
        return server
    count = f"{row.ready} of {row.pictures} pictures ready" if row.ready else f"{row.pictures} pictures"
    about = [
        shortened(row.person),
        shortened(row.title) if row.prompt else "",
        count if row.pictures > 1 else "",
        server,
    ]
    return " · ".join(filter(None, about))


def queue_cancel(row: QueueRow) -> str:
    """The label of a button for who does not see beside which request it is."""
    return f"{CANCEL}: {shortened(queue_title(row))}"


def queue_place(place: int) -> str:
    """A place in line for who does not see the column, 0 for what is being made."""
    return f"{_ordinal(place)} in line" if place else "Being made"


def queue_step(progress: RowProgress) -> str:
    """How far a request is that is being made."""
    percent = f"{100 * progress.fraction:.0f} %"
    return f"{percent} · step {progress.step}/{progress.steps}" if progress.steps else percent


def queue_summary(running: int, waiting: int) -> str:
    """How many requests there are."""
    return f"{running} being made · {waiting} waiting" if running or waiting else "Nothing is being made."


def queue_title(row: QueueRow) -> str:
    """What a request is about."""
    return SOMEBODY if row.hidden else row.prompt or shortened(row.title)


def queue_when(seconds: float, *, starts: bool) -> str:
    """When a request starts or ends; the page says it in the same words while it is open."""
    seconds = max(1.0, seconds)
    if seconds < 60:
        text = SECONDS.format(5 * math.ceil(seconds / 5))
    elif seconds < 5400:
        text = MINUTES.format(round(seconds / 60))
    else:
        text = HOURS.format(round(seconds / 3600))
    return (STARTS if starts else ENDS).format(text)


def queue_why(row: QueueRow) -> str:
    """Why a request waits, or what is unusual while it is made; "" if there is nothing to say."""
    if row.note is not None:
        return reason_text(row.note)
    if row.hidden or not row.place or row.ahead is None:
        return ""
    before = "; ".join(_ahead(row.ahead, than_you=row.own))
    return f"{_ordinal(row.place)}: {before}" if before else ""


def _ahead(ahead: Ahead, *, than_you: bool) -> Iterator[str]:
    if ahead.had_less:
        had = "1 person has" if ahead.had_less == 1 else f"{ahead.had_less} people have"
        yield f"{had} had less time{' than you' if than_you else ''}"
    if ahead.asked_earlier:
        yield f"{'1 person' if ahead.asked_earlier == 1 else f'{ahead.asked_earlier} people'} asked earlier"
    if ahead.preferred:
        fits = "1 person's job fits" if ahead.preferred == 1 else f"{ahead.preferred} people's jobs fit"
        yield f"{fits} a server better now"
    if ahead.own:
        whose = "yours" if than_you else "theirs"
        yield f"1 of {whose} is before it" if ahead.own == 1 else f"{ahead.own} of {whose} are before it"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
