"""What the fake refuses, asked by plain HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx
import pytest

from tests.discord.fake import FakeDiscord, Impossible, Interaction, Payload, Upload
from tests.discord.fake.interactions import PATIENCE
from tests.discord.fake.world import ATTACH_FILES, MANAGE_THREADS, MEMBER, SEND_IN_THREADS, SEND_MESSAGES, VIEW_CHANNEL
from tests.discord.one_backend import only_on
from tests.discord.peers import PICTURE

anyio_backend = only_on("trio")

V2 = 1 << 15
GALLERY: Payload = {"type": 12, "items": [{"media": {"url": "attachment://a.png"}}]}
COMMAND: Payload = {"name": "txt2img", "description": "Make a picture", "options": []}


def text(content: str) -> Payload:
    return {"type": 10, "content": content}


def button(custom_id: str, **more: object) -> Payload:
    return {"type": 2, "style": 2, "label": "Go", "custom_id": custom_id} | more


def row(*components: Payload) -> Payload:
    return {"type": 1, "components": list(components)}


def option(name: str, **more: object) -> Payload:
    return {"name": name, "description": "An option", "type": 3} | more


class Caller:
    """A bot's requests, one by one. Each returns the status, Discord's code, and the answer."""

    def __init__(self, fake: FakeDiscord, http: httpx.AsyncClient) -> None:
        self.fake = fake
        self.application = f"/applications/{fake.state.bot.id}"
        self._http = http

    async def __call__(
        self,
        method: str,
        path: str,
        said: Payload | list[Payload] | None = None,
        *files: tuple[str, bytes],
        **headers: str,
    ) -> tuple[int, int, Any]:
        sent: dict[str, Any] = {"json": said} if said is not None else {}
        if files:
            parts = [(f"files[{number}]", file) for number, file in enumerate(files)]
            sent = {"data": {"payload_json": json.dumps(said)}, "files": parts}
        answer = await self._http.request(method, self.fake.rest_url + path, headers=headers, **sent)
        body: Any = answer.json() if answer.content else None
        code: int = 0 if answer.is_success else body.get("code", 0)
        return answer.status_code, code, body

    async def register(self, *commands: Payload) -> tuple[int, int, Any]:
        return await self("PUT", f"{self.application}/commands", list(commands))

    async def imagine(self) -> Interaction:
        await self.register(COMMAND)
        return self.fake.slash("txt2img")

    async def respond(self, one: Interaction, kind: int, data: Payload | None = None) -> tuple[int, int, Any]:
        return await self("POST", f"/interactions/{one.id}/{one.token}/callback", {"type": kind, "data": data or {}})

    async def edit(self, one: Interaction, data: Payload, *files: tuple[str, bytes]) -> tuple[int, int, Any]:
        path = f"/webhooks/{self.fake.state.bot.id}/{one.token}/messages/@original"
        return await self("PATCH", path, data, *files)

    async def follow_up(self, one: Interaction, data: Payload) -> tuple[int, int, Any]:
        return await self("POST", f"/webhooks/{self.fake.state.bot.id}/{one.token}", data)

    async def post(self, data: Payload, *files: tuple[str, bytes], channel: str | None = None) -> tuple[int, int, Any]:
        return await self("POST", f"/channels/{channel or self.fake.channel.id}/messages", data, *files)


@pytest.fixture
async def call(fake: FakeDiscord) -> AsyncGenerator[Caller]:
    async with httpx.AsyncClient(headers={"Authorization": f"Bot {fake.token}"}) as http:
        yield Caller(fake, http)


def complaint(answer: tuple[int, int, Any], *path: str) -> str:
    """The code of the complaint that a 50035 has at this place."""
    status, code, body = answer
    assert (status, code) == (400, 50035), body
    place = body["errors"]
    for part in path:
        place = place[part]
    return str(place["_errors"][0]["code"])


async def test_an_acknowledgement_after_three_seconds_is_too_late(call: Caller) -> None:
    call.fake.state.interactions.patience = PATIENCE
    one = await call.imagine()
    call.fake.advance(PATIENCE + 0.1)
    assert (await call.respond(one, 5))[:2] == (404, 10062)
    assert one.response is None


async def test_an_interaction_is_acknowledged_once(call: Caller) -> None:
    one = await call.imagine()
    assert (await call.respond(one, 5))[0] == 204
    assert (await call.respond(one, 5))[:2] == (400, 40060)


async def test_a_webhook_is_unknown_before_the_acknowledgement_and_dead_after_fifteen_minutes(call: Caller) -> None:
    one = await call.imagine()
    assert (await call.edit(one, {"content": "x"}))[:2] == (404, 10015)
    await call.respond(one, 5)
    assert (await call.edit(one, {"content": "x"}))[0] == 200
    call.fake.advance(900)
    assert (await call.edit(one, {"content": "y"}))[:2] == (401, 50027)
    assert (await call.follow_up(one, {"content": "y"}))[:2] == (401, 50027)
    path = f"/channels/{call.fake.channel.id}/messages/{one.original}"
    assert (await call("PATCH", path, {"content": "z"}))[0] == 200
    assert [revision.state["content"] for revision in call.fake.history(one)] == ["", "x", "z"]


async def test_the_first_follow_up_resolves_a_deferral(call: Caller) -> None:
    one = await call.imagine()
    await call.respond(one, 5)
    _, _, first = await call.follow_up(one, {"content": "a"})
    _, _, second = await call.follow_up(one, {"content": "b"})
    assert first["id"] == one.original
    assert second["id"] != one.original
    assert one.followups == [second["id"]]


async def test_a_file_beyond_the_limit_is_refused(call: Caller) -> None:
    call.fake.state.upload_limit = 100
    one = await call.imagine()
    assert one.payload["attachment_size_limit"] == 100
    await call.respond(one, 5)
    assert (await call.edit(one, {}, ("a.png", bytes(101))))[:2] == (413, 40005)
    assert (await call.edit(one, {}, ("a.png", bytes(100)), ("b.png", bytes(100))))[0] == 200


async def test_what_is_no_message_is_refused(call: Caller) -> None:
    call.fake.state.buckets.rates.clear()
    assert (await call.post({}))[:2] == (400, 50006)
    assert complaint(await call.post({"content": "x" * 2001}), "content") == "BASE_TYPE_MAX_LENGTH"
    twice = {"content": "x", "components": [row(button("a"), button("a"))]}
    assert complaint(await call.post(twice), "components", "0", "components", "1", "custom_id") == (
        "COMPONENT_CUSTOM_ID_DUPLICATED"
    )
    many = {"content": "x", "components": [row(*(button(str(number)) for number in range(6)))]}
    assert complaint(await call.post(many), "components", "0", "components") == "BASE_TYPE_MAX_LENGTH"
    assert complaint(await call.post({"components": [text("x")]}), "components", "0", "type") == "UNION_TYPE_CHOICES"
    mixed = {"content": "x", "flags": V2, "components": [text("x")]}
    assert complaint(await call.post(mixed), "content") == "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
    missing = {"flags": V2, "components": [GALLERY]}
    assert complaint(await call.post(missing), "components") == ("UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND")
    assert (await call.post({"flags": V2, "components": []}))[:2] == (400, 50006)
    assert call.fake.messages == []


async def test_a_v2_message_stays_one_and_keeps_what_an_edit_does_not_mention(call: Caller) -> None:
    status, _, made = await call.post({"flags": V2, "components": [GALLERY]}, ("a.png", PICTURE))
    assert status == 200
    path = f"/channels/{made['channel_id']}/messages/{made['id']}"
    assert complaint(await call("PATCH", path, {"content": "x"}), "content").endswith("COMPONENTS_V2")
    _, _, edited = await call("PATCH", path, {"components": [GALLERY, text("done")], "flags": 0})
    assert edited["flags"] == V2
    assert [item["filename"] for item in edited["attachments"]] == ["a.png"]
    url = edited["components"][0]["items"][0]["media"]["url"]
    async with httpx.AsyncClient() as http:
        assert (await http.get(url)).content == PICTURE
    _, _, cleared = await call("PATCH", path, {"components": [text("gone")], "attachments": []})
    assert cleared["attachments"] == []


async def test_a_message_with_words_becomes_v2_only_without_them(call: Caller) -> None:
    _, _, made = await call.post({"content": "x"})
    path = f"/channels/{made['channel_id']}/messages/{made['id']}"
    turned: Payload = {"flags": V2, "components": [text("y")]}
    assert complaint(await call("PATCH", path, turned), "content").endswith("COMPONENTS_V2")
    assert (await call("PATCH", path, turned | {"content": None}))[0] == 200


async def test_a_deleted_message_is_unknown(call: Caller) -> None:
    one = await call.imagine()
    await call.respond(one, 4, {"content": "x"})
    call.fake.delete(call.fake.message(one))
    assert (await call.edit(one, {"content": "y"}))[:2] == (404, 10008)
    assert (await call("PATCH", f"/channels/{call.fake.channel.id}/messages/{one.original}", {}))[:2] == (404, 10008)


async def test_an_ephemeral_message_is_reached_by_its_webhook_only(call: Caller) -> None:
    one = await call.imagine()
    await call.respond(one, 5, {"flags": 64})
    assert (await call.edit(one, {"content": "x", "flags": 4}))[2]["flags"] == 64 | 4
    path = f"/channels/{call.fake.channel.id}/messages/{one.original}"
    assert (await call("PATCH", path, {"content": "y"}))[:2] == (404, 10008)
    with pytest.raises(Impossible):
        call.fake.click(call.fake.message(one), "any", user=call.fake.person("bob"))


async def test_permissions_are_missed(call: Caller) -> None:
    secret = call.fake.open_channel("secret", bot_permissions=MEMBER & ~VIEW_CHANNEL)
    quiet = call.fake.open_channel("quiet", bot_permissions=MEMBER & ~SEND_MESSAGES)
    assert (await call.post({"content": "x"}, channel=secret.id))[:2] == (403, 50001)
    assert (await call.post({"content": "x"}, channel=quiet.id))[:2] == (403, 50013)
    assert (await call.post({"content": "x"}, channel="1"))[:2] == (404, 10003)
    message = call.fake.say("mine")
    path = f"/channels/{message['channel_id']}/messages/{message['id']}"
    assert (await call("PATCH", path, {"content": "yours"}))[:2] == (403, 50005)
    assert (await call("DELETE", path))[:2] == (403, 50013)


async def test_direct_messages_are_opened_and_may_be_shut(call: Caller) -> None:
    _, _, channel = await call("POST", "/users/@me/channels", {"recipient_id": call.fake.alice.id})
    assert (await call.post({"content": "ready"}, channel=channel["id"]))[0] == 200
    call.fake.alice.takes_dms = False
    assert (await call.post({"content": "ready"}, channel=channel["id"]))[:2] == (403, 50007)
    assert [message["content"] for message in call.fake.messages] == ["ready"]


async def test_an_enforced_nonce_makes_one_message_of_two_requests(call: Caller) -> None:
    said: Payload = {"content": "x", "nonce": "job-1", "enforce_nonce": True}
    call.fake.fail("POST", "/messages$", status=500, after=True)
    assert (await call.post(said))[0] == 500
    _, _, again = await call.post(said)
    assert [message["id"] for message in call.fake.messages] == [again["id"]]
    call.fake.advance(600)
    await call.post(said)
    assert len(call.fake.messages) == 2


async def test_the_sixth_call_within_five_seconds_is_refused(call: Caller) -> None:
    call.fake.freeze()
    answers = [await call.post({"content": str(number)}) for number in range(6)]
    assert [status for status, _, _ in answers] == [200] * 5 + [429]
    assert 0 < answers[-1][2]["retry_after"] <= 1
    assert call.fake.refused == 1
    other = call.fake.open_channel("other")
    assert (await call.post({"content": "x"}, channel=other.id))[0] == 200
    call.fake.advance(1)
    assert (await call.post({"content": "x"}))[0] == 200


async def test_a_fixed_window_gives_all_calls_back_at_once(call: Caller) -> None:
    call.fake.freeze()
    call.fake.state.buckets.style = "fixed"
    for _ in range(2):
        answers = [await call.post({"content": "x"}) for _ in range(6)]
        assert [status for status, _, _ in answers] == [200] * 5 + [429]
        call.fake.advance(5)


async def test_a_wrong_token_is_refused(call: Caller) -> None:
    assert (await call("GET", "/users/@me", None, authorization="Bot x"))[0] == 401
    assert (await call("GET", "/gateway/bot", None, authorization="Bot x"))[0] == 401


@pytest.mark.parametrize(
    ("options", "place", "code"),
    [
        ([option("a"), option("b", required=True)], ("1",), "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID"),
        ([option(f"o{number}") for number in range(26)], (), "BASE_TYPE_MAX_LENGTH"),
        (
            [option("a", choices=[{"name": str(number), "value": str(number)} for number in range(26)])],
            ("0", "choices"),
            "BASE_TYPE_MAX_LENGTH",
        ),
        ([option("Upper")], ("0", "name"), "APPLICATION_COMMAND_INVALID_NAME"),
        ([option("a"), option("a")], ("1",), "APPLICATION_COMMAND_OPTIONS_NAME_INVALID"),
        ([option("a", description="")], ("0", "description"), "BASE_TYPE_BAD_LENGTH"),
        ([option("a", min_value=1)], ("0",), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID"),
    ],
)
async def test_what_is_no_command_is_refused(
    call: Caller, options: list[Payload], place: tuple[str, ...], code: str
) -> None:
    assert complaint(await call.register(COMMAND | {"options": options}), "0", "options", *place) == code
    assert call.fake.commands() == []


async def test_a_command_is_at_most_8000_characters_long(call: Caller) -> None:
    choices = [{"name": f"{number:0100}", "value": f"{number:0100}"} for number in range(25)]
    options = [option(f"o{number}", choices=choices) for number in range(2)]
    assert complaint(await call.register(COMMAND | {"options": options}), "0") == "APPLICATION_COMMAND_TOO_LARGE"


async def test_commands_of_a_guild_come_and_go_one_by_one(call: Caller) -> None:
    root = f"{call.application}/guilds/{call.fake.guild.id}/commands"
    status, _, made = await call("POST", root, COMMAND)
    assert status == 201
    status, _, same = await call("POST", root, COMMAND | {"description": "Another"})
    assert (status, same["id"]) == (200, made["id"])
    assert (await call("PATCH", f"{root}/{made['id']}", {"description": "Third"}))[2]["description"] == "Third"
    assert [command["description"] for command in (await call("GET", root))[2]] == ["Third"]
    assert (await call("DELETE", f"{root}/{made['id']}"))[0] == 204
    assert (await call("GET", f"{root}/{made['id']}"))[:2] == (404, 10063)
    assert (await call("GET", f"{call.application}/guilds/1/commands"))[:2] == (403, 50001)


async def test_a_modal_has_limits(call: Caller) -> None:
    field: Payload = {"type": 4, "custom_id": "prompt", "style": 2, "label": "Prompt"}
    one = await call.imagine()
    nothing: Payload = {"custom_id": "m", "title": "T", "components": []}
    assert complaint(await call.respond(one, 9, nothing), "data", "components") == "BASE_TYPE_BAD_LENGTH"
    long: Payload = {"custom_id": "m", "title": "T" * 46, "components": [row(field)]}
    assert complaint(await call.respond(one, 9, long), "data", "title") == "BASE_TYPE_MAX_LENGTH"
    twice: Payload = {"custom_id": "m", "title": "T", "components": [row(field), row(field)]}
    assert complaint(await call.respond(one, 9, twice), "data", "components", "1", "components", "0", "custom_id")
    good: Payload = {"custom_id": "m", "title": "T", "components": [row(field)]}
    assert (await call.respond(one, 9, good))[0] == 204
    sent = call.fake.submit_modal(one, {"prompt": "a cat"})
    assert sent.payload["data"]["components"][0]["components"][0]["value"] == "a cat"
    assert complaint(await call.respond(sent, 9, good), "type") == "BASE_TYPE_CHOICES"
    assert complaint(await call.respond(sent, 7, {"content": "x"}), "type") == "BASE_TYPE_CHOICES"


async def test_discords_client_lets_nobody_do_the_impossible(call: Caller) -> None:
    admins: Payload = {"name": "servers", "description": "Servers", "default_member_permissions": "32", "contexts": [0]}
    steps = option("steps", type=4, required=True, min_value=1, max_value=50)
    await call.register(COMMAND | {"options": [steps, option("image", type=11)]}, admins)
    for values in ({}, {"steps": 0}, {"steps": "many"}, {"steps": 1, "size": 2}):
        with pytest.raises(Impossible):
            call.fake.slash("txt2img", values)
    with pytest.raises(Impossible):
        call.fake.slash("servers")
    carol = call.fake.person("carol", permissions=MEMBER | 32, roles=["1500000000000000000"])
    with pytest.raises(Impossible):
        call.fake.slash("servers", user=carol, channel=call.fake.dm(carol))
    seen = call.fake.slash("servers", user=carol).payload["member"]
    assert (seen["permissions"], seen["roles"]) == (str(MEMBER | 32), ["1500000000000000000"])
    used = call.fake.slash("txt2img", steps=3, image=Upload("a.png", PICTURE), channel=call.fake.dm())
    assert used.payload["user"]["username"] == "alice"
    [attachment] = used.payload["data"]["resolved"]["attachments"].values()
    async with httpx.AsyncClient() as http:
        assert (await http.get(attachment["url"])).content == PICTURE
    assert (attachment["size"], attachment["width"]) == (len(PICTURE), 1)


async def test_a_disabled_button_cannot_be_clicked(call: Caller) -> None:
    _, _, made = await call.post({"content": "x", "components": [row(button("a", disabled=True), button("b"))]})
    with pytest.raises(Impossible):
        call.fake.click(made, "a")
    click = call.fake.click(made, "b")
    assert (await call.respond(click, 7, {"content": "y", "components": []}))[0] == 204
    assert call.fake.message(made)["content"] == "y"


async def test_faults_happen_as_often_as_they_are_told(call: Caller) -> None:
    call.fake.fail("GET", "/users/@me", status=503, times=2)
    assert [(await call("GET", "/users/@me"))[0] for _ in range(3)] == [503, 503, 200]
    call.fake.fail("GET", "/users/@me", abort=True)
    with pytest.raises(httpx.TransportError):
        await call("GET", "/users/@me")
    assert [request.status for request in call.fake.requests] == [503, 503, 200, 500]


async def test_a_held_request_goes_on_when_the_fault_is_lifted(call: Caller) -> None:
    call.fake.fail("POST", "/messages$", hold=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call.post, {"content": "x"})
        await call.fake.until(lambda: call.fake.state.requests)
        assert call.fake.messages == []
        call.fake.heal()
    assert len(call.fake.messages) == 1


async def test_waiting_in_vain_ends_with_the_last_requests(call: Caller) -> None:
    await call("GET", "/users/@me")
    with pytest.raises(TimeoutError, match=r"GET /users/@me 200"):
        await call.fake.until(lambda: False, seconds=0.01)


async def test_two_who_wait_do_not_wake_each_other_by_looking(call: Caller) -> None:
    looks: list[int] = []

    def posted() -> bool:
        looks.append(1)
        return bool(call.fake.messages)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call.fake.until, posted)
        tasks.start_soon(call.fake.until, posted)
        await call("GET", "/users/@me")
        await call.post({"content": "x"})
    assert len(looks) < 20


async def test_the_journal_keeps_json_files_and_codes(call: Caller) -> None:
    await call.post({"content": "x"}, ("a.png", PICTURE))
    await call.post({})
    first, second = call.fake.requested("POST", "/messages")
    assert (first.json, first.files, first.status) == ({"content": "x"}, [("a.png", len(PICTURE))], 200)
    assert (second.status, second.code) == (400, 50006)


def menu(*values: str, **more: object) -> Payload:
    options = [{"label": f"Option {number}", "value": value} for number, value in enumerate(values)]
    return {"type": 3, "custom_id": "menu", "options": options} | more


def link(url: str) -> Payload:
    return {"type": 2, "style": 5, "label": "Open", "url": url}


def picture(url: str) -> Payload:
    return {"type": 12, "items": [{"media": {"url": url}}]}


@pytest.mark.parametrize(
    ("component", "place", "code"),
    [
        (text(" \n\t "), ("content",), "BASE_TYPE_BAD_LENGTH"),
        (row(link("ftp://example.org/a.png")), ("components", "0", "url"), "URL_TYPE_INVALID_SCHEME"),
        (row(link("example.org")), ("components", "0", "url"), "URL_TYPE_INVALID_URL"),
        (row(link("https://example.org/" + "x" * 493)), ("components", "0", "url"), "BASE_TYPE_MAX_LENGTH"),
        (picture("ftp://example.org/a.png"), ("items", "0", "media", "url"), "URL_TYPE_INVALID_SCHEME"),
        (picture("https://example.org/" + "x" * 2029), ("items", "0", "media", "url"), "BASE_TYPE_MAX_LENGTH"),
        (
            row(menu("a", "b", "a")),
            ("components", "0", "options", "2", "value"),
            "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
        ),
        (row(menu("a", "b", min_values=2, max_values=1)), ("components", "0", "min_values"), "COMPONENT_INVALID_RANGE"),
        (row(menu("a", "b", max_values=3)), ("components", "0", "max_values"), "NUMBER_TYPE_MAX"),
        (row(menu("a", "b", max_values=0)), ("components", "0", "max_values"), "NUMBER_TYPE_MIN"),
        (row(button("a", id=7), button("b", id=7)), ("components", "1", "id"), "COMPONENT_ID_DUPLICATED"),
    ],
)
async def test_what_is_no_component_is_refused(
    call: Caller, component: Payload, place: tuple[str, ...], code: str
) -> None:
    assert complaint(await call.post({"flags": V2, "components": [component]}), "components", "0", *place) == code
    assert call.fake.messages == []


async def test_what_is_just_within_the_limits_is_taken(call: Caller) -> None:
    parts: list[Payload] = [
        text(" x "),
        row(link("https://example.org/" + "x" * 492)),
        row(menu("a", "b", min_values=2, max_values=2)),
        picture("https://example.org/" + "x" * 2028),
        row(button("a", id=0), button("b", id=0), button("c", id=7)),
    ]
    assert (await call.post({"flags": V2, "components": parts}))[0] == 200
    assert (await call.post({"content": " \n "}))[:2] == (400, 50006)


@pytest.mark.parametrize(
    ("more", "place", "code"),
    [
        ({"min_length": 9, "max_length": 8}, "min_length", "COMPONENT_INVALID_RANGE"),
        ({"max_length": 4001}, "max_length", "NUMBER_TYPE_MAX"),
        ({"max_length": 0}, "max_length", "NUMBER_TYPE_MIN"),
        ({"max_length": 3, "value": "abcd"}, "value", "BASE_TYPE_MAX_LENGTH"),
        ({"min_length": 3, "value": "ab"}, "value", "BASE_TYPE_BAD_LENGTH"),
    ],
)
async def test_a_field_of_a_modal_keeps_its_own_limits(call: Caller, more: Payload, place: str, code: str) -> None:
    field: Payload = {"type": 4, "custom_id": "prompt", "style": 2, "label": "Prompt"} | more
    form: Payload = {"custom_id": "m", "title": "T", "components": [row(field)]}
    answer = await call.respond(await call.imagine(), 9, form)
    assert complaint(answer, "data", "components", "0", "components", "0", place) == code


async def test_nobody_can_fill_in_what_a_modal_does_not_take(call: Caller) -> None:
    field: Payload = {"type": 4, "custom_id": "prompt", "style": 2, "label": "Prompt", "min_length": 2, "max_length": 4}
    several = menu("a", "b", "c", min_values=1, max_values=2)
    form: Payload = {"custom_id": "m", "title": "T", "components": [row(field)]}
    form["components"] += [{"type": 18, "label": "Which", "component": several}]
    one = await call.imagine()
    assert (await call.respond(one, 9, form))[0] == 204
    for prompt, chosen in (("x", "a"), ("xxxxx", "a"), ("xx", "d"), ("xx", ""), ("xx", "abc")):
        with pytest.raises(Impossible):
            call.fake.submit_modal(one, {"prompt": prompt, "menu": list(chosen)})
    sent = call.fake.submit_modal(one, {"prompt": "xx", "menu": ["a", "b"]})
    assert sent.payload["data"]["components"][1]["component"]["values"] == ["a", "b"]


def labelled(component: Payload, **more: object) -> Payload:
    return {"type": 18, "label": "Which", "component": component, **more}


def group(kind: int, *values: str, **more: object) -> Payload:
    """A radio group (21) or a group of checkboxes (22)."""
    return {"type": kind, "custom_id": "group", "options": [{"label": v, "value": v} for v in values], **more}


FILE_OR_NONE: Payload = {"type": 19, "custom_id": "f", "min_values": 0}


@pytest.mark.parametrize(
    ("part", "place", "code"),
    [
        (labelled(group(21, "a", "b"), label="L" * 46), ("label",), "BASE_TYPE_MAX_LENGTH"),
        (labelled(group(21, "a", "b"), description="D" * 101), ("description",), "BASE_TYPE_MAX_LENGTH"),
        (labelled(group(21, "a", "b", disabled=True)), ("component", "disabled"), "MODAL_COMPONENT_DISABLED"),
        (labelled(group(21, "a")), ("component", "options"), "BASE_TYPE_BAD_LENGTH"),
        (labelled(group(21, *"abcdefghijk")), ("component", "options"), "BASE_TYPE_MAX_LENGTH"),
        (
            labelled(group(21, "a", "a")),
            ("component", "options", "1", "value"),
            "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
        ),
        (labelled(group(21, "x" * 101, "b")), ("component", "options", "0", "label"), "BASE_TYPE_MAX_LENGTH"),
        (labelled(group(22, *"abcdefghijk")), ("component", "options"), "BASE_TYPE_MAX_LENGTH"),
        (labelled(group(22, "a", min_values=0)), ("component", "min_values"), "COMPONENT_INVALID_RANGE"),
        (labelled(group(22, "a", max_values=2)), ("component", "max_values"), "NUMBER_TYPE_MAX"),
        (labelled({"type": 23, "custom_id": "c", "default": "yes"}), ("component", "default"), "BOOLEAN_TYPE_CONVERT"),
        (labelled({"type": 23}), ("component", "custom_id"), "BASE_TYPE_REQUIRED"),
        (labelled({"type": 19, "custom_id": "f", "max_values": 11}), ("component", "max_values"), "NUMBER_TYPE_MAX"),
        (
            labelled({"type": 19, "custom_id": "f", "min_values": 0}),
            ("component", "min_values"),
            "COMPONENT_INVALID_RANGE",
        ),
        (labelled(button("b")), ("component", "type"), "UNION_TYPE_CHOICES"),
        (labelled(menu("a", "b", min_values=0)), ("component", "min_values"), "COMPONENT_INVALID_RANGE"),
    ],
)
async def test_a_field_in_a_label_keeps_discords_rules(
    call: Caller, part: Payload, place: tuple[str, ...], code: str
) -> None:
    form: Payload = {"custom_id": "m", "title": "T", "components": [part]}
    assert complaint(await call.respond(await call.imagine(), 9, form), "data", "components", "0", *place) == code


async def test_more_than_one_choice_cannot_be_chosen_at_first(call: Caller) -> None:
    options = [{"label": v, "value": v, "default": True} for v in "ab"]
    for kind, path in ((21, "options"), (3, "options")):
        part = labelled({"type": kind, "custom_id": "x", "options": options})
        answer = await call.respond(await call.imagine(), 9, {"custom_id": "m", "title": "T", "components": [part]})
        expected = "SELECT_COMPONENT_DEFAULT_OPTIONS_EXCEEDED"
        assert complaint(answer, "data", "components", "0", "component", path) == expected


async def test_six_fields_are_too_many_and_two_may_not_share_an_id(call: Caller) -> None:
    six = [labelled(group(21, "a", "b") | {"custom_id": str(number)}) for number in range(6)]
    one = await call.imagine()
    form: Payload = {"custom_id": "m", "title": "T", "components": six}
    assert complaint(await call.respond(one, 9, form), "data", "components") == "BASE_TYPE_MAX_LENGTH"
    twice = form | {"components": [labelled(group(21, "a", "b")), labelled(group(22, "c"))]}
    place = ("data", "components", "1", "component", "custom_id")
    assert complaint(await call.respond(one, 9, twice), *place) == "COMPONENT_CUSTOM_ID_DUPLICATED"


async def test_what_belongs_into_modals_is_refused_in_a_message(call: Caller) -> None:
    part = row(group(21, "a", "b"))
    answer = await call.post({"content": "x", "components": [part]})
    assert complaint(answer, "components", "0", "components", "0", "type") == "UNION_TYPE_CHOICES"


async def test_people_fill_in_every_kind_of_field(call: Caller) -> None:
    form: Payload = {
        "custom_id": "m",
        "title": "T",
        "components": [
            labelled(group(21, "a", "b") | {"custom_id": "radio"}),
            labelled(group(22, "a", "b", required=False) | {"custom_id": "ticks"}),
            labelled({"type": 23, "custom_id": "switch", "default": True}),
            labelled({"type": 19, "custom_id": "file"}),
        ],
    }
    one = await call.imagine()
    assert (await call.respond(one, 9, form))[0] == 204
    picture = Upload("a.png", b"png", "image/png")
    wrong: list[dict[str, Any]] = [
        {"file": picture},
        {"radio": "c", "file": picture},
        {"radio": "a"},
        {"radio": "a", "file": [picture, picture]},
        {"radio": "a", "file": picture, "ticks": ["c"]},
        {"radio": "a", "file": picture, "switch": "on"},
        {"radio": "a", "file": picture, "other": "x"},
    ]
    for values in wrong:
        with pytest.raises(Impossible):
            call.fake.submit_modal(one, values)
    data = call.fake.submit_modal(one, {"radio": "b", "ticks": ["a", "b"], "file": picture}).payload["data"]
    radio, ticks, switch, file = (part["component"] for part in data["components"])
    assert (radio["value"], ticks["values"], switch["value"]) == ("b", ["a", "b"], True)
    assert data["resolved"]["attachments"][file["values"][0]]["filename"] == "a.png"


async def test_nobody_can_choose_what_a_menu_does_not_offer(call: Caller) -> None:
    _, _, made = await call.post({"content": "x", "components": [row(menu("a", "b"))]})
    for values in ([], ["c"], ["a", "b"]):
        with pytest.raises(Impossible):
            call.fake.click(made, "menu", values=values)
    assert call.fake.click(made, "menu", values=["b"]).payload["data"]["values"] == ["b"]


async def test_all_files_of_a_request_together_have_a_limit(call: Caller) -> None:
    assert call.fake.state.request_limit == 25 * 2**20
    call.fake.state.request_limit = 150
    assert (await call.post({}, ("a.png", bytes(100)), ("b.png", bytes(51))))[:2] == (413, 40005)
    assert (await call.post({}, ("a.png", bytes(100)), ("b.png", bytes(50))))[0] == 200


async def test_a_thread_in_the_archive_takes_new_messages_only(call: Caller) -> None:
    thread = call.fake.open_thread("old")
    _, _, made = await call.post({"content": "x"}, channel=thread.id)
    path = f"/channels/{thread.id}/messages/{made['id']}"
    thread.archived = True
    assert (await call("PATCH", path, {"content": "y"}))[:2] == (400, 50083)
    assert (await call("DELETE", path))[:2] == (400, 50083)
    assert (await call.post({"content": "z"}, channel=thread.id))[0] == 200
    assert not thread.archived
    assert (await call("PATCH", path, {"content": "y"}))[0] == 200


async def test_an_answer_in_a_thread_that_was_archived_meanwhile_cannot_be_changed(call: Caller) -> None:
    thread = call.fake.open_thread("old")
    await call.register(COMMAND)
    one = call.fake.slash("txt2img", channel=thread)
    await call.respond(one, 5)
    thread.archived = True
    assert (await call.edit(one, {"content": "x"}))[:2] == (400, 50083)


async def test_a_locked_thread_takes_nothing(call: Caller) -> None:
    thread = call.fake.open_thread("shut")
    _, _, made = await call.post({"content": "x"}, channel=thread.id)
    thread.locked = True
    assert (await call.post({"content": "y"}, channel=thread.id))[:2] == (400, 160005)
    assert (await call("PATCH", f"/channels/{thread.id}/messages/{made['id']}", {"content": "y"}))[:2] == (400, 160005)
    thread.bot_permissions |= MANAGE_THREADS
    assert (await call.post({"content": "y"}, channel=thread.id))[0] == 200


async def test_a_forum_takes_no_message_and_its_posts_do(call: Caller) -> None:
    forum = call.fake.open_forum("gallery")
    assert (await call.post({"content": "x"}, channel=forum.id))[:2] == (400, 50008)
    post = call.fake.open_thread("cats", parent=forum)
    assert (await call("GET", f"/channels/{forum.id}"))[2]["type"] == 15
    assert (await call("GET", f"/channels/{post.id}"))[2]["parent_id"] == forum.id
    _, _, made = await call.post({"content": "x"}, channel=post.id)
    call.fake.remove(post)
    assert (await call("GET", f"/channels/{post.id}/messages/{made['id']}"))[:2] == (404, 10003)


async def test_in_threads_and_for_files_the_bot_needs_permissions_of_their_own(call: Caller) -> None:
    thread = call.fake.open_thread("quiet")
    thread.bot_permissions = MEMBER & ~SEND_IN_THREADS
    assert (await call.post({"content": "x"}, channel=thread.id))[:2] == (403, 50013)
    words = call.fake.open_channel("words only", bot_permissions=MEMBER & ~ATTACH_FILES)
    _, _, made = await call.post({"content": "x"}, channel=words.id)
    path = f"/channels/{words.id}/messages/{made['id']}"
    assert (await call("PATCH", path, {}, ("a.png", PICTURE)))[:2] == (403, 50013)


async def test_explicit_pictures_do_not_reach_those_who_do_not_want_them(call: Caller) -> None:
    where = call.fake.dm().id
    call.fake.alice.takes_explicit = False
    assert (await call.post({"content": "x"}, channel=where))[0] == 200
    assert (await call.post({}, ("a.png", PICTURE), channel=where))[:2] == (400, 20009)


async def test_a_message_older_than_an_hour_is_edited_a_number_of_times_only(call: Caller) -> None:
    call.fake.state.buckets.rates.clear()
    call.fake.state.messages.most_edits = 2
    _, _, made = await call.post({"content": "x"})
    path = f"/channels/{made['channel_id']}/messages/{made['id']}"
    for _ in range(3):
        assert (await call("PATCH", path, {"content": "y"}))[0] == 200
    call.fake.advance(3601)
    answers = [await call("PATCH", path, {"content": "z"}) for _ in range(3)]
    assert [answer[:2] for answer in answers] == [(200, 0), (200, 0), (429, 30046)]
    assert 0 < answers[-1][2]["retry_after"] <= 3600
    call.fake.advance(3601)
    assert (await call("PATCH", path, {"content": "z"}))[0] == 200


async def test_the_fifty_first_call_within_a_second_is_refused_unless_it_is_about_an_interaction(call: Caller) -> None:
    one = await call.imagine()
    await call.respond(one, 5)
    call.fake.freeze()
    call.fake.advance(1)
    answers = [await call("GET", "/users/@me") for _ in range(51)]
    assert [status for status, _, _ in answers].count(200) == 50
    assert answers[-1][2]["global"] is True
    assert (await call.edit(one, {"content": "x"}))[0] == 200
    call.fake.advance(1)
    assert (await call("GET", "/users/@me"))[0] == 200


@pytest.mark.parametrize(("status", "code"), [(400, 240000), (403, 50278), (404, 10062), (400, 40062)])
async def test_any_code_can_be_asked_for(call: Caller, status: int, code: int) -> None:
    call.fake.fail("POST", "/messages$", status=status, code=code, message="No")
    assert (await call.post({"content": "x"})) == (status, code, {"message": "No", "code": code})


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_cloudflare_answers_with_a_page(call: Caller, status: int) -> None:
    call.fake.fail("POST", "/messages$", status=status, html=True)
    headers = {"Authorization": f"Bot {call.fake.token}"}
    async with httpx.AsyncClient(headers=headers) as http:
        url = f"{call.fake.rest_url}/channels/{call.fake.channel.id}/messages"
        answer = await http.post(url, json={"content": "x"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert call.fake.requests[-1].status == status
