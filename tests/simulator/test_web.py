"""The real face: sockets, ports, real time."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import httpx
import pytest
import sniffio
import trio
import trio_websocket
from anyio.abc import ByteStream

from app.simulator.engine.clients import BACKLOG
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve
from tests.simulator import graphs

Receive = Callable[[], Awaitable[str | bytes]]


class Gone(Exception):
    """The socket closed."""


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[tuple[Simulator, int]]:
    simulator = Simulator(folder, step_time=0.01)
    async with anyio.create_task_group() as group:
        port = await group.start(serve, simulator, "127.0.0.1", 0)
        yield simulator, port
        group.cancel_scope.cancel()


@asynccontextmanager
async def socket(port: int, path: str = "/ws?clientId=me") -> AsyncGenerator[Receive]:
    if sniffio.current_async_library() == "trio":
        # The stream is ours: the library leaves it open when the server hangs up or refuses.
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            nursery = await stack.enter_async_context(trio.open_nursery())
            ws = await trio_websocket.wrap_client_stream(nursery, stream, "127.0.0.1", path)
            stack.push_async_callback(ws.aclose)

            async def receive() -> str | bytes:
                try:
                    return await ws.get_message()
                except trio_websocket.ConnectionClosed as error:
                    raise Gone(error.reason.code if error.reason else None) from error

            yield receive
    else:
        session = aiohttp.ClientSession()
        async with session, session.ws_connect(f"http://127.0.0.1:{port}{path}") as ws:

            async def receive_asyncio() -> str | bytes:
                message = await ws.receive()
                if not isinstance(message.data, (str, bytes)):
                    raise Gone(ws.close_code)
                return message.data

            yield receive_asyncio


async def until_the_end(receive: Receive) -> list[str]:
    heard: list[str] = []
    while True:
        frame = await receive()
        if isinstance(frame, bytes):
            continue
        message = json.loads(frame)
        heard.append(message["type"])
        if message["type"] == "executing" and message["data"]["node"] is None:
            return heard


def http(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)


async def post(client: httpx.AsyncClient, graph: graphs.Body, **more: Any) -> str:
    answer = await client.post("/prompt", json={"prompt": graph, "client_id": "me", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["prompt_id"]


async def faults(client: httpx.AsyncClient, **order: Any) -> None:
    answer = await client.post("/simulator/faults", json=order)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_picture_is_made_and_fetched(tmp_path: Path, prefix: str) -> None:
    async with (
        serving(tmp_path) as (_, port),
        socket(port, f"{prefix}/ws?clientId=me") as receive,
        http(port) as client,
    ):
        body = {"prompt": graphs.txt2img(), "client_id": "me"}
        prompt = (await client.post(f"{prefix}/prompt", json=body)).json()["prompt_id"]
        heard = await until_the_end(receive)
        assert heard[:4] == ["status", "status", "status", "execution_start"]
        history = (await client.get(f"{prefix}/history/{prompt}")).json()[prompt]
        (image,) = history["outputs"]["9"]["images"]
        view = await client.get(f"{prefix}/view", params=image)
        assert view.headers["content-type"] == "image/png"
        assert view.headers["content-disposition"] == 'filename="t2i_00001_.png"'
        part = await client.get("/view", params=image, headers={"range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        part = await client.get("/view", params=image, headers={"range": "bytes=-4"})
        assert (part.status_code, part.content) == (206, view.content[-4:])
        size = len(view.content)
        assert part.headers["content-range"] == f"bytes {size - 4}-{size - 1}/{size}"
        beyond = await client.get("/view", params=image, headers={"range": f"bytes={size}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
        known = {"if-none-match": view.headers["etag"]}
        assert (await client.get("/view", params=image, headers=known)).status_code == 304
        head = await client.head("/view", params=image)
        assert int(head.headers["content-length"]) == len(view.content)
        webp = await client.get("/view", params={**image, "preview": "webp;50"})
        assert webp.content[8:12] == b"WEBP"


async def test_dropped_sockets_close_without_a_word(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, port), http(port) as client:
        async with socket(port) as receive:
            await receive()
            await faults(client, drop_sockets=True)
            with pytest.raises(Gone, match=r"1006|None"):
                await receive()
        async with socket(port) as receive:
            assert b"status" in str(await receive()).encode()


async def test_a_restart_closes_the_port_and_forgets(tmp_path: Path) -> None:
    async with serving(tmp_path) as (simulator, port), http(port) as client:
        async with socket(port) as receive:
            await receive()
            prompt = await post(client, graphs.slow())
            await faults(client, restart=3600)
            with pytest.raises(Gone):
                await until_the_end(receive)
        async with http(port) as other:
            with pytest.raises(httpx.ConnectError):
                await other.get("/queue")
            simulator.faults.refuse_all(0)
            with anyio.fail_after(60):
                while True:
                    try:
                        queue = (await other.get("/queue")).json()
                        break
                    except httpx.ConnectError:
                        await anyio.sleep(0.02)
            assert queue == {"queue_running": [], "queue_pending": []}
            assert (await other.get(f"/history/{prompt}")).json() == {}
            assert await post(other, graphs.plain(1))


async def test_sockets_are_refused_while_http_answers(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, port), http(port) as client:
        await faults(client, refuse_sockets=60)
        with pytest.raises((ExceptionGroup, aiohttp.WSServerHandshakeError)) as caught:
            async with socket(port):
                pass
        match caught.value:
            case ExceptionGroup(exceptions=(trio_websocket.ConnectionRejected() as refusal,)):
                assert refusal.status_code == 502
            case other:
                assert isinstance(other, aiohttp.WSServerHandshakeError)
                assert other.status == 502
        assert (await client.get("/queue")).status_code == 200


async def test_an_unknown_fault_is_told_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, port), http(port) as client:
        answer = await client.post("/simulator/faults", json={"earthquake": True})
        assert answer.status_code == 400
        assert "No such fault" in answer.text


async def test_who_does_not_read_stalls_all_and_nobody_waits_for_it_at_the_end(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (simulator, port),
        http(port) as client,
        await anyio.connect_tcp("127.0.0.1", port) as sloth,
        socket(port) as receive,
    ):
        await fall_asleep(sloth, simulator)
        await receive()
        prompt = await post(client, graphs.plain(2))
        with anyio.fail_after(60):
            while (await client.get(f"/history/{prompt}")).json() == {}:  # noqa: ASYNC110  the server is the one to ask
                await anyio.sleep(0.02)
        with anyio.move_on_after(0.5) as waited:
            await until_the_end(receive)
        assert waited.cancelled_caught, "the sloth should have stalled us"
        await sloth.aclose()
        # What was kept comes now.
        with anyio.fail_after(60):
            assert "execution_success" in await until_the_end(receive)


async def test_who_leaves_too_much_unread_is_cut_off(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (simulator, port),
        await anyio.connect_tcp("127.0.0.1", port) as sloth,
        socket(port) as receive,
    ):
        await receive()
        await fall_asleep(sloth, simulator)
        # Whoever is being sent something is cut off; a busy machine takes a while to come to that.
        await anyio.wait_all_tasks_blocked()
        for _ in range(BACKLOG // 100_000):
            simulator.sockets.push(bytes(100_000), "sloth")
        simulator.sockets.push("after", "me")
        with anyio.fail_after(60):
            assert await receive() == "after"


async def fall_asleep(sloth: ByteStream, simulator: Simulator) -> None:
    """Open a websocket, be sent more than any buffer holds, and read none of it."""
    await sloth.send(
        b"GET /ws?clientId=sloth HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"101" in await sloth.receive()
    for _ in range(200):
        simulator.sockets.push(bytes(100_000), "sloth")


async def test_cancelling_ends_the_server_though_a_reader_does_not_read(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as outer:
            async with anyio.create_task_group() as group:
                port: int = await group.start(serve, simulator, "127.0.0.1", 0)
                async with await anyio.connect_tcp("127.0.0.1", port) as sloth, socket(port) as receive:
                    await receive()
                    await fall_asleep(sloth, simulator)
                    await anyio.wait_all_tasks_blocked()
                    group.cancel_scope.cancel()
                    with anyio.CancelScope(shield=True), pytest.raises(Gone):
                        await until_the_end(receive)
            outer.cancel_scope.cancel()


async def test_a_foreign_page_is_turned_away(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, port), http(port) as client:
        answer = await client.get("/queue", headers={"origin": "https://evil.example"})
        assert (answer.status_code, answer.content) == (403, b"")


async def test_a_body_that_is_too_large_gets_413(tmp_path: Path) -> None:
    head = b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857601\r\n\r\n"
    async with serving(tmp_path) as (_, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(head)
        answer = await stream.receive()
        assert answer.startswith(b"HTTP/1.1 413")
        if b"exceeded" not in answer:
            answer = await stream.receive()
        assert answer.endswith(b"Maximum request body size 104857600 exceeded.")


async def test_uploads_follow_comfyui_in_naming(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, port), http(port) as client:

        async def upload(content: bytes, **form: str) -> Any:
            answer = await client.post("/upload/image", files={"image": ("a.png", content)}, data=form)
            return answer.json() if answer.status_code == 200 else answer.status_code

        assert await upload(b"one") == {"name": "a.png", "subfolder": "", "type": "input"}
        assert await upload(b"one") == {"name": "a.png", "subfolder": "", "type": "input"}
        assert await upload(b"two") == {"name": "a (1).png", "subfolder": "", "type": "input"}
        assert await upload(b"six", overwrite="true") == {"name": "a.png", "subfolder": "", "type": "input"}
        assert await upload(b"six", subfolder="s/t") == {"name": "a.png", "subfolder": "s/t", "type": "input"}
        assert await upload(b"six", subfolder="../..") == 400
        assert await upload(b"six", type="nonsense") == 500
        assert (await client.post("/upload/image", data={"x": "y"})).status_code == 400
        info = (await client.get("/object_info/LoadImage")).json()
        listed = info["LoadImage"]["input"]["required"]["image"]
        assert listed == [["a (1).png", "a.png"], {"image_upload": True}]
