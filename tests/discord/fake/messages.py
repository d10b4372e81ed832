"""Messages and all that they have ever been."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.discord.fake.cdn import Cdn, Upload
from tests.discord.fake.content import mentioned, name_of
from tests.discord.fake.wire import (
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    SUPPRESS_EMBEDS,
    ApiError,
    Clock,
    Flakes,
    Payload,
    copied,
    items,
    pause,
    walk,
)
from tests.discord.fake.world import Channel, Person

OLD = 3600.0
"""Seconds after which a message is old, and the seconds for which its edits are counted."""
MOST_EDITS = 30
"""Edits of an old message. Discord does not say how many there may be."""
SAME_NONCE = 300.0
"""Seconds for which an enforced nonce stands for one message. Discord says "a few minutes"."""

STICKY = EPHEMERAL | COMPONENTS_V2


@dataclass(frozen=True)
class Revision:
    """A message as it was shown from the second `at` on."""

    at: float
    state: Payload


@dataclass
class Messages:
    """What stands in all channels. A message object is never changed: an edit puts another in its place."""

    clock: Clock
    flakes: Flakes
    cdn: Cdn
    people: Mapping[str, Person]
    most_edits: int = MOST_EDITS
    all: dict[str, Payload] = field(default_factory=dict[str, Payload])
    history: defaultdict[str, list[Revision]] = field(
        default_factory=lambda: defaultdict[str, list[Revision]](list[Revision])
    )
    _nonces: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict[tuple[str, str], tuple[float, str]])

    def get(self, ident: str | None) -> Payload:
        """Raise 10008 if it was deleted or never was."""
        if ident is None or ident not in self.all:
            raise ApiError(404, 10008, "Unknown Message")
        return self.all[ident]

    def create(
        self, channel: Channel, author: Person, data: Payload, uploads: Mapping[str, Upload], **more: object
    ) -> Payload:
        """Put a message that was checked into a channel; `more` are further fields of its object."""
        nonce = str(data.get("nonce") or "")
        if nonce and data.get("enforce_nonce"):
            at, ident = self._nonces.get((author.id, nonce), (0.0, ""))
            if ident in self.all and self.clock.now() - at < SAME_NONCE:
                return self.all[ident]
        message: Payload = {
            "id": self.flakes.new_prompt_id(),
            "type": 0,
            "channel_id": channel.id,
            "author": author.describe(),
            "timestamp": self.clock.stamp(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "pinned": False,
            "content": "",
            "embeds": [],
            "components": [],
            "attachments": [],
            "flags": data.get("flags") or 0,
        }
        known = [self.people[person] for person in mentioned(data) if person in self.people]
        message["mentions"] = [person.describe() for person in known]
        if reference := data.get("message_reference"):
            message |= {"type": 19, "message_reference": {"type": 0, "channel_id": channel.id} | reference}
        if nonce:
            message["nonce"] = nonce
            self._nonces[author.id, nonce] = self.clock.now(), message["id"]
        return self._store(message | more, data, uploads)

    def after(self, channel: Channel, ident: str, most: int) -> list[Payload]:
        """The messages of a channel that came right after an id, newest first. A person's own ones are left out."""
        later = [one for one in self.all.values() if one["channel_id"] == channel.id and int(one["id"]) > int(ident)]
        seen = sorted((one for one in later if not one["flags"] & EPHEMERAL), key=lambda one: int(one["id"]))
        return seen[:most][::-1]

    def edit(self, ident: str, data: Payload, uploads: Mapping[str, Upload]) -> Payload:
        """Change a message by an edit that was checked; a deferred response is resolved by it."""
        before = self.all[ident]
        self._check_old(ident)
        message = before | {"edited_timestamp": None if before["flags"] & LOADING else self.clock.stamp()}
        said = data.get("flags")
        asked = before["flags"] & SUPPRESS_EMBEDS if said is None else said & (SUPPRESS_EMBEDS | COMPONENTS_V2)
        message["flags"] = before["flags"] & STICKY | asked
        return self._store(message, data, uploads)

    def _check_old(self, ident: str) -> None:
        """Raise 30046 if the message is old and was edited too often since it was."""
        history, now = self.history[ident], self.clock.now()
        if now - history[0].at < OLD:
            return
        recent = [revision.at for revision in history if revision.at > max(now - OLD, history[0].at + OLD)]
        if len(recent) >= self.most_edits:
            message = "Maximum number of edits to messages older than 1 hour reached. Try again later"
            raise ApiError(429, 30046, message, more={"retry_after": pause(recent[0] + OLD - now), "global": False})

    def delete(self, ident: str | None) -> None:
        del self.all[self.get(ident)["id"]]

    def _store(self, message: Payload, data: Payload, uploads: Mapping[str, Upload]) -> Payload:
        message = copied(message)
        message["attachments"] = self._attachments(message, data, uploads)
        for name in ("content", "embeds", "components"):
            if name in data:
                message[name] = copied(data[name]) or type(message[name])()
        for number, (_, component) in enumerate(walk(message["components"]), 1):
            component.setdefault("id", number)
        self._resolve(message)
        self.all[message["id"]] = message
        self.history[message["id"]].append(Revision(self.clock.now(), message))
        return message

    def _attachments(self, message: Payload, data: Payload, uploads: Mapping[str, Upload]) -> list[Payload]:
        """Those that the list names, or without a list the old ones and all that came along."""
        kept: dict[str, Payload] = {item["id"]: item for item in message["attachments"]}
        new = {
            key: self.cdn.put(message["channel_id"], name_of(data, key, upload), upload)
            for key, upload in uploads.items()
        }
        if "attachments" not in data:
            return [*kept.values(), *new.values()]
        known = kept | new
        listed = [str(item["id"]) for item in items(data, "attachments")]
        return [known[key] for key in listed if key in known] + [new[key] for key in new if key not in listed]

    def _resolve(self, message: Payload) -> None:
        """Put the real addresses in place of `attachment://name`."""
        by_name = {f"attachment://{item['filename']}": item for item in message["attachments"]}
        media: list[Payload] = []
        for _, component in walk(message["components"]):
            media += [item["media"] for item in items(component, "items")]
            media += [component[name] for name in ("media", "file") if name in component]
        for embed in message["embeds"]:
            media += [embed[name] for name in ("image", "thumbnail") if embed.get(name)]
        for medium in media:
            if found := by_name.get(medium["url"]):
                same = ("url", "proxy_url", "content_type", "width", "height")
                medium |= {key: found[key] for key in same if key in found} | {"attachment_id": found["id"]}
            else:
                medium.setdefault("proxy_url", medium["url"])
