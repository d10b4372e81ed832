"""What Discord takes for a message."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from tests.discord.fake.cdn import Upload
from tests.discord.fake.components import check_legacy, check_v2
from tests.discord.fake.wire import COMPONENTS_V2, ApiError, Payload, address, inner, invalid, items, length, walk

MOST_FILES = 10
EMBED_LIMITS = {"title": 256, "description": 4096, "fields": 25}
WHOLE_EMBEDS = 6000
"""Characters in all embeds of a message together."""


def check_message(data: Payload, uploads: Mapping[str, Upload], before: Payload | None = None) -> None:
    """Raise unless `data` makes a message, or changes `before` into one: 50035 or 50006.

    What an edit does not mention stays as it was; a deferred response that nothing has resolved yet counts
    as an empty message.
    """
    old = before or {"content": "", "embeds": [], "components": [], "attachments": [], "flags": 0}
    for name in ("embeds", "components", "attachments"):
        if not isinstance(data.get(name) or [], list):
            raise invalid(name, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    length("content", data.get("content"), 0, 2000)
    length("nonce", str(data.get("nonce") or ""), 0, 25)
    _check_mentions(inner(data, "allowed_mentions"))
    _check_uploads(data, uploads)
    merged: Payload = {name: data.get(name, old[name]) or [] for name in ("content", "embeds", "components")}
    v2 = bool(((data.get("flags") or 0) | old["flags"]) & COMPONENTS_V2)
    if v2:
        for name in ("content", "embeds", "poll"):
            if merged.get(name) or data.get(name):
                message = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
                raise invalid(name, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message)
        check_v2(items(data, "components"))
    else:
        check_legacy(items(data, "components"))
    _check_embeds(items(data, "embeds"))
    listed = {str(item["id"]) for item in items(data, "attachments")}
    kept = [item for item in old["attachments"] if "attachments" not in data or item["id"] in listed]
    names = {name_of(data, key, upload) for key, upload in uploads.items()}
    _check_references(data, names | {item["filename"] for item in kept})
    words = str(merged["content"]).strip() if merged["content"] else ""
    visible = merged["components"] if v2 else (words, merged["embeds"], merged["components"], uploads, kept)
    if not (any(visible) or data.get("sticker_ids") or data.get("poll")):
        raise ApiError(400, 50006, "Cannot send an empty message")


def _check_mentions(allowed: Payload) -> None:
    for kind in ("users", "roles"):
        listed: list[str] = allowed.get(kind) or []
        if listed and kind in (allowed.get("parse") or []):
            message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            raise invalid("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)
        if len(set(listed)) < len(listed):
            code = "SET_TYPE_ALREADY_CONTAINS_VALUE"
            raise invalid(f"allowed_mentions.{kind}", code, "The set already contains this value")


def mentioned(data: Payload) -> list[str]:
    """The ids of the people whom a new message mentions, so that Discord notifies them."""
    texts = [str(data.get("content") or "")]
    texts += [str(part.get("content") or "") for _, part in walk(items(data, "components"))]
    named = list(dict.fromkeys(re.findall(r"<@!?(\d+)>", "\n".join(texts))))
    if "allowed_mentions" not in data:
        return named
    allowed = inner(data, "allowed_mentions")
    if "users" in (allowed.get("parse") or []):
        return named
    return [person for person in named if person in (allowed.get("users") or [])]


def name_of(data: Payload, key: str, upload: Upload) -> str:
    """What an uploaded file is called: the list of attachments may rename it."""
    listed = {str(item["id"]): item.get("filename") for item in items(data, "attachments")}
    return listed.get(key) or upload.filename


def _check_uploads(data: Payload, uploads: Mapping[str, Upload]) -> None:
    if len(uploads) > MOST_FILES or len(items(data, "attachments")) > MOST_FILES:
        raise ApiError(400, 30015, f"Maximum number of attachments in a message reached ({MOST_FILES})")
    for index, item in enumerate(items(data, "attachments")):
        length(f"attachments.{index}.description", item.get("description"), 0, 1024)


def _check_embeds(embeds: list[Payload]) -> None:
    length("embeds", embeds, 0, 10)
    for index, embed in enumerate(embeds):
        for name, most in EMBED_LIMITS.items():
            length(f"embeds.{index}.{name}", embed.get(name), 0, most)
        address(f"embeds.{index}.url", embed.get("url"), 2048, "http", "https", "discord")
        for name in ("image", "thumbnail"):
            address(f"embeds.{index}.{name}.url", inner(embed, name).get("url"), 2048, "http", "https", "attachment")
        for place, field in enumerate(items(embed, "fields")):
            length(f"embeds.{index}.fields.{place}.name", field.get("name"), 1, 256)
            length(f"embeds.{index}.fields.{place}.value", field.get("value"), 1, 1024)
        length(f"embeds.{index}.footer.text", inner(embed, "footer").get("text"), 0, 2048)
        length(f"embeds.{index}.author.name", inner(embed, "author").get("name"), 0, 256)
    if sum(map(_size, embeds)) > WHOLE_EMBEDS:
        raise invalid("embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {WHOLE_EMBEDS}")


def _size(embed: Payload) -> int:
    texts = [embed.get("title"), embed.get("description")]
    texts += [inner(embed, "footer").get("text"), inner(embed, "author").get("name")]
    for field in items(embed, "fields"):
        texts += [field["name"], field["value"]]
    return sum(len(text) for text in texts if text)


def _check_references(data: Payload, names: set[str]) -> None:
    said = json.dumps([data.get("components"), data.get("embeds")], ensure_ascii=False)
    for name in re.findall(r'"attachment://([^"]*)"', said):
        if name not in names:
            code = "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"
            raise invalid("components", code, f"The referenced attachment {name} was not found")
