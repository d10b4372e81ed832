"""What a person sees in a message."""

from __future__ import annotations

from collections.abc import Iterator

from tests.discord.fake.wire import Payload, inner, items, walk


def text_of(message: Payload) -> str:
    """All words of it, one paragraph a line: content, embeds, text displays."""
    return "\n".join(filter(None, _texts(message)))


def _texts(message: Payload) -> Iterator[str | None]:
    yield message["content"]
    for embed in message["embeds"]:
        yield embed.get("title")
        yield embed.get("description")
        for field in items(embed, "fields"):
            yield f"{field['name']}: {field['value']}"
        yield inner(embed, "footer").get("text")
    for _, component in walk(message["components"]):
        if component["type"] == 10:
            yield component["content"]


def buttons_of(message: Payload) -> dict[str, str]:
    """The buttons that can be clicked: what is written on them (or their emoji's name), and their ids."""
    buttons = [one for _, one in walk(message["components"]) if one["type"] == 2 and "custom_id" in one]
    return {
        one.get("label") or inner(one, "emoji").get("name", ""): one["custom_id"]
        for one in buttons
        if not one.get("disabled")
    }


def media_of(message: Payload) -> list[str]:
    """The addresses of what it shows: galleries, thumbnails, files, images of embeds; else its attachments."""
    shown: list[Payload] = []
    for _, component in walk(message["components"]):
        shown += [item["media"] for item in items(component, "items")]
        shown += [component[name] for name in ("media", "file") if name in component]
    for embed in message["embeds"]:
        shown += [embed[name] for name in ("image", "thumbnail") if embed.get(name)]
    return [medium["url"] for medium in shown or message["attachments"]]
