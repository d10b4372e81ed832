"""Interactions: three seconds to acknowledge, fifteen minutes to speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.discord.fake.cdn import Upload
from tests.discord.fake.components import check_modal
from tests.discord.fake.content import check_message
from tests.discord.fake.messages import Messages
from tests.discord.fake.wire import EPHEMERAL, LOADING, ApiError, Clock, Payload, inner, invalid, items, length
from tests.discord.fake.world import Channel, Person

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
ALLOWED = {
    COMMAND: (MESSAGE, DEFERRED, MODAL),
    COMPONENT: (MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL),
    AUTOCOMPLETE: (CHOICES,),
    MODAL_SUBMIT: (MESSAGE, DEFERRED),
}
"""Which responses answer which interactions. A modal that a component opened may update its message too."""

PATIENCE = 3.0
"""Seconds in which Discord wants an interaction to be acknowledged.
https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-callback"""

UNHURRIED = 60.0
"""The same for tests about something else: a busy machine may need longer for many people at once."""


@dataclass
class Interaction:
    """One thing that somebody did, and what the bot made of it."""

    id: str
    token: str
    kind: int
    at: float
    person: Person
    channel: Channel
    payload: Payload
    source: str | None = None
    """The message whose component or modal it is."""
    response: int | None = None
    """The type of the response, once it is acknowledged."""
    data: Payload = field(default_factory=dict[str, object])
    """What came with the response: choices, a modal, a message as it was asked for."""
    original: str | None = None
    """The id of the message that @original means."""
    answered_at: float | None = None
    deferred: bool = False
    """The response is still only a promise."""
    followups: list[str] = field(default_factory=list[str])

    @property
    def latency(self) -> float | None:
        """Seconds from the event to the acknowledgement."""
        return None if self.answered_at is None else self.answered_at - self.at


@dataclass
class Interactions:
    """All there were, and the rules by which they are answered."""

    clock: Clock
    messages: Messages
    bot: Person
    patience: float = PATIENCE
    """Seconds in which an interaction must be acknowledged."""
    lifetime: float = 900.0
    """Seconds for which the token of an acknowledged interaction is good."""
    all: dict[str, Interaction] = field(default_factory=dict[str, Interaction])

    def respond(
        self, ident: str, token: str, data: Payload, uploads: Mapping[str, Upload]
    ) -> tuple[Interaction, Payload | None]:
        """POST .../callback. Raises 10062 when it is late or unknown, 40060 the second time, 50035."""
        found = self.all.get(ident)
        if found is None or found.token != token:
            raise ApiError(404, 10062, "Unknown interaction")
        if found.response is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if self.clock.now() - found.at > self.patience:
            raise ApiError(404, 10062, "Unknown interaction")
        kind, body = data.get("type", 0), inner(data, "data")
        allowed = ALLOWED[found.kind]
        if found.kind == MODAL_SUBMIT and found.source:
            allowed += (DEFERRED_UPDATE, UPDATE)
        if kind not in allowed:
            raise invalid("type", "BASE_TYPE_CHOICES", f"Value must be one of {allowed}.")
        message = self._apply(found, kind, body, uploads)
        found.response, found.data, found.answered_at = kind, body, self.clock.now()
        return found, message

    def _apply(self, found: Interaction, kind: int, body: Payload, uploads: Mapping[str, Upload]) -> Payload | None:
        match kind:
            case 4:
                check_message(body, uploads)
                message = self._say(found, body, uploads)
                found.original = message["id"]
                return message
            case 5:
                message = self._say(found, {"flags": (body.get("flags") or 0) & EPHEMERAL | LOADING}, {})
                found.original, found.deferred = message["id"], True
                return message
            case 6:
                found.original = found.source
                return self.messages.all.get(found.source or "")
            case 7:
                before = self.messages.get(found.source)
                check_message(body, uploads, before)
                found.original = found.source
                return self.messages.edit(before["id"], body, uploads)
            case 8:
                length("data.choices", body.get("choices"), 0, 25)
                for index, choice in enumerate(items(body, "choices")):
                    length(f"data.choices.{index}.name", choice.get("name"), 1, 100)
                    length(f"data.choices.{index}.value", str(choice.get("value")), 1, 100)
            case _:
                check_modal(body)
        return None

    def by_token(self, application: str, token: str) -> Interaction:
        """Whose webhook this is. Raises 10015 before the acknowledgement, 50027 when the token is old."""
        found = next((one for one in self.all.values() if one.token == token), None)
        if found is None or application != self.bot.id:
            raise ApiError(404, 10015, "Unknown Webhook")
        if self.clock.now() - found.at > self.lifetime:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        if found.response is None:
            raise ApiError(404, 10015, "Unknown Webhook")
        return found

    def message_of(self, found: Interaction, ident: str) -> Payload:
        """`@original` or one of the follow-ups. Raises 10008."""
        if ident == "@original":
            return self.messages.get(found.original)
        if ident not in (found.original, *found.followups):
            raise ApiError(404, 10008, "Unknown Message")
        return self.messages.get(ident)

    def edit(self, found: Interaction, ident: str, data: Payload, uploads: Mapping[str, Upload]) -> Payload:
        """PATCH a message of the interaction's webhook."""
        before = self.message_of(found, ident)
        found.channel.check_writable(new=False)
        check_message(data, uploads, before)
        found.deferred = found.deferred and before["id"] != found.original
        return self.messages.edit(before["id"], data, uploads)

    def follow_up(self, found: Interaction, data: Payload, uploads: Mapping[str, Upload]) -> Payload:
        """POST to the webhook. The first one after a deferral does not add a message, but resolves it."""
        if found.deferred:
            return self.edit(found, "@original", data, uploads)
        found.channel.check_writable(new=True)
        check_message(data, uploads)
        message = self._say(found, data, uploads)
        found.followups.append(message["id"])
        return message

    def _say(self, found: Interaction, data: Payload, uploads: Mapping[str, Upload]) -> Payload:
        about: Payload = {
            "id": found.id,
            "type": found.kind,
            "user": found.person.describe(),
            "authorizing_integration_owners": found.payload["authorizing_integration_owners"],
        }
        if found.kind == MODAL_SUBMIT:
            about["triggering_interaction_metadata"] = about | {"type": COMPONENT if found.source else COMMAND}
            if found.source:
                about["triggering_interaction_metadata"] |= {"interacted_message_id": found.source}
        elif found.kind == COMPONENT:
            about["interacted_message_id"] = found.source
        return self.messages.create(
            found.channel,
            self.bot,
            data,
            uploads,
            type=20 if found.kind == COMMAND and found.original is None else 0,
            application_id=self.bot.id,
            webhook_id=self.bot.id,
            interaction_metadata=about,
        )
