"""The endpoints of the REST API that a bot uses."""

from __future__ import annotations

from aiohttp import web

from tests.discord.fake import world
from tests.discord.fake.content import check_message
from tests.discord.fake.gateway import Gateway
from tests.discord.fake.oauth import OAuth
from tests.discord.fake.rest import BODY, PREFIX, Body
from tests.discord.fake.state import State
from tests.discord.fake.wire import EPHEMERAL, ApiError, Payload, invalid
from tests.discord.fake.world import Channel, Guild

NOTHING = 204


def _check_explicit(channel: Channel, body: Body) -> None:
    if body.uploads and channel.recipient and not channel.recipient.takes_explicit:
        raise ApiError(400, 20009, "Explicit content cannot be sent to the desired recipient(s)")


class Routes:
    """Endpoints about the application itself, interactions and channels."""

    def __init__(self, state: State, gateway: Gateway, oauth: OAuth) -> None:
        self._state = state
        self._gateway = gateway
        self._oauth = oauth

    def table(self) -> list[web.RouteDef]:
        """Method, path, endpoint."""
        message = "/channels/{channel}/messages/{message}"
        hook = "/webhooks/{application}/{token}"
        routes = [
            ("GET", "/gateway/bot", self._gateway_bot),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/@me", self._application),
            ("GET", "/users/@me", self._me),
            ("POST", "/users/@me/channels", self._open_dm),
            ("GET", "/users/@me/guilds", self._my_guilds),
            ("GET", "/users/{user}", self._user),
            ("GET", "/guilds/{guild}", self._rest_guild),
            ("GET", "/guilds/{guild}/audit-logs", self._audit_log),
            ("GET", "/guilds/{guild}/channels", self._guild_channels),
            ("GET", "/guilds/{guild}/roles", self._roles),
            ("GET", "/guilds/{guild}/members/{user}", self._member),
            ("GET", "/channels/{channel}", self._channel),
            ("GET", "/channels/{channel}/messages", self._list),
            ("GET", "/channels/{channel}/thread-members/{user}", self._thread_member),
            ("POST", "/channels/{channel}/messages", self._post),
            ("GET", message, self._get),
            ("PATCH", message, self._patch),
            ("DELETE", message, self._delete),
            ("POST", "/interactions/{interaction}/{token}/callback", self._respond),
            ("POST", hook, self._follow_up),
            ("GET", f"{hook}/messages/{{message}}", self._hook_get),
            ("PATCH", f"{hook}/messages/{{message}}", self._hook_patch),
            ("DELETE", f"{hook}/messages/{{message}}", self._hook_delete),
        ]
        return [web.route(method, PREFIX + path, endpoint) for method, path, endpoint in routes]

    async def _gateway_bot(self, _: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 999, "reset_after": 3600000, "max_concurrency": self._gateway.together}
        shards = self._gateway.shards
        return web.json_response({"url": self._gateway.url, "shards": shards, "session_start_limit": limit})

    async def _application(self, _: web.Request) -> web.Response:
        state = self._state
        described = world.describe_application(state.bot, state.alice, len(state.guilds))
        if state.team_owner is not None:
            described["team"] = world.describe_team(state.team_owner)
        return web.json_response(described)

    async def _me(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        is_person = authorization.startswith("Bearer ")
        return web.json_response(self._oauth.person(authorization) if is_person else self._state.bot.describe())

    async def _user(self, request: web.Request) -> web.Response:
        return web.json_response(self._state.person(request.match_info["user"]).describe())

    async def _my_guilds(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", 0))
        mine = [world.describe_own(guild) for guild in self._state.guilds.values() if int(guild.id) > after]
        return web.json_response(mine)

    async def _open_dm(self, request: web.Request) -> web.Response:
        person = self._state.person(str(request[BODY].json.get("recipient_id")))
        return web.json_response(self._state.dm(person).describe())

    def _guild(self, request: web.Request) -> Guild:
        """The server of the path, if the bot is in it."""
        if (guild := self._state.guilds.get(request.match_info["guild"])) is None:
            raise ApiError(404, 10004, "Unknown Guild")
        return guild

    async def _audit_log(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        if guild.audit_log is None:
            raise ApiError(403, 50013, "Missing Permissions")
        empty: tuple[str, ...] = (
            "webhooks",
            "integrations",
            "threads",
            "application_commands",
            "auto_moderation_rules",
        )
        empty += ("guild_scheduled_events", "users")
        return web.json_response({"audit_log_entries": guild.audit_log} | {name: [] for name in empty})

    async def _guild_channels(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        return web.json_response([one.describe() for one in self._state.channels.values() if one.guild is guild])

    async def _roles(self, request: web.Request) -> web.Response:
        return web.json_response(world.describe_roles(self._guild(request)))

    async def _rest_guild(self, request: web.Request) -> web.Response:
        return web.json_response(world.describe_rest_guild(self._guild(request)))

    async def _member(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request), request.match_info["user"]
        if user in guild.left or user not in self._state.people:
            raise ApiError(404, 10007, "Unknown Member")
        return web.json_response(self._state.person(user).membership())

    async def _thread_member(self, request: web.Request) -> web.Response:
        channel, user = self._seen(request), request.match_info["user"]
        if user not in channel.members:
            raise ApiError(404, 10007, "Unknown Member")
        member = {"id": channel.id, "user_id": user, "join_timestamp": world.JOINED, "flags": 0}
        return web.json_response(member)

    async def _channel(self, request: web.Request) -> web.Response:
        return web.json_response(self._seen(request).describe())

    async def _post(self, request: web.Request) -> web.Response:
        channel, body = self._seen(request), request[BODY]
        needed = world.SEND_IN_THREADS if channel.parent else world.SEND_MESSAGES
        needed |= world.ATTACH_FILES if body.uploads else 0
        if needed & ~channel.bot_permissions:
            raise ApiError(403, 50013, "Missing Permissions")
        channel.check_writable(new=True)
        if channel.recipient and not channel.recipient.takes_dms:
            raise ApiError(403, 50007, "Cannot send messages to this user")
        check_message(body.json, body.uploads)
        self._check_reply(channel, body.json)
        _check_explicit(channel, body)
        channel.archived = False
        state = self._state
        return web.json_response(state.messages.create(channel, state.bot, body.json, body.uploads))

    def _check_reply(self, channel: Channel, data: Payload) -> None:
        """Raise unless the message that a new one replies to is there, and the bot may read it: 160002, 50035."""
        if not (reference := data.get("message_reference")):
            return
        if channel.guild and not channel.bot_permissions & world.READ_HISTORY:
            raise ApiError(400, 160002, "Cannot reply without permission to read message history")
        message = self._state.messages.all.get(str(reference["message_id"]))
        if message is not None and message["channel_id"] == channel.id:
            return
        if reference.get("fail_if_not_exists", True):
            raise invalid("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
        del data["message_reference"]

    async def _list(self, request: web.Request) -> web.Response:
        channel, query = self._seen(request), request.query
        if channel.guild and not channel.bot_permissions & world.READ_HISTORY:
            return web.json_response([])
        most = min(int(query.get("limit", 50)), 100)
        return web.json_response(self._state.messages.after(channel, query["after"], most))

    async def _get(self, request: web.Request) -> web.Response:
        channel = self._seen(request)
        if channel.guild and not channel.bot_permissions & world.READ_HISTORY:
            raise ApiError(403, 50001, "Missing Access")
        return web.json_response(self._message(request, channel))

    async def _patch(self, request: web.Request) -> web.Response:
        channel = self._seen(request)
        message = self._message(request, channel)
        if message["author"]["id"] != self._state.bot.id:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        body = request[BODY]
        if body.uploads and not channel.bot_permissions & world.ATTACH_FILES:
            raise ApiError(403, 50013, "Missing Permissions")
        channel.check_writable(new=False)
        check_message(body.json, body.uploads, message)
        _check_explicit(channel, body)
        return web.json_response(self._state.messages.edit(message["id"], body.json, body.uploads))

    async def _delete(self, request: web.Request) -> web.Response:
        channel = self._seen(request)
        message = self._message(request, channel)
        if message["author"]["id"] != self._state.bot.id and not channel.bot_permissions & world.MANAGE_MESSAGES:
            raise ApiError(403, 50013, "Missing Permissions")
        channel.check_writable(new=False)
        self._state.messages.delete(message["id"])
        return web.Response(status=NOTHING)

    def _seen(self, request: web.Request) -> Channel:
        """The channel of the path, if the bot is let in."""
        channel = self._state.channels.get(request.match_info["channel"])
        if channel is None:
            raise ApiError(404, 10003, "Unknown Channel")
        if not channel.bot_permissions & world.VIEW_CHANNEL:
            raise ApiError(403, 50001, "Missing Access")
        return channel

    def _message(self, request: web.Request, channel: Channel) -> Payload:
        message = self._state.messages.get(request.match_info["message"])
        if message["channel_id"] != channel.id or message["flags"] & EPHEMERAL:
            raise ApiError(404, 10008, "Unknown Message")
        return message

    async def _respond(self, request: web.Request) -> web.Response:
        body, match = request[BODY], request.match_info
        found, message = self._state.interactions.respond(match["interaction"], match["token"], body.json, body.uploads)
        if request.query.get("with_response") != "true":
            return web.Response(status=NOTHING)
        about: Payload = {"id": found.id, "type": found.kind, "response_message_loading": found.deferred}
        about["response_message_ephemeral"] = bool(message and message["flags"] & EPHEMERAL)
        if message is None:
            return web.json_response({"interaction": about})
        about["response_message_id"] = message["id"]
        return web.json_response({"interaction": about, "resource": {"type": found.response, "message": message}})

    async def _follow_up(self, request: web.Request) -> web.Response:
        body, interactions = request[BODY], self._state.interactions
        found = interactions.by_token(request.match_info["application"], request.match_info["token"])
        return web.json_response(interactions.follow_up(found, body.json, body.uploads))

    async def _hook_get(self, request: web.Request) -> web.Response:
        match, interactions = request.match_info, self._state.interactions
        found = interactions.by_token(match["application"], match["token"])
        return web.json_response(interactions.message_of(found, match["message"]))

    async def _hook_patch(self, request: web.Request) -> web.Response:
        match, body, interactions = request.match_info, request[BODY], self._state.interactions
        found = interactions.by_token(match["application"], match["token"])
        return web.json_response(interactions.edit(found, match["message"], body.json, body.uploads))

    async def _hook_delete(self, request: web.Request) -> web.Response:
        match, interactions = request.match_info, self._state.interactions
        found = interactions.by_token(match["application"], match["token"])
        gone = interactions.message_of(found, match["message"])["id"]
        self._state.messages.delete(gone)
        # Then the next follow-up is a message of its own (discord-api-docs#2739).
        found.deferred = found.deferred and gone != found.original
        return web.Response(status=NOTHING)
