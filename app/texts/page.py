"""Every sentence and label of the web page. Templates get this module as `texts`."""

from __future__ import annotations

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

CLOSE = "Close"

KINDS = {"video": "Video", "audio": "Audio", "model": "3D", "text": "Text"}

MODEL = "Model"

MORE_TO_LOOK_AT = "Nothing that you may see is among the newest ones: press Older to look further."

NEWEST = "Newest"

NOTHING_FOUND = "Nothing matches: use fewer words or fewer filters."

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
    "guild": "Nothing that you can see was made on this server: choose another one.",
}

# Refusals.

JOURNAL_UNAVAILABLE = "The bot cannot read its records now: load the page again in a minute."

FORM_NOT_OURS = "This form is out of date: go back, load the page again, and send it once more."

LOGGED_OUT = "You are logged out: load the page again to log in."

NOT_UNDERSTOOD = "This request makes no sense to the page: go back and try again."

NO_SUCH_PAGE = "There is no such page: go to the gallery."

STARTING = "The bot is starting: load the page again in a moment."

TOO_LARGE = "What you sent is too large: shorten it."

TOO_MANY = "You ask for too much at once: wait a minute, and load the page again."

# The login.

LOGIN = "Log in to Atelier"

LOGIN_BY_LINK = "Type /page in Discord, wherever the bot is. It answers with a link that logs you in."
