"""The people who use the bot: what they type, click and fill in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tests.discord.fake import interactions
from tests.discord.fake.cdn import Upload
from tests.discord.fake.commands import MESSAGE_MENU, SLASH
from tests.discord.fake.gateway import Gateway
from tests.discord.fake.interactions import Interaction
from tests.discord.fake.options import (
    GUILD_INSTALL,
    USER_INSTALL,
    Filled,
    Impossible,
    check_chosen,
    check_visible,
    context_of,
    fill,
    leaf,
    modal_values,
)
from tests.discord.fake.state import State
from tests.discord.fake.wire import COMPONENTS_V2, EPHEMERAL, Payload, copied, walk
from tests.discord.fake.world import MEMBER, Channel, Guild, Person, describe_guild, describe_integration

NOTHING: Mapping[str, object] = MappingProxyType({})


def in_channel(message: Payload, channel: Channel) -> bool:
    """Whether a message is there."""
    return message["channel_id"] == channel.id


class Crowd:
    """Every method does its deed at once and returns what came into being; none waits for the bot's answer.

    Where no user or channel is named, it is `alice` in `channel`, the one text channel that there is at first.
    All raise `Impossible` where Discord's client would not let anybody do it. What happens while the bot has
    no session at all never reaches it, as in the real one.
    """

    def __init__(self, state: State, gateway: Gateway) -> None:
        self.state = state
        self.gateway = gateway
        self.alice: Person = state.alice
        self.guild: Guild = state.guild
        self.channel: Channel = state.channel
        self.arrival: Callable[[Guild], object] = lambda _: None
        """Changes a server just before the bot learns that it was added to it."""
        self.tamper: Callable[[Payload], object] | None = None
        """Makes of an interaction's payload what is sent in its place; the fake itself believes the payload."""

    def person(self, name: str, *, permissions: int = MEMBER, roles: Sequence[str] = ()) -> Person:
        """Somebody else joins the server."""

        def join() -> Person:
            person = Person(self.state.flakes.new_prompt_id(), name, permissions, list(roles))
            self.state.people[person.id] = person
            return person

        return self.state.do(join)

    def add_bot(self, name: str, adder: Person | None = None, *, system_channel: bool = False) -> Guild:
        """Somebody adds the bot to another server, which has one channel; Discord says who if that is `adder`.

        `system_channel` says whether that channel is the one for news of the server.
        """

        def add() -> Guild:
            guild = Guild(self.state.flakes.new_prompt_id(), name)
            channel = Channel(self.state.flakes.new_prompt_id(), "general", guild)
            guild.system_channel = channel.id if system_channel else None
            self.state.guilds[guild.id], self.state.channels[channel.id] = guild, channel
            self.arrival(guild)
            people, channels = list(self.state.people.values()), list(self.state.channels.values())
            self.gateway.dispatch("GUILD_CREATE", describe_guild(guild, people, channels), guild)
            if adder is not None:
                added = describe_integration(guild, self.state.bot, adder)
                self.gateway.dispatch("INTEGRATION_CREATE", added, guild)
            return guild

        return self.state.do(add)

    def change_guild(self, name: str, data: Payload) -> None:
        """Discord says that something changed in the first server, by an event of this name."""
        self.state.do(self.gateway.dispatch, name, data, self.guild)

    def open_channel(self, name: str, *, bot_permissions: int = MEMBER, nsfw: bool = False) -> Channel:
        """Another text channel in the server."""

        def open_() -> Channel:
            channel = Channel(self.state.flakes.new_prompt_id(), name, self.guild, None, bot_permissions, nsfw)
            self.state.channels[channel.id] = channel
            return channel

        return self.state.do(open_)

    def open_forum(self, name: str) -> Channel:
        """A channel of posts, which are threads."""

        def open_() -> Channel:
            forum = Channel(self.state.flakes.new_prompt_id(), name, self.guild, is_forum=True)
            self.state.channels[forum.id] = forum
            return forum

        return self.state.do(open_)

    def open_thread(
        self, name: str, *, archived: bool = False, locked: bool = False, parent: Channel | None = None
    ) -> Channel:
        """A thread in the first text channel, or in `parent`. Change its `archived` and `locked` at any time."""

        def open_() -> Channel:
            where = parent or self.channel
            thread = Channel(self.state.flakes.new_prompt_id(), name, self.guild, None, where.bot_permissions)
            thread.parent, thread.archived, thread.locked = where, archived, locked
            self.state.channels[thread.id] = thread
            return thread

        return self.state.do(open_)

    def open_outside(self, guild: str = "") -> Channel:
        """A channel of a server that the bot is not in; without its name, one where two people talk to each other."""

        def open_() -> Channel:
            where = Guild(self.state.flakes.new_prompt_id(), guild) if guild else None
            channel = Channel(self.state.flakes.new_prompt_id(), "elsewhere", where, None, 0, outside=True)
            self.state.channels[channel.id] = channel
            return channel

        return self.state.do(open_)

    def remove(self, channel: Channel) -> None:
        """Somebody deletes a channel or a thread, with all that is in it."""

        def remove() -> None:
            del self.state.channels[channel.id]
            for message in [message for message in self.state.messages.all.values() if in_channel(message, channel)]:
                self.state.messages.delete(message["id"])

        self.state.do(remove)

    def dm(self, person: Person | None = None) -> Channel:
        """Somebody's direct messages with the bot."""
        return self.state.do(self.state.dm, person or self.alice)

    def say(
        self,
        content: str,
        *,
        user: Person | None = None,
        channel: Channel | None = None,
        files: Sequence[Upload] = (),
        embeds: Sequence[Payload] = (),
        **more: object,
    ) -> Payload:
        """Somebody writes a message of his own; the bot hears nothing of it. `more` are further fields of it."""
        uploads = {str(number): file for number, file in enumerate(files)}
        create, where, who = self.state.messages.create, channel or self.channel, user or self.alice
        data: Payload = {"content": content, "embeds": list(embeds)}
        return self.state.do(lambda: create(where, who, data, uploads, **more))

    def card(self, *components: Payload) -> Payload:
        """Another bot posts a message of components."""
        other = Person(self.state.flakes.new_prompt_id(), "another-bot", bot=True)
        data: Payload = {"components": list(components), "flags": COMPONENTS_V2}
        return self.state.do(lambda: self.state.messages.create(self.channel, other, data, {}))

    def forward(self, message: Payload) -> Payload:
        """Somebody forwards a message: what it showed stands in a snapshot, and nothing beside it."""
        kept = ("type", "content", "embeds", "attachments", "components", "timestamp", "edited_timestamp", "flags")
        snapshot: Payload = {name: message[name] for name in (*kept, "mentions", "mention_roles")}
        reference = {"type": 1, "channel_id": message["channel_id"], "message_id": message["id"]}
        return self.say("", message_reference=reference, message_snapshots=[{"message": snapshot}])

    def proxied(self, upload: Upload) -> str:
        """The address of Discord's own copy of a picture that lies elsewhere, as embeds have it."""
        return str(self.state.do(self.state.cdn.put, "external", upload.filename, upload)["url"])

    def delete(self, message: Payload | str) -> None:
        """Somebody deletes a message. The bot hears of it if it wants to know of messages."""

        def delete() -> None:
            gone = self.state.messages.get(message if isinstance(message, str) else message["id"])
            self.state.messages.delete(gone["id"])
            self.gateway.tell_of_message(
                "MESSAGE_DELETE", {"id": gone["id"]}, self.state.channels.get(gone["channel_id"])
            )

        self.state.do(delete)

    def purge(self, messages: Sequence[Payload]) -> None:
        """A moderator deletes several messages of a channel at once."""

        def purge() -> None:
            for message in messages:
                self.state.messages.delete(message["id"])
            channel = self.state.channels[messages[0]["channel_id"]]
            self.gateway.tell_of_message("MESSAGE_DELETE_BULK", {"ids": [each["id"] for each in messages]}, channel)

        self.state.do(purge)

    def slash(
        self,
        name: str,
        options: Mapping[str, object] = NOTHING,
        /,
        *,
        user: Person | None = None,
        channel: Channel | None = None,
        **values: object,
    ) -> Interaction:
        """Use a slash command: `imagine`, or `server add` for a subcommand.

        `options` and `values` fill its options, an attachment with an `Upload`; where Python allows no
        other name, `init_image=` stands for `init-image`.
        """
        return self.state.do(self._command, name, {**options, **values}, user, channel, None)

    def autocomplete(
        self,
        name: str,
        focused: str,
        typed: str,
        options: Mapping[str, object] = NOTHING,
        /,
        *,
        user: Person | None = None,
        channel: Channel | None = None,
        **values: object,
    ) -> Interaction:
        """Type into an option that completes; the offers come in `interaction.data["choices"]`."""
        return self.state.do(self._command, name, {**options, **values, focused: typed}, user, channel, focused)

    def _command(
        self,
        name: str,
        values: Mapping[str, object],
        user: Person | None,
        channel: Channel | None,
        focused: str | None,
    ) -> Interaction:
        person, where = user or self.alice, channel or self.channel
        first, *path = name.split()
        found = self.state.commands.find(where.guild.id if where.guild else None, first, SLASH)
        command = check_visible(found, first, person, where)
        specifications, wrappers = leaf(command, path)
        known = {one["name"] for one in specifications}
        named = {key if key in known else key.replace("_", "-"): value for key, value in values.items()}
        filled, resolved = fill(specifications, named, where, self.state.cdn, self.state.people, focused)
        for wrapper in reversed(wrappers):
            filled = [wrapper | {"options": filled}]
        kind = interactions.AUTOCOMPLETE if focused else interactions.COMMAND
        data = _about(command) | {"options": filled} | ({"resolved": resolved} if resolved else {})
        return self._interact(kind, data, person, where)

    def message_menu(self, name: str, message: Payload | str, *, user: Person | None = None) -> Interaction:
        """Use a message's context menu."""

        def choose() -> Interaction:
            person = user or self.alice
            seen = self._seen(message, person)
            where = self.state.channels[seen["channel_id"]]
            found = self.state.commands.find(where.guild.id if where.guild else None, name, MESSAGE_MENU)
            data = _about(check_visible(found, name, person, where))
            data |= {"target_id": seen["id"], "resolved": {"messages": {seen["id"]: seen}}}
            return self._interact(interactions.COMMAND, data, person, where)

        return self.state.do(choose)

    def click(
        self, message: Payload | str, custom_id: str, *, user: Person | None = None, values: Sequence[str] = ()
    ) -> Interaction:
        """Click the button with this id, or choose `values` in the menu with this id."""

        def press() -> Interaction:
            person = user or self.alice
            seen = self._seen(message, person)
            component = next((one for _, one in walk(seen["components"]) if one.get("custom_id") == custom_id), None)
            if component is None or component.get("disabled"):
                raise Impossible(f"there is no {custom_id} to click")
            data: Payload = {"custom_id": custom_id, "component_type": component["type"], "id": component["id"]}
            if component["type"] in range(3, 9):
                check_chosen(component, values)
                data["values"] = list(values)
            where = self.state.channels[seen["channel_id"]]
            return self._interact(interactions.COMPONENT, data, person, where, seen)

        return self.state.do(press)

    def submit_modal(
        self, interaction: Interaction, values: Mapping[str, Filled], *, user: Person | None = None
    ) -> Interaction:
        """Fill in the modal with which the bot has answered, by the fields' ids, and send it."""

        def submit() -> Interaction:
            if interaction.response != interactions.MODAL:
                raise Impossible("there is no modal")
            modal = interaction.data
            components, resolved = modal_values(modal, values, interaction.channel, self.state.cdn)
            data: Payload = {"custom_id": modal["custom_id"], "components": components}
            if resolved:
                data["resolved"] = resolved
            source = self.state.messages.all.get(interaction.source or "")
            person = user or interaction.person
            return self._interact(interactions.MODAL_SUBMIT, data, person, interaction.channel, source)

        return self.state.do(submit)

    def forge(
        self,
        kind: int,
        data: Payload,
        *,
        message: Payload | None = None,
        user: Person | None = None,
        channel: Channel | None = None,
    ) -> Interaction:
        """Send an interaction that no client of Discord's would send: any data, on any message."""
        return self.state.do(self._interact, kind, data, user or self.alice, channel or self.channel, message)

    def _seen(self, message: Payload | str, person: Person) -> Payload:
        """The message as it stands now, if this person sees it."""
        ident: str = message if isinstance(message, str) else message["id"]
        if ident not in self.state.messages.all:
            raise Impossible("the message is gone")
        seen = self.state.messages.all[ident]
        if seen["flags"] & EPHEMERAL and seen["interaction_metadata"]["user"]["id"] != person.id:
            raise Impossible(f"{person.name} does not see the message")
        return seen

    def _interact(
        self, kind: int, data: Payload, person: Person, channel: Channel, source: Payload | None = None
    ) -> Interaction:
        state = self.state
        ident = state.flakes.new_prompt_id()
        payload: Payload = {
            "id": ident,
            "application_id": state.bot.id,
            "type": kind,
            "token": f"token-{ident}-{'x' * 40}",
            "version": 1,
            "data": data,
            "channel_id": channel.id,
            "channel": channel.describe() | {"permissions": str(person.permissions)},
            "locale": person.locale,
            "app_permissions": str(channel.bot_permissions),
            "entitlements": [],
            "attachment_size_limit": state.upload_limit,
            "authorizing_integration_owners": _owners(person, channel),
            "context": context_of(channel),
        }
        if channel.guild:
            payload |= {"guild_id": channel.guild.id, "guild_locale": "en-US", "member": person.membership()}
        else:
            payload["user"] = person.describe()
        if source:
            payload["message"] = source
        made = Interaction(ident, payload["token"], kind, state.clock.now(), person, channel, payload)
        made.source = source["id"] if source else None
        state.interactions.all[ident] = made
        sent = payload if self.tamper is None else self.tamper(copied(payload))
        self.gateway.dispatch("INTERACTION_CREATE", sent, None if channel.outside else channel.guild)
        return made


def _owners(person: Person, channel: Channel) -> Payload:
    """Who added the application, of those that an interaction there can be from."""
    if channel.outside:
        return {str(USER_INSTALL): person.id}
    return {str(GUILD_INSTALL): channel.guild.id if channel.guild else "0"}


def _about(command: Payload) -> Payload:
    guild: Payload = {"guild_id": command["guild_id"]} if "guild_id" in command else {}
    return {"id": command["id"], "name": command["name"], "type": command["type"]} | guild
