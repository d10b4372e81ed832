"""The help page, and what greets people: commands that can be clicked, and examples as buttons. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.discord import custom_id
from app.discord.text import escape, shorten, whole_lines
from app.discord.ui.components import INK, Block, Button, Card, Row, Text
from app.discord.ui.options import Command
from app.texts.discord import help as texts
from app.texts.discord.job_message import EDIT_PROMPT

EXAMPLE = "example"
"""The verb of a button that runs an example; its result is the number of the example, from 1."""

ANY_JOB = "help"
"""What stands in its custom id where other buttons have their job."""

LONGEST_DESCRIPTION = 80
"""Characters of what a command does: its line on a computer."""

MOST_TEXT = 3900
"""Characters of the page: Discord allows 4,000."""

LONGEST_NONCE = 25
"""Characters of what keeps a message from being posted twice (Discord's limit)."""

BETWEEN = 30
"""Characters for the marks of headings, and for the line that says that there is more."""


class Commands(Struct, frozen=True):
    """Discord's ids of the registered commands by their names, as far as they are known in one place."""

    ids: Mapping[str, int] = {}

    def mention(self, name: str) -> str:
        """A command that can be clicked, as far as its id is known."""
        return texts.command(name, self.ids.get(name, 0))


class Help(Struct, frozen=True, kw_only=True):
    """What the help page shows. `commands` are those of workflows, `own` and `moderator` the bot's, with what they do.

    `example` is the name of the command that makes the examples, "" if none can be made.
    """

    commands: Sequence[Command]
    own: Mapping[str, str]
    moderator: Mapping[str, str]
    menus: Sequence[str]
    clickable: Commands
    example: str = ""


def help_page(shown: Help) -> Card:
    """The help page."""
    mention = shown.clickable.mention
    make: list[str] = []
    change: list[str] = []
    for command in shown.commands:
        needs_file = any(option.kind == "attachment" and option.required for option in command.options)
        line = _line(mention(command.name), command.description)
        (change if needs_file else make).append(line)
    own = [_line(mention(name), does) for name, does in shown.own.items()]
    last = [f"-# {texts.BUTTONS_LAST}"]
    if shown.menus:
        last.insert(0, f"**{texts.MENUS}** {texts.menus(escape(', '.join(shown.menus)))}")
    if shown.moderator:
        last.append(texts.moderators(" ".join(map(mention, shown.moderator))))
    title = f"## {texts.TITLE}"
    begin = [texts.begin(mention(shown.example))] if shown.example else []
    fixed = [title, *begin, texts.TRY, texts.LOOK, *own, *last]
    room = MOST_TEXT - sum(len(line) + 1 for line in fixed) - 4 * BETWEEN
    blocks: list[Block] = [Text("\n".join([title, *begin]))]
    blocks += _examples(shown.example)
    for heading, lines in ((texts.MAKE, make), (texts.CHANGE, change)):
        if lines:
            kept = whole_lines(lines, room, f"-# {texts.MORE}")
            room -= sum(len(line) + 1 for line in kept)
            blocks.append(Text("\n".join([f"### {heading}", *kept])))
    blocks.append(Text("\n".join([f"### {texts.LOOK}", *own])))
    blocks.append(Text("\n".join(last)))
    return Card(tuple(blocks), INK)


def welcome(guild: str, clickable: Commands, example: str) -> Card:
    """What the bot says after it was added to the Discord server of this name; "" is in that server itself."""
    command, help_command = clickable.mention(example or "help"), clickable.mention("help")
    text = texts.welcome(f"**{escape(guild)}**", command, help_command) if guild else texts.hello(command, help_command)
    limits = texts.moderators(f"{clickable.mention('limits')} {clickable.mention('ban')}")
    return Card((Text(text), *(() if guild else _examples(example)), Text(limits)), INK)


def hint(clickable: Commands) -> Card:
    """What a person reads once, below their first picture."""
    return Card((Text(texts.hint(EDIT_PROMPT, clickable.mention("help"))),), INK)


def _examples(example: str) -> tuple[Block, ...]:
    """Examples that can be pressed, if any can be made."""
    if not example:
        return ()
    buttons = [
        Button(each.label, custom_id.write(EXAMPLE, ANY_JOB, result=number), emoji=each.emoji)
        for number, each in enumerate(texts.EXAMPLES, 1)
    ]
    return Text(texts.TRY), Row(tuple(buttons))


def _line(mention: str, description: str) -> str:
    return texts.command_line(mention, escape(shorten(description, LONGEST_DESCRIPTION)))
