"""What the pages of the bot's own commands say. Names and values that come in are already escaped for Discord."""

from __future__ import annotations

from collections.abc import Sequence

SAVE_SETTINGS = "Save as my defaults"
COPY = "Copy as command"
DELETE = "Delete"
TRY_AGAIN = "Try again"
"""Labels of buttons."""

CHANGE = "Change"
"""Above what was done to a picture, in the details of the result."""

STATUS = "Status"
MORE_HEADING = "More"
"""Headings."""

PASTE = "Copy this line, and paste it into the message box."
ATTACH_AGAIN = "Attach the file again: a command cannot hold it."
DELETE_HINT = "Delete removes the message and its files for everybody."
"""What to do with a command that was copied, and what a button does."""

OPEN_PAGE = "Open the page"
"""The label of the link to the web page."""

NO_SAVED_SETTINGS = "You have no saved settings. Press Details below a result, then Save as my defaults."
SAVED_SETTINGS_APPLY = "They apply wherever you set nothing else. Use /settings to see or reset them."
RESET_HINT = "Use `/settings reset:` to reset them."
MORE = "… and more."
DRAINED = "-# Gets no new jobs for now; what it has runs to its end."
NOT_MEASURED = "not measured yet"
PICTURE = "a picture"


def web_page(minutes: int) -> str:
    """What the link below does."""
    return f"This link logs you in. It is yours alone, works once, and is valid for {minutes} minutes."


def page_address(address: str) -> str:
    """The address of the web page, where people can log in."""
    return f"-# Later you can log in with Discord at {address}"


def saved_settings_of(workflow: str) -> str:
    """The heading over the saved settings of one workflow."""
    return f"Your defaults for {workflow}"


def made_by(server: str) -> str:
    """Which server made a result."""
    return f"made by {server}"


def made_from(relative: str) -> str:
    """What a result was made from, as a link."""
    return f"**Made from** {relative}"


def made_into(relatives: Sequence[str]) -> str:
    """What was made from a result, as links."""
    return f"**Made into** {' · '.join(relatives)}"


def job(identifier: str) -> str:
    """The id of a job."""
    return f"Job `{identifier}`"


def file_of(kind: str) -> str:
    """A file that was attached: "video" or "audio"."""
    return f"a {kind} file"


def connection(latency: str, unfinished: int) -> str:
    """The bot's connection to Discord, and its number of unfinished jobs."""
    return f"Discord: {latency} · unfinished jobs: {unfinished}"


def server_offline(name: str) -> str:
    """A server that does not answer."""
    return f"**{name}**: offline"


def server(name: str, version: str, milliseconds: int, running: int, waiting: int, memory: str) -> str:
    """A server that answers; `memory` is how much of it is free, "" if unknown."""
    facts = [f"ComfyUI {version}", f"{milliseconds} ms", f"{running} running, {waiting} waiting"]
    return f"**{name}**: {' · '.join([*facts, *([memory] if memory else [])])}"


def memory(free: str, total: str) -> str:
    """How much memory a server has free."""
    return f"{free} of {total} free"


def not_offered(what: str) -> str:
    """The names of workflows that are not offered, or the reason why one is not."""
    return f"Not offered: {what}"


def gibibytes(size: int) -> str:
    """A size in bytes, as gibibytes."""
    return f"{size / 2**30:.1f} GiB"


def milliseconds(seconds: float) -> str:
    """A time in seconds, as milliseconds; NaN was not measured yet."""
    return f"{seconds * 1000:.0f} ms" if seconds == seconds else NOT_MEASURED
