"""The files that a message shows: attached, in its components, in its embeds, or in the message that it forwards.

Whoever writes a message may put any address into an embed or a component. Discord shows a copy from its own proxy, so
only addresses on Discord's hosts count: a file with no such address is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from mimetypes import guess_type
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import hikari
from hikari.messages import MessageSnapshot

from app.discord.files.attachment_rules import allowed, fits
from app.service.requests import AttachedFile


def files_of(message: hikari.Message, kind: str, rest_url: str = "") -> Iterator[AttachedFile]:
    """The files of a message that match a slot's kind; `rest_url` is Discord's address, if it is not the real one."""
    for part in (message, *message.message_snapshots):
        for file in _shown(part):
            url = next((url for url in file.urls if allowed(url, rest_url)), None)
            if url is not None and file.fits(kind, url):
                yield AttachedFile("", url, file.name or _name(url), file.size, file.type(url))


class _Shown:
    """A file that a message shows.

    `urls` are its addresses, the original first. `kinds` are the kinds of slots that take it if its media type cannot
    be known; hikari does not tell the type of an embed's picture.
    """

    def __init__(
        self, *urls: str | None, kinds: tuple[str, ...], media_type: object = None, name: str = "", size: int = 0
    ) -> None:
        self.urls = [url for url in urls if url]
        self.name = name
        self.size = size
        self._kinds = kinds
        self._media_type = media_type

    def type(self, url: str) -> str:
        """The media type that Discord gives, or the one that the address suggests; "" if there is none."""
        return self._media_type if isinstance(self._media_type, str) else guess_type(_name(url))[0] or ""

    def fits(self, kind: str, url: str) -> bool:
        """Whether a slot of this kind takes the file at this address."""
        media_type = self.type(url)
        return fits(kind, media_type) if media_type else kind in self._kinds


def _shown(message: hikari.Message | MessageSnapshot) -> Iterator[_Shown]:
    for file in message.attachments:
        yield _Shown(file.url, file.proxy_url, kinds=(), media_type=file.media_type, name=file.filename, size=file.size)
    for media in _media(message.components):
        yield _Shown(media.url, media.proxy_url, kinds=("image",), media_type=media.content_type or None)
    for embed in message.embeds:
        for picture in (embed.image, embed.thumbnail):
            if picture is not None:
                yield _Shown(picture.url, picture.proxy_url, kinds=("image",))
        if embed.video is not None:
            yield _Shown(embed.video.url, embed.video.proxy_url, kinds=("video",))


def _media(components: Sequence[object]) -> Iterator[hikari.MediaResource]:
    for component in components:
        match component:
            case hikari.MediaGalleryComponent(items=items):
                yield from (item.media for item in items)
            case hikari.FileComponent(file=file):
                yield file
            case hikari.SectionComponent(accessory=hikari.ThumbnailComponent(media=media)):
                yield media
            case hikari.ContainerComponent(components=inner):
                yield from _media(inner)
            case _:
                continue


def _name(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name
