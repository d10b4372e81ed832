"""Cards in hikari's types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import hikari
from anyio import to_thread
from hikari.impl import (
    ContainerComponentBuilder,
    FileComponentBuilder,
    InteractiveButtonBuilder,
    LinkButtonBuilder,
    MediaGalleryItemBuilder,
    SectionComponentBuilder,
    SelectOptionBuilder,
    TextSelectMenuBuilder,
    ThumbnailComponentBuilder,
)

from app.discord.ui.components import (
    Button,
    Card,
    File,
    Gallery,
    Illustrated,
    Line,
    Row,
    Select,
    Text,
    Upload,
)

STYLES = {
    "primary": hikari.ButtonStyle.PRIMARY,
    "secondary": hikari.ButtonStyle.SECONDARY,
    "success": hikari.ButtonStyle.SUCCESS,
    "danger": hikari.ButtonStyle.DANGER,
}


async def loaded(card: Card) -> ContainerComponentBuilder:
    """A card in hikari's types, with its files read. hikari would leave files open that it reads itself."""
    paths = [upload.path for upload in card.uploads if upload.path]
    contents = await to_thread.run_sync(lambda: {path: Path(path).read_bytes() for path in paths}) if paths else {}
    return build(card, contents)


def build(card: Card, contents: Mapping[str, bytes] | None = None) -> ContainerComponentBuilder:
    """A card in hikari's types; `contents` holds the contents of its files, by path."""

    def file_of(upload: Upload) -> hikari.Bytes:
        return hikari.Bytes((contents or {})[upload.path] if upload.path else upload.data, upload.name)

    def picture_of(upload: Upload) -> MediaGalleryItemBuilder:
        alt = upload.alt or hikari.UNDEFINED
        return MediaGalleryItemBuilder(media=file_of(upload), description=alt, spoiler=upload.spoiler)

    frame = ContainerComponentBuilder()
    if card.accent is not None:
        frame = ContainerComponentBuilder(accent_color=hikari.Color(card.accent))
    for block in card.blocks:
        match block:
            case Text(text=text):
                frame.add_text_display(text)
            case Gallery(items=items):
                frame.add_media_gallery([picture_of(item) for item in items])
            case File(file=file):
                frame.add_component(FileComponentBuilder(file=file_of(file), spoiler=file.spoiler))
            case Row(buttons=buttons):
                frame.add_action_row([_button(button) for button in buttons])
            case Select():
                frame.add_action_row([_select(block)])
            case Line(text=text, button=button):
                frame.add_component(SectionComponentBuilder(accessory=_button(button)).add_text_display(text))
            case Illustrated(text=text, picture=upload):
                alt = upload.alt or hikari.UNDEFINED
                picture = ThumbnailComponentBuilder(media=file_of(upload), description=alt, spoiler=upload.spoiler)
                frame.add_component(SectionComponentBuilder(accessory=picture).add_text_display(text))
    return frame


def _button(button: Button) -> LinkButtonBuilder | InteractiveButtonBuilder:
    if button.url:
        return LinkButtonBuilder(url=button.url, label=button.label)
    return InteractiveButtonBuilder(
        style=STYLES[button.style],
        custom_id=button.custom_id,
        label=button.label,
        emoji=button.emoji or hikari.UNDEFINED,
    )


def _select(select: Select) -> TextSelectMenuBuilder[NoReturn]:
    options = [
        SelectOptionBuilder(choice.label, choice.value, is_default=choice.value == select.chosen)
        for choice in select.choices
    ]
    return TextSelectMenuBuilder(
        custom_id=select.custom_id, placeholder=select.placeholder, options=options, min_values=1
    )
