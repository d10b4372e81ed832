"""The endpoints at which a bot registers its commands, and the file server."""

from __future__ import annotations

from aiohttp import web

from tests.discord.fake.rest import BODY, PREFIX
from tests.discord.fake.state import State
from tests.discord.fake.wire import ApiError


class Registration:
    """Commands, for everywhere or for one guild."""

    def __init__(self, state: State) -> None:
        self._state = state

    def table(self) -> list[web.RouteDef]:
        """Method, path, endpoint."""
        routes: list[web.RouteDef] = [web.get("/attachments/{path:.*}", self._file)]
        for scope in ("/applications/{application}/commands", "/applications/{application}/guilds/{guild}/commands"):
            root = PREFIX + scope
            routes += [web.get(root, self._list), web.put(root, self._replace), web.post(root, self._put)]
            one = f"{root}/{{command}}"
            routes += [web.get(one, self._get), web.patch(one, self._patch), web.delete(one, self._delete)]
        return routes

    def _scope(self, request: web.Request) -> str | None:
        guild = request.match_info.get("guild")
        if request.match_info["application"] != self._state.bot.id:
            raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
        if guild is not None and guild not in self._state.guilds:
            raise ApiError(403, 50001, "Missing Access")
        return guild

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(self._state.commands.of[self._scope(request)])

    async def _replace(self, request: web.Request) -> web.Response:
        scope, many = self._scope(request), request[BODY].many
        return web.json_response(self._state.commands.replace(scope, many or []))

    async def _put(self, request: web.Request) -> web.Response:
        new, stored = self._state.commands.put(self._scope(request), request[BODY].json)
        return web.json_response(stored, status=201 if new else 200)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._state.commands.get(self._scope(request), request.match_info["command"]))

    async def _patch(self, request: web.Request) -> web.Response:
        scope, commands = self._scope(request), self._state.commands
        before = commands.get(scope, request.match_info["command"])
        return web.json_response(commands.change(scope, before, request[BODY].json))

    async def _delete(self, request: web.Request) -> web.Response:
        self._state.commands.delete(self._scope(request), request.match_info["command"])
        return web.Response(status=204)

    async def _file(self, request: web.Request) -> web.Response:
        cdn = self._state.cdn
        if (other := cdn.redirects.get(f"{cdn.base}{request.path}")) is not None:
            return web.Response(status=302, headers={"Location": other})
        file = cdn.files.get(request.path)
        if file is None:
            return web.Response(status=404)
        return web.Response(body=file.content, content_type=file.media_type or "application/octet-stream")
