"""What the help page, the welcome and the hint say. Names and values that come in are already escaped for Discord."""

from __future__ import annotations

from typing import NamedTuple


class Example(NamedTuple):
    """An example: the label and emoji of its button, and the prompt that it asks for."""

    label: str
    emoji: str
    prompt: str


EXAMPLES = (
    Example("Lighthouse", "🌊", "a lighthouse on a cliff at dusk, storm clouds, long exposure, dramatic light"),
    Example("Reading fox", "🦊", "a fox in a red scarf reading a newspaper in a cosy café, detailed watercolour"),
    Example("Garden on Mars", "🪴", "a glass greenhouse full of plants on Mars, soft morning light, wide angle"),
)
"""Pictures that everybody can ask for with one press."""

TITLE = "What you can do here"
MAKE = "Make something"
CHANGE = "Change a picture or file"
LOOK = "Your jobs and this bot"
MENUS = "On any message with a picture"
"""Headings."""

TRY = "**Try one now:** press a button, and the picture appears in this channel."
BUTTONS_LAST = "Below a result are buttons that vary, enlarge and change it. They keep working."
MORE = "… and more: type / to see all."


def begin(command: str) -> str:
    """How to begin; `command` can be clicked."""
    return f"Type {command} and say what you want to see. A picture takes a moment; you see it grow."


def command(name: str, identifier: int) -> str:
    """A command that can be clicked; only its name if Discord's id of it is not known."""
    return f"</{name}:{identifier}>" if identifier else f"**/{name}**"


def command_line(command: str, description: str) -> str:
    """One command, and what it makes."""
    return f"{command} {description}"


def menus(names: str) -> str:
    """The message menus on the help page."""
    return f"Open its menu, then **Apps**: {names}."


def welcome(guild: str, command: str, help_command: str) -> str:
    """What the bot says to the person who added it to a Discord server; both commands can be clicked there."""
    return (
        f"### Thank you for adding me to {guild}!\nEverybody there can make pictures and videos now: type {command} and"
        f" say what you want to see. {help_command} lists everything that I can do."
    )


def hello(command: str, help_command: str) -> str:
    """What the bot says in a Discord server that it was added to."""
    return (
        f"### Hello!\nI make pictures and videos. Type {command} and say what you want to see."
        f" {help_command} lists everything that I can do."
    )


def moderators(commands: str) -> str:
    """What moderators can do; the commands can be clicked."""
    return f"-# Moderators set limits and end misuse with {commands}."


def hint(edit: str, help_command: str) -> str:
    """What to do with a first picture: `edit` is the label of a button below it."""
    return (
        f"**Your first picture!** Press **{edit}** below it to change the words; the other buttons vary, enlarge and"
        f" change it. {help_command} shows what else you can do."
    )


def hint_line(edit: str) -> str:
    """The same below the picture itself."""
    return f"Your first picture! Press {edit} to change the words. /help shows what else you can do."
