"""The parts of a message as plain data: Components V2 without hikari's or Discord's types."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

MOST_COMPONENTS = 40
"""Components in one message, nested ones included (Discord's limit)."""

MOST_TEXT = 4000
"""Characters in one message, all its texts together (Discord's limit)."""

MOST_PICTURES = 10
"""Items in one gallery, and files in one message (Discord's limits)."""

MOST_BYTES = 25 * 2**20 - 2**18
"""Bytes of all files in one message. Discord takes 25 MiB in one request; the rest is for everything else in it."""

LONGEST_ALT_TEXT = 1024
"""Characters of the description of a picture (Discord's limit)."""

BUTTONS_IN_A_ROW = 5
"""Buttons in one row (Discord's limit)."""

MOST_CHOICES = 25
"""Choices of one select (Discord's limit)."""

INK = 0x5865F2
"""The colour of the bot's own pages and of a request that waits: Discord's own."""

Style: TypeAlias = Literal["primary", "secondary", "success", "danger"]


class Upload(Struct, frozen=True):
    """A file to show: at `path` on disk, or `data` itself. `name` is shown to people, `size` is in bytes, of `path`.

    `alt` describes a picture to people who do not see it, in at most `LONGEST_ALT_TEXT` characters. `dimensions` are
    the width and height in pixels of the result that it was made from; None if they are unknown.
    """

    name: str
    path: str = ""
    data: bytes = b""
    spoiler: bool = False
    size: int = 0
    alt: str = ""
    dimensions: tuple[int, int] | None = None


class Text(Struct, frozen=True):
    """A block of markdown."""

    text: str


class Gallery(Struct, frozen=True):
    """Pictures and videos side by side; at most `MOST_PICTURES`."""

    items: tuple[Upload, ...]


class File(Struct, frozen=True):
    """A file to download."""

    file: Upload


class Button(Struct, frozen=True):
    """A button: pressing it sends `custom_id` to the bot; with `url` it opens that instead.

    `emoji` stands before the label.
    """

    label: str
    custom_id: str = ""
    style: Style = "secondary"
    url: str = ""
    emoji: str = ""


class Row(Struct, frozen=True):
    """A row of at most `BUTTONS_IN_A_ROW` buttons."""

    buttons: tuple[Button, ...]


class Choice(Struct, frozen=True):
    """One choice of a select: what people read, and what the bot gets."""

    label: str
    value: str


class Select(Struct, frozen=True):
    """A list from which one of at most `MOST_CHOICES` is chosen, which sends `custom_id` and its value to the bot.

    `chosen` is the value that is shown as chosen; with "" it is none, and the placeholder is shown.
    """

    custom_id: str
    placeholder: str
    choices: tuple[Choice, ...]
    chosen: str = ""


class Line(Struct, frozen=True):
    """A text with one button beside it."""

    text: str
    button: Button


class Illustrated(Struct, frozen=True):
    """A text with one small picture beside it."""

    text: str
    picture: Upload


Block: TypeAlias = Text | Gallery | File | Row | Select | Line | Illustrated


class Card(Struct, frozen=True):
    """One message: blocks in a frame with the colour `accent` (0xRRGGBB)."""

    blocks: tuple[Block, ...]
    accent: int | None = None

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Every file that the card shows, in order."""
        uploads: list[Upload] = []
        for block in self.blocks:
            match block:
                case Gallery(items=items):
                    uploads += items
                case File(file=upload) | Illustrated(picture=upload):
                    uploads.append(upload)
                case _:
                    continue
        return tuple(uploads)


def rows(buttons: tuple[Button, ...] | list[Button]) -> tuple[Row, ...]:
    """Split buttons into as many rows as they need."""
    return tuple(
        Row(tuple(buttons[start : start + BUTTONS_IN_A_ROW])) for start in range(0, len(buttons), BUTTONS_IN_A_ROW)
    )


def weight(card: Card) -> int:
    """The number of components that Discord counts in a card; gallery items do not count, the frame does."""
    count = 1
    for block in card.blocks:
        match block:
            case Row(buttons=buttons):
                count += 1 + len(buttons)
            case Select():
                count += 2
            case Line() | Illustrated():
                count += 3
            case _:
                count += 1
    return count
