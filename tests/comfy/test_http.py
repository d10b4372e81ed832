"""The Comfy port over httpx: a recorded server's answers, a simulated server, and real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest

from app.comfy.http import HttpComfy, open_comfy
from app.comfy.replies import HistoryReply, QueueReply
from app.config import Server
from app.events import FileRef, PromptId
from app.ports import ConnectionLost, Graph, Refused
from app.simulator.engine import Simulator
from app.simulator.web import application
from tests import transcripts
from tests.conftest import inline

PROMPT = PromptId("3c1b6b32-0b4f-4c4e-8d57-2f9f7f3d2c11")
GRAPH: Graph = {"3": {"class_type": "KSampler", "inputs": {}, "_meta": {"title": "Sampler"}}}


@asynccontextmanager
async def answering(answer: Callable[[httpx.Request], httpx.Response]) -> AsyncGenerator[HttpComfy]:
    server = Server(url="http://studio/comfy", headers={"Authorization": "Bearer x"})
    transport = httpx.MockTransport(answer)
    async with open_comfy(server, "me", run_sync=inline, transport=transport) as comfy:
        yield comfy


@asynccontextmanager
async def simulated(tmp_path: Path) -> AsyncGenerator[tuple[HttpComfy, Simulator]]:
    simulator = Simulator(tmp_path / "server", run_sync=inline)
    transport = httpx.ASGITransport(application(simulator))
    async with open_comfy(Server(url="http://simulator"), "me", run_sync=inline, transport=transport) as comfy:
        yield comfy, simulator


def status(code: int, text: str = "") -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(code, text=text)


async def test_headers_and_a_base_path_go_with_every_request() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"queue_running": [], "queue_pending": []})

    async with answering(answer) as comfy:
        await comfy.queue()
    assert seen[0].url == "http://studio/comfy/queue"
    assert seen[0].headers["Authorization"] == "Bearer x"


async def test_a_prompt_goes_out_under_our_id_and_the_answers_id_is_believed() -> None:
    sent: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(msgspec.json.decode(request.content))
        return httpx.Response(200, json={"prompt_id": "theirs", "number": 1, "node_errors": {}})

    async with answering(answer) as comfy:
        ticket = await comfy.submit(PROMPT, GRAPH)
    assert (sent[0]["prompt_id"], sent[0]["client_id"]) == (PROMPT, "me")
    assert ticket.prompt == "theirs"


@pytest.mark.parametrize("code", [502, 503, 504])
async def test_a_proxy_without_its_comfyui_is_a_lost_connection(code: int) -> None:
    async with answering(status(code)) as comfy:
        with pytest.raises(ConnectionLost):
            await comfy.submit(PROMPT, GRAPH)


async def test_a_500_is_a_no_that_is_not_certain() -> None:
    async with answering(status(500, "500 Internal Server Error\n\nServer got itself in trouble")) as comfy:
        with pytest.raises(Refused) as caught:
            await comfy.submit(PROMPT, GRAPH)
    assert not caught.value.certain


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        (413, "Maximum request body size 104857600 exceeded.", "larger than studio takes"),
        (401, "", "wants other credentials"),
        (200, "<html>", "is no ComfyUI"),
        (404, "", "is this address that of a ComfyUI?"),
        (400, "not json", "without saying why"),
    ],
)
async def test_other_answers_are_certain_and_say_what_to_do(code: int, text: str, sentence: str) -> None:
    async with answering(status(code, text)) as comfy:
        with pytest.raises(Refused, match=sentence.replace("?", r"\?")) as caught:
            await comfy.submit(PROMPT, GRAPH)
    assert caught.value.certain


async def test_recorded_refusals_become_sentences_without_ids() -> None:
    lines = transcripts.read("05_validation_errors")
    told: list[str] = []
    for line in lines:
        if line.kind == "http<" and line.status == 400 and isinstance(line.body, str):
            body = line.body
            async with answering(lambda _, body=body: httpx.Response(400, text=body)) as comfy:
                with pytest.raises(Refused) as caught:
                    await comfy.submit(PROMPT, GRAPH)
                told.append(caught.value.reason)
    assert any("has no ckpt_name called “no_such_model.safetensors”: choose sd15_random_full" in said for said in told)
    assert any("(NoSuchNode): install the custom node it is from." in said for said in told)
    assert any("has no output: add a node" in said for said in told)
    assert any("of the wrong type" in said for said in told)
    assert all("Traceback" not in said and said.endswith(".") for said in told)


async def test_a_partly_valid_prompt_is_taken_and_what_was_left_out_is_told() -> None:
    body = next(
        line.body
        for line in transcripts.read("05_validation_errors")
        if line.status == 200 and isinstance(line.body, str) and '"errors"' in line.body
    )
    async with answering(lambda _: httpx.Response(200, text=str(body))) as comfy:
        ticket = await comfy.submit(PROMPT, GRAPH)
    assert ticket.dropped[0].startswith("A part of the workflow was left out.")


@pytest.mark.parametrize("name", [name for name in transcripts.names() if transcripts.histories(name)])
def test_every_recorded_history_is_read(name: str) -> None:
    for body in transcripts.histories(name):
        for entry in msgspec.json.decode(body, type=dict[str, HistoryReply]).values():
            assert entry.read().outcome in {"success", "failed", "interrupted"}


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("06_raise", "failed"), ("06_oom", "failed"), ("06_blocked", "success"), ("07_interrupt", "interrupted")],
)
def test_the_last_message_decides_how_it_ended(name: str, outcome: str) -> None:
    found = [
        entry.read()
        for body in transcripts.histories(name)
        for entry in msgspec.json.decode(body, type=dict[str, HistoryReply]).values()
    ]
    assert outcome in {history.outcome for history in found}


@pytest.mark.parametrize(
    ("name", "files"),
    [("04_vhs_gifs", 1), ("04_video_mp4", 1), ("04_audio", 1), ("04_animated_webp", 1), ("04_batch8_images", 8)],
)
def test_every_kind_of_file_is_found(name: str, files: int) -> None:
    body = transcripts.histories(name)[0]
    (entry,) = msgspec.json.decode(body, type=dict[str, HistoryReply]).values()
    found = [file for output in entry.read().outputs for file in output.files if file.type == "output"]
    assert len(found) >= files


def test_pending_prompts_come_in_the_order_in_which_they_run() -> None:
    told = (
        b'{"queue_running":[[0,"r",{},{},[]]],"queue_pending":[[5,"b",{},{},[]],[-1.5,"a",{},{},[]],[9,"c",{},{},[]]]}'
    )
    queue = msgspec.json.decode(told, type=QueueReply).read()
    assert (queue.running, queue.pending) == (("r",), ("a", "b", "c"))


async def test_cancel_deletes_first_and_interrupts_only_this_prompt() -> None:
    asked: list[tuple[str, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.content))
        return httpx.Response(404 if "/api/jobs/" in request.url.path else 200)

    async with answering(answer) as comfy:
        await comfy.cancel(PROMPT)
        await comfy.cancel(PROMPT)
    assert [path for path, _ in asked] == [
        f"/comfy/api/jobs/{PROMPT}/cancel",
        "/comfy/queue",
        "/comfy/interrupt",
        "/comfy/queue",
        "/comfy/interrupt",
    ]
    assert msgspec.json.decode(asked[2][1]) == {"prompt_id": PROMPT}


async def test_a_file_comes_whole_or_not_at_all(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (comfy, simulator):
        entry = simulator.files.save("a/b", ".png", b"x" * 9_000_000)
        await comfy.fetch(FileRef(entry["filename"], entry["subfolder"]), tmp_path / "results" / "one.png")
        with pytest.raises(Refused, match="is gone from the server"):
            await comfy.fetch(FileRef("nothing.png"), tmp_path / "results" / "two.png")
        with pytest.raises(Refused):
            await comfy.fetch(FileRef("../../etc/passwd"), tmp_path / "results" / "three.png")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["one.png"]
    assert (tmp_path / "results" / "one.png").stat().st_size == 9_000_000


async def test_an_upload_gets_a_name_of_our_own(tmp_path: Path) -> None:
    photo = tmp_path / "My Photo.PNG"
    photo.write_bytes(b"png")
    async with simulated(tmp_path) as (comfy, simulator):
        value = await comfy.upload(photo)
        assert value.startswith("atelier-")
        assert value.endswith(".png")
        assert simulator.files.inputs() == [value]


async def test_choices_come_in_the_older_and_the_newer_form(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (comfy, _):
        assert "euler" in await comfy.choices("KSampler", "sampler_name")
        assert "lanczos" in await comfy.choices("ImageScaleToTotalPixels", "upscale_method")
        assert await comfy.choices("KSampler", "steps") == []
        assert await comfy.choices("Unknown", "x") == []


async def test_a_refused_connection_and_one_that_is_cut_are_lost(tmp_path: Path) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def cut(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.receive()
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, cut)
            async with open_comfy(Server(url=f"http://127.0.0.1:{port}"), "me", run_sync=inline) as comfy:
                with pytest.raises(ConnectionLost):
                    await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")
            tasks.cancel_scope.cancel()
    assert not await anyio.Path(tmp_path / "a.png").exists()
    assert not await anyio.Path(tmp_path / "a.png.part").exists()
    async with open_comfy(Server(url=f"http://127.0.0.1:{port}"), "me", run_sync=inline) as comfy:
        with pytest.raises(ConnectionLost, match="cannot be reached"):
            await comfy.queue()
