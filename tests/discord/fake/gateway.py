"""The gateway: identify, resume, heartbeats, and every way in which Discord hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from aiohttp import WSMsgType, web

from tests.discord.fake.sessions import Goodbye, Line, Session, compression
from tests.discord.fake.state import State
from tests.discord.fake.wire import Payload
from tests.discord.fake.world import Channel, Guild, describe_guild

GUILDS = 1 << 0
GUILD_MESSAGES = 1 << 9
PRIVILEGED = 1 << 1 | 1 << 8 | 1 << 15
"""Members, presences, message content: to be allowed in the developer portal."""
KNOWN = (1 << 26) - 1

FAREWELLS = (1000, 1001)
"""A client that closes with one of these ends its session."""


class Gateway:
    """Sessions and their connections."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.heartbeat = 41.25
        """Seconds between two heartbeats that clients are told to keep."""
        self.acknowledges = True
        """Whether heartbeats are answered; a client must notice when they are not."""
        self.refusing = False
        """An outage: connections are answered with a 503."""
        self.mute = False
        """Whether IDENTIFY and RESUME are left without an answer."""
        self.after_ready: Callable[[], object] | None = None
        """What happens at the very moment at which a session is ready; called in the fake's thread."""
        self.privileged = 0
        """The privileged intents that are switched on."""
        self.shards = 1
        """How many shards are recommended."""
        self.together = 1
        """How many new sessions may be opened at the same time."""
        self.to_all = False
        """Whether all sessions of a shard get its events, as at Discord, and not only the newest one."""
        self.received: list[Payload] = []
        """All that clients have sent."""
        self.sessions: dict[str, Session] = {}
        self._lines: set[Line] = set()

    @property
    def connected(self) -> bool:
        """Whether anybody is on the line and identified."""
        return any(session.line for session in self.sessions.values())

    def count(self, op: int) -> int:
        """How often clients have sent this opcode (2 identify, 6 resume, 3 presence, 1 heartbeat)."""
        return sum(item.get("op") == op for item in self.received)

    @property
    def presences(self) -> list[Payload]:
        """What the bot has shown itself as, the presence it identified with first."""
        said = [
            item["d"] if item["op"] == 3 else item["d"].get("presence")
            for item in self.received
            if item["op"] in (2, 3)
        ]
        return [presence for presence in said if presence]

    def dispatch(self, name: str, data: object, guild: Guild | None) -> int:
        """Send an event to the shard of this guild; to how many sessions it went (offline ones keep it)."""
        shards: dict[tuple[int, int], Session] = {session.shard: session for session in self.sessions.values()}
        sessions = self.sessions.values() if self.to_all else shards.values()
        chosen = [session for session in sessions if is_of(session, guild)]
        if not self.to_all:
            chosen = chosen[-1:]
        for session in chosen:
            session.dispatch(name, data)
        return len(chosen)

    def tell_of_message(self, name: str, data: Payload, channel: Channel | None) -> None:
        """Send an event of a message in a server to the sessions that want to know of messages."""
        if channel is not None and channel.guild is not None:
            about = data | {"channel_id": channel.id, "guild_id": channel.guild.id}
            if any(session.intents & GUILD_MESSAGES for session in self.sessions.values()):
                self.dispatch(name, about, channel.guild)

    def reconnect(self) -> None:
        """Opcode 7: ask every client to come back and resume."""
        self._state.do(self._tell, {"op": 7, "d": None})

    def invalidate(self, *, resumable: bool = False) -> None:
        """Opcode 9: the session is over, or may be resumed."""

        def invalidate() -> None:
            self._tell({"op": 9, "d": resumable})
            if not resumable:
                self.sessions.clear()

        self._state.do(invalidate)

    def send_raw(self, raw: bytes) -> None:
        """Send these bytes to every client, as if they were a payload."""
        self._state.do(self._tell, raw)

    def close(self, code: int) -> None:
        """Hang up on everybody with this code, 4004 for instance."""
        self._state.do(self._tell, Goodbye(code))

    def abort(self) -> None:
        """Cut every wire, without a word."""

        def cut() -> None:
            for line in self._lines:
                line.abort()

        self._state.do(cut)

    def _tell(self, item: Payload | Goodbye | bytes) -> None:
        for line in self._lines:
            line.say(item)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One websocket from beginning to end."""
        if self.refusing:
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=4096)
        await socket.prepare(request)
        line = Line(request, socket, compression(request.query.get("compress")))
        line.say({"op": 10, "d": {"heartbeat_interval": round(self.heartbeat * 1000)}, "s": None, "t": None})
        self._lines.add(line)
        writing = asyncio.create_task(line.write())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                    said: Payload = json.loads(message.data)
                    self.received.append(said)
                    self._hear(line, said)
                    self._state.ring()
        finally:
            writing.cancel()
            self._lines.discard(line)
            self._hang_up(line)
            self._state.ring()
        return socket

    def _hang_up(self, line: Line) -> None:
        for session in [one for one in self.sessions.values() if one.line is line]:
            session.line = None
            if line.socket.close_code in FAREWELLS:
                del self.sessions[session.id]

    def _hear(self, line: Line, said: Payload) -> None:
        known = any(session.line is line for session in self.sessions.values())
        match said.get("op"):
            case 2 | 6 if self.mute:
                pass
            case 1:
                if self.acknowledges:
                    line.say({"op": 11, "d": None, "s": None, "t": None})
            case 2:
                self._identify(line, said["d"], again=known)
            case 6:
                self._resume(line, said["d"])
            case 3 | 4 | 8:
                if not known:
                    line.say(Goodbye(4003, "Not authenticated."))
            case _:
                line.say(Goodbye(4001, "Unknown opcode."))

    def _identify(self, line: Line, data: Payload, *, again: bool) -> None:
        intents: int = data.get("intents") or 0
        if data.get("token") != self._state.token:
            return line.say(Goodbye(4004, "Authentication failed."))
        if again:
            return line.say(Goodbye(4005, "Already authenticated."))
        if intents & ~KNOWN:
            return line.say(Goodbye(4013, "Invalid intent(s)."))
        if intents & PRIVILEGED & ~self.privileged:
            return line.say(Goodbye(4014, "Disallowed intent(s)."))
        index, count = data.get("shard") or (0, 1)
        session = Session(f"{int(self._state.flakes.new_prompt_id()):032x}", (index, count), intents, line)
        # Of the sessions of one shard only the newest gets events; those nobody listens to are in its way.
        for old in [one for one in self.sessions.values() if one.shard == session.shard and not one.line]:
            del self.sessions[old.id]
        self.sessions[session.id] = session
        session.dispatch("READY", self._ready(session))
        if self.after_ready is not None:
            self.after_ready()
        if intents & GUILDS:
            people = [*self._state.people.values()]
            for guild in [one for one in self._state.guilds.values() if is_of(session, one)]:
                described = describe_guild(guild, people, [*self._state.channels.values()])
                # What is sent at the start has this field; what comes later, because a server adds the bot, has not.
                session.dispatch("GUILD_CREATE", described | {"unavailable": False})
        return None

    def _ready(self, session: Session) -> Payload:
        bot = self._state.bot
        return {
            "v": 10,
            "user": bot.describe(),
            "guilds": [
                {"id": guild.id, "unavailable": True} for guild in self._state.guilds.values() if is_of(session, guild)
            ],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": list(session.shard),
            "application": {"id": bot.id, "flags": 0},
        }

    @property
    def url(self) -> str:
        """Where clients are to connect."""
        return self._state.cdn.base.replace("http", "ws", 1) + "/gateway"

    def _resume(self, line: Line, data: Payload) -> None:
        session = self.sessions.get(data.get("session_id") or "")
        if data.get("token") != self._state.token:
            return line.say(Goodbye(4004, "Authentication failed."))
        if session is None:
            return line.say({"op": 9, "d": False, "s": None, "t": None})
        if data["seq"] > len(session.sent):
            return line.say(Goodbye(4007, "Invalid seq."))
        session.line = line
        session.replay(data["seq"])
        session.dispatch("RESUMED", {})
        return None


def is_of(session: Session, guild: Guild | None) -> bool:
    """Whether a session is that of the shard that gets the events of a guild, or those outside of all guilds."""
    index, count = session.shard
    return index == ((int(guild.id) >> 22) % count if guild else 0)
