"""What a job's message says. Names and values that come in are already escaped for Discord."""

from __future__ import annotations

from collections.abc import Sequence

AGAIN = "Again"
CANCEL = "Cancel"
DETAILS = "Details"
EDIT = "Edit"
EDIT_PROMPT = "Edit prompt"
FETCH_AGAIN = "Fetch again"
MORE = "More…"
RETRY = "Retry"
SEND_AGAIN = "Send again"
SETTINGS = "Settings…"
"""Labels of buttons."""

VARY = "Vary"
"""The label of a button that varies one of several pictures, before its number."""

CHANGES = {
    "subtle": "Vary subtle",
    "strong": "Vary strong",
    "zoom": "Zoom out",
    "left": "Pan left",
    "right": "Pan right",
    "up": "Pan up",
    "down": "Pan down",
}
"""The labels of buttons that vary or extend a picture."""

CHANGE_ONE = "Vary, zoom or pan"
"""What a list asks in which a picture is chosen."""

FAILED = "Failed"
LOST = "Lost"
CANCELLED = "Cancelled"
STARTED = "Started."

LABEL = "AI-generated"
"""Below a result, where a server wants it in words."""

OUTSIDE = "After 15 minutes I cannot post here: then I send you the result directly, or you use /show."
"""Below a job in a place where the bot is not."""

NOT_POSTED = "This is done, but Discord did not take the result. It is kept: press Send again."
"""The whole message where Discord refused the real one."""

BEFORE_AND_AFTER = "Left: before · right: after"
"""Below a picture that was changed, which is shown beside what it was made from."""

BEFORE = "Before the change"
"""The description of a picture that was changed, for people who do not see it."""

SHORTENED = "\n… (shortened)\n"
"""The end of a text file that was too long."""


def asked_on_page(person: str) -> str:
    """Who asked for a job whose message is no answer to a command or a button."""
    return f"{person} asked for this on the page."


def moved(link: str) -> str:
    """Where a result is that Discord did not take in its own message; "" is a direct message."""
    return f"Your result is in another message: {link}" if link else "I sent your result to you directly."


def waiting(ahead: int, when: str) -> str:
    """The place of a job that waits; `when` is the expected start as a Discord timestamp, "" if unknown."""
    place = "you are next" if not ahead else f"{ahead} ahead of you"
    return f"In line: {place}" + (f" · starts {when}" if when else "")


def step(number: int, count: int) -> str:
    """The progress of one node."""
    return f"step {number}/{count}"


def done(when: str) -> str:
    """The expected end, as a Discord timestamp."""
    return f"done {when}"


def size(width: int, height: int) -> str:
    """The size of a result in pixels."""
    return f"{width} × {height}"


def sizes(shown: Sequence[str], more: int) -> str:
    """The sizes of results that differ, and how many further ones there are."""
    return ", ".join(shown) + (f" and {more} more sizes" if more > 1 else " and 1 more size" if more else "")


def ready(number: int, count: int, running: int = 0) -> str:
    """How many pictures of a request have arrived, and how many are being made if it is more than one."""
    return f"{number} of {count} ready" + (f", {running} being made" if running > 1 else "")


def took(seconds: float) -> str:
    """How long the server worked on a result; `seconds` is more than 0."""
    if seconds < 9.95:
        return f"{max(0.1, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def described(prompt: str, number: int, count: int) -> str:
    """What a picture shows, for people who do not see it; of several pictures, with its number from 1."""
    return f"Picture {number} of {count}: {prompt}" if count > 1 else prompt


def of_picture(action: str, number: int) -> str:
    """The label of a button for one of several pictures."""
    return f"{action} {number}"


def choose(action: str, count: int) -> str:
    """What a list asks in which one of several pictures is chosen."""
    return f"{action}: choose a picture, 1 to {count}"


def picture(number: int) -> str:
    """One of several pictures, in a list."""
    return f"Picture {number}"


def seed(first: int, count: int) -> str:
    """The seed of a result; that of its first picture if there are several, each of which has the next one."""
    return f"seed `{first}`" if count == 1 else f"seeds from `{first}`"
