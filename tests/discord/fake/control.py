"""The fake's own endpoints, under /fake, for tests whose fake is another process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web

from tests.discord.fake.cdn import Upload
from tests.discord.fake.interactions import Interaction
from tests.discord.fake.options import Impossible
from tests.discord.fake.wire import ApiError, Payload, inner, items
from tests.discord.fake.world import MEMBER, Channel, Person

if TYPE_CHECKING:
    from tests.discord.fake.server import FakeDiscord

LONGEST_WAIT = 30.0
"""Seconds for which /fake/wait waits for a change."""


class Control:
    """JSON in, JSON out. People and channels are named by name; `dm` as a channel is the user's own."""

    def __init__(self, fake: FakeDiscord) -> None:
        self._fake = fake

    def table(self) -> list[web.RouteDef]:
        """Method, path, endpoint."""
        deeds: dict[str, Callable[[Payload], object]] = {
            "slash": self._slash,
            "autocomplete": self._autocomplete,
            "menu": self._menu,
            "click": self._click,
            "modal": self._modal,
            "say": self._say,
            "delete": lambda said: self._fake.delete(said["message"]),
            "person": self._person,
            "channel": self._channel,
            "thread": self._thread,
            "clock": lambda said: self._fake.advance(said["advance"]),
            "faults": self._fail,
            "heal": lambda _: self._fake.heal(),
            "gateway": self._gateway,
        }
        views: dict[str, Callable[[], object]] = {
            "interactions": lambda: [self._seen(one) for one in self._fake.state.interactions.all.values()],
            "messages": lambda: [self._with_history(one) for one in self._fake.state.messages.history],
            "requests": lambda: [asdict(one) for one in self._fake.requests],
            "commands": lambda: {str(key): value for key, value in self._fake.state.commands.of.items()},
            "gateway": lambda: {
                "connected": self._fake.gateway.connected,
                "received": self._fake.gateway.received,
                "presences": self._fake.gateway.presences,
            },
            "limits": lambda: {"refused": self._fake.refused},
        }
        routes = [web.post(f"/fake/{name}", self._doing(deed)) for name, deed in deeds.items()]
        routes += [web.get(f"/fake/{name}", self._viewing(view)) for name, view in views.items()]
        return [*routes, web.get("/fake/wait", self._wait)]

    def _doing(self, deed: Callable[[Payload], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def endpoint(request: web.Request) -> web.Response:
            try:
                done = deed(await request.json())
            except (Impossible, ApiError) as error:
                return web.json_response({"impossible": str(error)}, status=409)
            return web.json_response(self._seen(done) if isinstance(done, Interaction) else done)

        return endpoint

    def _viewing(self, view: Callable[[], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def endpoint(_: web.Request) -> web.Response:
            return web.json_response(view())

        return endpoint

    async def _wait(self, request: web.Request) -> web.Response:
        """GET /fake/wait?after=N answers as soon as more than N changes have happened, with their number."""
        after = int(request.query.get("after", "0"))
        state = self._fake.state
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await state.until(lambda: state.version > after)
        except TimeoutError:
            pass
        return web.json_response({"version": state.version})

    def _who(self, said: Payload) -> Person:
        name = said.get("user", "alice")
        found = [person for person in self._fake.state.people.values() if person.name == name]
        return found[0] if found else self._fake.person(name)

    def _where(self, said: Payload) -> Channel:
        name = said.get("channel", self._fake.channel.name)
        if name == "dm":
            return self._fake.dm(self._who(said))
        found = [channel for channel in self._fake.state.channels.values() if channel.name == name]
        return found[0] if found else self._fake.open_channel(name)

    def _values(self, said: Payload) -> Payload:
        """Options; a file is {"filename": ..., "base64": ...}."""
        values = inner(said, "options")
        files = {name for name, value in values.items() if isinstance(value, dict)}
        return values | {name: _upload(values[name]) for name in files}

    def _slash(self, said: Payload) -> Interaction:
        return self._fake.slash(said["name"], self._values(said), user=self._who(said), channel=self._where(said))

    def _autocomplete(self, said: Payload) -> Interaction:
        who, where = self._who(said), self._where(said)
        focused, typed = said["focused"], said["typed"]
        return self._fake.autocomplete(said["name"], focused, typed, self._values(said), user=who, channel=where)

    def _menu(self, said: Payload) -> Interaction:
        return self._fake.message_menu(said["name"], said["message"], user=self._who(said))

    def _click(self, said: Payload) -> Interaction:
        values = said.get("values", ())
        return self._fake.click(said["message"], said["custom_id"], user=self._who(said), values=values)

    def _modal(self, said: Payload) -> Interaction:
        interaction = self._fake.state.interactions.all[said["interaction"]]
        return self._fake.submit_modal(interaction, said["values"])

    def _say(self, said: Payload) -> Payload:
        files = [_upload(file) for file in items(said, "files")]
        return self._fake.say(said.get("content", ""), user=self._who(said), channel=self._where(said), files=files)

    def _person(self, said: Payload) -> Payload:
        permissions = int(said.get("permissions", MEMBER))
        return self._fake.person(said["name"], permissions=permissions, roles=said.get("roles", ())).membership()

    def _channel(self, said: Payload) -> Payload:
        permissions = int(said.get("bot_permissions", MEMBER))
        opened = self._fake.open_channel(said["name"], bot_permissions=permissions, nsfw=said.get("nsfw", False))
        return opened.describe()

    def _thread(self, said: Payload) -> Payload:
        archived, locked = said.get("archived", False), said.get("locked", False)
        return self._fake.open_thread(said["name"], archived=archived, locked=locked).describe()

    def _fail(self, said: Payload) -> None:
        self._fake.fail(**said)

    def _gateway(self, said: Payload) -> None:
        gateway = self._fake.gateway
        match said["do"]:
            case "reconnect":
                gateway.reconnect()
            case "invalidate":
                gateway.invalidate(resumable=said.get("resumable", False))
            case "close":
                gateway.close(said["code"])
            case "abort":
                gateway.abort()
            case "refuse" | "accept":
                gateway.refusing = said["do"] == "refuse"
            case unknown:
                raise Impossible(f"a gateway cannot {unknown}")

    def _seen(self, one: Interaction) -> Payload:
        message = self._fake.state.messages.all.get(one.original or "")
        kept = (
            "id",
            "token",
            "kind",
            "at",
            "source",
            "response",
            "data",
            "original",
            "answered_at",
            "deferred",
            "followups",
        )
        return {name: getattr(one, name) for name in kept} | {"message": message}

    def _with_history(self, ident: str) -> Payload:
        messages = self._fake.state.messages
        history = [asdict(revision) for revision in messages.history[ident]]
        return {"id": ident, "message": messages.all.get(ident), "history": history}


def _upload(said: Payload) -> Upload:
    return Upload(said["filename"], base64.b64decode(said["base64"]), said.get("media_type"))
