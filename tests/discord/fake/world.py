"""Who and what there is: people, servers, channels, and how Discord describes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.discord.fake.wire import ApiError, Payload

VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
MANAGE_MESSAGES = 1 << 13
EMBED_LINKS = 1 << 14
ATTACH_FILES = 1 << 15
READ_HISTORY = 1 << 16
MANAGE_THREADS = 1 << 34
SEND_IN_THREADS = 1 << 38
USE_COMMANDS = 1 << 31
MANAGE_GUILD = 1 << 5
ADMINISTRATOR = 1 << 3
MEMBER = VIEW_CHANNEL | SEND_MESSAGES | EMBED_LINKS | ATTACH_FILES | READ_HISTORY | USE_COMMANDS | SEND_IN_THREADS
"""What an ordinary member, or a bot without special rights, may do."""

JOINED = "2024-01-01T00:00:00.000000+00:00"


@dataclass
class Person:
    """A user, and what he may do in the server."""

    id: str
    name: str
    permissions: int = MEMBER
    roles: list[str] = field(default_factory=list[str])
    takes_dms: bool = True
    takes_explicit: bool = True
    """Otherwise pictures sent to him directly are refused: the fake takes every one for explicit."""
    bot: bool = False
    locale: str = "en-US"
    nick: str | None = None
    """The name in the server, if it is another one."""
    silent_until: str | None = None
    """Until when a moderator took the right to write, as a time in ISO 8601."""

    def describe(self) -> Payload:
        return {
            "id": self.id,
            "username": self.name,
            "discriminator": "0",
            "global_name": self.name.title(),
            "avatar": None,
            "bot": self.bot,
            "public_flags": 0,
            "flags": 0,
            "mfa_enabled": False,
            "verified": True,
            "locale": self.locale,
            "email": None,
            "premium_type": 0,
        }

    def membership(self) -> Payload:
        return {
            "user": self.describe(),
            "roles": list(self.roles),
            "permissions": str(self.permissions),
            "joined_at": JOINED,
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
            "nick": self.nick,
            "avatar": None,
            "communication_disabled_until": self.silent_until,
        }


@dataclass
class Guild:
    """A server."""

    id: str
    name: str
    roles: dict[str, int] = field(default_factory=dict[str, int])
    """The position of each role by its id; a higher role has a higher one."""
    everyone: int = MEMBER
    """What all members may do."""
    role_permissions: dict[str, int] = field(default_factory=dict[str, int])
    """What a role may do, if not what all members may."""
    owner: str = "1400000000000000000"
    system_channel: str | None = None
    """The channel for news of the server."""
    audit_log: list[Payload] | None = None
    """Entries of the audit log; None if the bot may not read it."""
    left: set[str] = field(default_factory=set[str])
    """The people who are no members."""


@dataclass
class Channel:
    """A text channel of a server, a thread in one, or the direct messages with one person."""

    id: str
    name: str
    guild: Guild | None
    recipient: Person | None = None
    bot_permissions: int = MEMBER
    nsfw: bool = False
    parent: Channel | None = None
    """The channel whose thread it is."""
    archived: bool = False
    locked: bool = False
    is_forum: bool = False
    """Whether it has threads only: its posts."""
    private: bool = False
    """Whether it is a private thread, which only its `members` and moderators see."""
    members: set[str] = field(default_factory=set[str])
    overwrites: list[Payload] = field(default_factory=list[Payload])
    """What it allows and denies roles and people, in addition to the bot's permissions."""
    outside: bool = False
    """Whether the bot is not there: people brought the application along. Without a server, they talk to each other."""

    def check_writable(self, *, new: bool) -> None:
        """Raise unless the bot may post (`new`) or change messages here: 50008 in a forum, 50083, 160005 in a thread.

        A new message takes a thread out of the archive, unless the thread is locked.
        """
        if self.is_forum:
            raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
        if self.locked and not self.bot_permissions & MANAGE_THREADS:
            raise ApiError(400, 160005, "Thread is locked")
        if self.archived and not new:
            raise ApiError(400, 50083, "Thread is archived")

    def describe(self) -> Payload:
        seen: Payload = {"id": self.id, "type": 0 if self.guild else 1, "last_message_id": None, "flags": 0}
        if self.guild:
            if self.parent:
                metadata = {"archived": self.archived, "locked": self.locked, "auto_archive_duration": 1440}
                return seen | {
                    "type": 12 if self.private else 11,
                    "guild_id": self.guild.id,
                    "name": self.name,
                    "parent_id": self.parent.id,
                    "owner_id": "1400000000000000000",
                    "rate_limit_per_user": 0,
                    "message_count": 0,
                    "member_count": 1,
                    "total_message_sent": 0,
                    "thread_metadata": metadata
                    | ({"invitable": True} if self.private else {})
                    | {"archive_timestamp": JOINED, "create_timestamp": JOINED},
                }
            forum: Payload = {"available_tags": [], "default_reaction_emoji": None, "default_sort_order": None}
            return (
                seen
                | (forum | {"type": 15, "default_forum_layout": 0} if self.is_forum else {})
                | {
                    "guild_id": self.guild.id,
                    "name": self.name,
                    "position": 0,
                    "permission_overwrites": self._overwrites(),
                    "nsfw": self.nsfw,
                    "topic": None,
                    "rate_limit_per_user": 0,
                    "parent_id": None,
                }
            )
        return seen | {"recipients": [self.recipient.describe()] if self.recipient else []}

    def _overwrites(self) -> list[Payload]:
        """What the bot may do here, if it is not what every member may do."""
        if self.guild is None or self.bot_permissions == MEMBER:
            return self.overwrites
        allow, deny = self.bot_permissions & ~MEMBER, MEMBER & ~self.bot_permissions
        return [{"id": self.guild.id, "type": 0, "allow": str(allow), "deny": str(deny)}, *self.overwrites]


def describe_own(guild: Guild) -> Payload:
    """A server as the bot sees it among its own."""
    own: Payload = {"id": guild.id, "name": guild.name, "icon": None, "banner": None, "features": []}
    counts = {"approximate_member_count": 2, "approximate_presence_count": 1}
    return own | counts | {"owner": False, "permissions": str(MEMBER)}


def describe_roles(guild: Guild) -> list[Payload]:
    """All roles of a server; everybody has the first."""
    everyone = describe_everyone(guild)
    roles = [everyone]
    for role, position in guild.roles.items():
        permissions = str(guild.role_permissions.get(role, guild.everyone))
        roles.append(everyone | {"id": role, "name": role, "position": position, "permissions": permissions})
    return roles


def describe_everyone(guild: Guild) -> Payload:
    """The role that everybody in a server has."""
    everyone: Payload = {
        "id": guild.id,
        "name": "@everyone",
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "permissions": str(guild.everyone),
        "position": 0,
        "flags": 0,
    }
    everyone |= dict.fromkeys(("hoist", "managed", "mentionable"), False)
    return everyone | dict.fromkeys(("icon", "unicode_emoji"))


def describe_guild(guild: Guild, members: list[Person], channels: list[Channel]) -> Payload:
    """GUILD_CREATE, with everything that hikari insists on."""
    described: Payload = {
        "id": guild.id,
        "name": guild.name,
        "owner_id": guild.owner,
        "preferred_locale": "en-US",
        "joined_at": JOINED,
        "member_count": len(members),
        "afk_timeout": 60,
        "region": "x",
        "roles": describe_roles(guild),
        "members": [person.membership() for person in members],
        "channels": [channel.describe() for channel in channels if channel.guild is guild],
    }
    nothing = (
        "icon splash discovery_splash afk_channel_id application_id system_channel_id rules_channel_id "
        "vanity_url_code description banner public_updates_channel_id safety_alerts_channel_id incidents_data"
    )
    zeros = (
        "verification_level default_message_notifications explicit_content_filter mfa_level system_channel_flags "
        "premium_tier nsfw_level"
    )
    empty = (
        "emojis stickers features voice_states threads presences stage_instances guild_scheduled_events "
        "soundboard_sounds"
    )
    described |= dict.fromkeys(nothing.split()) | dict.fromkeys(zeros.split(), 0)
    described |= {name: [] for name in empty.split()}
    described["system_channel_id"] = guild.system_channel
    return described | {"premium_progress_bar_enabled": False, "large": False}


def describe_integration(guild: Guild, bot: Person, adder: Person) -> Payload:
    """INTEGRATION_CREATE: an application was added to a server by somebody."""
    application = {"id": bot.id, "name": bot.name, "icon": None, "description": "", "bot": bot.describe()}
    integration: Payload = {"id": bot.id, "guild_id": guild.id, "name": bot.name, "type": "discord", "enabled": True}
    integration |= {"account": {"id": bot.id, "name": bot.name}, "scopes": ["bot", "applications.commands"]}
    return integration | {"application": application, "user": adder.describe()}


def describe_rest_guild(guild: Guild) -> Payload:
    """GET /guilds/{id}, with everything that hikari insists on."""
    described = describe_guild(guild, [], [])
    for name in ("members", "channels", "threads", "joined_at", "member_count", "large", "voice_states", "presences"):
        del described[name]
    return described | {"max_members": 500_000, "max_presences": None, "max_video_channel_users": 25}


def describe_team(owner: Person) -> Payload:
    """The team of an application: https://discord.com/developers/docs/topics/teams#data-models-team-object."""
    return {"id": "1", "name": "team", "icon": None, "members": [], "owner_user_id": owner.id}


def describe_application(bot: Person, owner: Person, guilds: int) -> Payload:
    """GET /applications/@me."""
    return {
        "id": bot.id,
        "name": bot.name,
        "icon": None,
        "description": "",
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "00" * 32,
        "flags": 0,
        "hook": True,
        "team": None,
        "owner": owner.describe(),
        "bot": bot.describe(),
        "summary": "",
        "integration_types_config": {
            "0": {"oauth2_install_params": {"scopes": ["applications.commands", "bot"], "permissions": "0"}},
            "1": {},
        },
        "approximate_guild_count": guilds,
        "approximate_user_install_count": 0,
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "tags": [],
    }
