"""The HTTP port: against what a real ComfyUI answered, and against servers that fail."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest
from anyio.abc import ByteStream

from app.comfy import client
from app.comfy.client import ComfyClient, open_comfy_client
from app.comfy.websocket.connect import Timing
from app.config.settings import Server
from app.events import FileRef, PromptId
from app.node_cache import NodeCache
from app.ports import ConnectionLost, Graph, History, Json, Queue, Refused
from app.reasons.servers import (
    InputMissing,
    NodeInvalid,
    NodesInvalid,
    NotComfyUI,
    PartDropped,
    ProxyError,
    RefusedConnection,
    ServerError,
    UnknownNodeClass,
    UploadTooLarge,
    WorkflowTooLarge,
)
from app.texts.reasons.text import reason_text
from app.workflows.nodes.definitions import Input
from tests.comfy import recorded
from tests.comfy.peers import closed_port, peer, silent

P = PromptId("68a341af-b6f0-4711-a615-0957f5b95e53")
GRAPH: Graph = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {}, "_meta": {"title": "Load Checkpoint"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {}, "_meta": {"title": "Positive"}},
    "3": {"class_type": "KSampler", "inputs": {}},
}


class Answers:
    """A server in memory that gives the answers it was told to, and remembers what it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        return self._answer(request)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.asked]

    def body(self, index: int) -> object:
        return msgspec.json.decode(self.asked[index].content)


@asynccontextmanager
async def comfy_of(
    answer: Callable[[httpx.Request], httpx.Response] | httpx.Response, server: Server | None = None, api_key: str = ""
) -> AsyncGenerator[tuple[ComfyClient, Answers]]:
    answers = Answers(answer if callable(answer) else lambda _request: answer)
    server = server or Server(url="http://comfy:8188")
    async with open_comfy_client(server, "me", transport=httpx.MockTransport(answers), api_key=api_key) as comfy:
        yield comfy, answers


def text(body: str | bytes, status: int = 200, kind: str = "application/json") -> httpx.Response:
    return httpx.Response(status, content=body, headers={"Content-Type": kind})


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def refusal_of(answer: httpx.Response, graph: Graph = GRAPH) -> Refused:
    async with comfy_of(answer) as (comfy, _):
        with pytest.raises(Refused) as refused:
            await comfy.submit(P, graph)
    return refused.value


# POST /prompt


async def test_a_prompt_is_sent_under_our_ids_and_the_answers_id_is_believed() -> None:
    async with comfy_of(text('{"prompt_id":"theirs","number":1,"node_errors":{}}')) as (comfy, answers):
        ticket = await comfy.submit(P, GRAPH)
    assert (ticket.prompt, ticket.dropped) == ("theirs", ())
    assert answers.paths == ["POST /prompt"]
    extra_data = {"preview_method": "latent2rgb"}
    assert answers.body(0) == {"prompt": GRAPH, "client_id": "me", "prompt_id": P, "extra_data": extra_data}


@pytest.mark.parametrize(
    ("api_key", "paid", "has_key"), [("secret", True, True), ("secret", False, False), ("", True, False)]
)
async def test_only_a_prompt_that_costs_money_has_the_key(api_key: str, paid: bool, has_key: bool) -> None:
    answer = text('{"prompt_id":"theirs","number":1,"node_errors":{}}')
    async with comfy_of(answer, api_key=api_key) as (comfy, answers):
        await comfy.submit(P, GRAPH, paid=paid)
    extra_data = {"preview_method": "latent2rgb"} | ({"api_key_comfy_org": "secret"} if has_key else {})
    assert answers.body(0) == {"prompt": GRAPH, "client_id": "me", "prompt_id": P, "extra_data": extra_data}


async def test_a_server_that_repeats_the_key_is_not_quoted() -> None:
    error = ["execution_error", {"node_id": "3", "exception_message": "no credits for secret", "exception_type": "E"}]
    body = msgspec.json.encode({P: {"outputs": {}, "status": {"status_str": "error", "messages": [error]}}})
    async with comfy_of(text(body), api_key="secret") as (comfy, _):
        history = await comfy.history(P)
    assert history is not None
    assert history.error == "no credits for [hidden]"


@pytest.mark.parametrize(
    ("previews", "extra_data"),
    [
        ("latent2rgb", {"preview_method": "latent2rgb"}),
        ("taesd", {"preview_method": "taesd"}),
        ("off", {"preview_method": "none"}),
        ("server", {}),
    ],
)
async def test_a_prompt_asks_for_the_previews_that_are_configured(previews: str, extra_data: dict[str, str]) -> None:
    answer = text('{"prompt_id":"theirs","number":1,"node_errors":{}}')
    async with comfy_of(answer, Server(url="http://here", previews=previews)) as (comfy, answers):
        await comfy.submit(P, GRAPH)
    assert answers.body(0) == {"prompt": GRAPH, "client_id": "me", "prompt_id": P, "extra_data": extra_data}


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (
            0,
            (
                "“Load Checkpoint” has no ckpt_name called “no_such_model.safetensors”: choose "
                "sd15_random_full.safetensors, sd15_random_tiny.safetensors. “Positive” needs its input “text”. "
                "“KSampler”: steps is 0, but must be at least 1."
            ),
        ),
        (1, "The server does not have “NoSuchNode” (NoSuchNode). Install its custom node there."),
        (2, "The workflow has no output. Add a node that saves something, such as Save Image."),
        (3, "“SaveImage” is connected to something that is missing. Export the workflow again."),
        (5, "The server refused the workflow: No prompt provided."),
        (6, "This is not a workflow in API format. In ComfyUI, choose Workflow > Export (API)."),
    ],
)
async def test_a_recorded_refusal_becomes_a_sentence_with_titles(index: int, sentence: str) -> None:
    exchange = PROMPTS[index]
    body = msgspec.convert(exchange.asked, dict[str, msgspec.Raw | object])
    graph = msgspec.convert(body.get("prompt", {}), Graph)
    refused = await refusal_of(text(exchange.body, exchange.status), graph)
    assert reason_text(refused.reason) == sentence
    assert refused.certain


PROMPTS = [each for each in recorded.exchanges("05_validation_errors") if each.path == "/prompt"]


@pytest.mark.parametrize("exchange", [each for each in PROMPTS if each.status == 200])
async def test_every_recorded_yes_to_a_prompt_is_a_ticket(exchange: recorded.Exchange) -> None:
    async with comfy_of(text(exchange.body)) as (comfy, _):
        assert (await comfy.submit(P, GRAPH)).prompt


@pytest.mark.parametrize("exchange", [each for each in PROMPTS if each.status != 200])
async def test_every_recorded_no_to_a_prompt_is_a_sentence(exchange: recorded.Exchange) -> None:
    refused = await refusal_of(text(exchange.body, exchange.status))
    assert refused.certain == (exchange.status == 400)
    assert reason_text(refused.reason).endswith(".")
    assert "Traceback" not in str(refused)


async def test_a_prompt_that_was_taken_in_part_says_what_was_left_out() -> None:
    exchange = next(
        each for each in recorded.exchanges("05_validation_errors") if each.status == 200 and "missing.png" in each.body
    )
    async with comfy_of(text(exchange.body)) as (comfy, _):
        ticket = await comfy.submit(P, {"3": {"class_type": "LoadImage", "inputs": {}}})
    assert ticket.dropped == (PartDropped((NodeInvalid("LoadImage", "image - Invalid image file: missing.png"),)),)


def problems(**errors: list[dict[str, object]]) -> httpx.Response:
    nodes = {node: {"errors": errors, "class_type": "X", "dependent_outputs": []} for node, errors in errors.items()}
    return text(msgspec.json.encode({"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": nodes}), 400)


async def test_at_most_three_reasons_are_told_and_the_rest_is_counted() -> None:
    missing: dict[str, object] = {"type": "required_input_missing", "extra_info": {"input_name": "text"}}
    refused = await refusal_of(problems(a=[missing, missing], b=[missing, missing, missing]))
    assert refused.reason == NodesInvalid((InputMissing("a", "text"),) * 2 + (InputMissing("b", "text"),), more=2)
    assert reason_text(refused.reason).endswith("And 2 more.")


async def test_the_inputs_whose_files_the_server_does_not_have_are_named() -> None:
    gone: dict[str, object] = {"type": "custom_validation_failed", "extra_info": {"input_name": "image"}}
    unlisted: dict[str, object] = {"type": "value_not_in_list", "extra_info": {"input_name": "clip"}}
    missing: dict[str, object] = {"type": "required_input_missing", "extra_info": {"input_name": "text"}}
    refused = await refusal_of(problems(a=[gone, missing], b=[unlisted]))
    assert refused.unusable == (("a", "image"), ("b", "clip"))
    assert not refused.missing


async def test_long_lists_of_choices_are_not_read_out_and_empty_ones_are_said_to_be() -> None:
    def unknown(config: Json) -> dict[str, object]:
        info = {"input_name": "lora", "received_value": "x", "input_config": config}
        return {"type": "value_not_in_list", "extra_info": info}

    refused = await refusal_of(problems(a=[unknown([[*map(str, range(9))], {}]), unknown([[], {}]), unknown(None)]))
    assert (
        reason_text(refused.reason)
        == "“a” has no lora called “x”. “a” has no lora called “x”, and none at all. “a” has no lora called “x”."
    )


async def test_the_newer_way_of_naming_an_unknown_class_is_understood() -> None:
    body = {
        "error": {"type": "missing_node_type", "message": "…", "details": "", "extra_info": {"class_type": "KSampler"}}
    }
    refused = await refusal_of(text(msgspec.json.encode(body), 400))
    assert refused.reason == UnknownNodeClass("KSampler", "KSampler")


@pytest.mark.parametrize("body", ["", "<html>", "null", '{"error":"plain words"}', '{"error":{"message":1}}'])
async def test_a_refusal_without_reasons_is_still_a_sentence(body: str) -> None:
    assert reason_text((await refusal_of(text(body, 400))).reason).startswith("The server refused the workflow")


async def test_a_server_error_leaves_open_whether_the_prompt_was_taken() -> None:
    refused = await refusal_of(text("500 Internal Server Error\n\nServer got itself in trouble", 500, "text/plain"))
    assert (refused.reason, refused.certain) == (ServerError(500), False)


async def test_a_prompt_that_is_too_large_says_so() -> None:
    refused = await refusal_of(text("Maximum request body size 104857600 exceeded.", 413, "text/plain"))
    assert refused.reason == WorkflowTooLarge()


# What is the same for every verb


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_without_its_server_is_a_loss(status: int) -> None:
    async with comfy_of(text("<html>Bad Gateway</html>", status, "text/html")) as (comfy, _):
        with pytest.raises(ConnectionLost) as lost:
            await comfy.queue()
    assert lost.value.reason == ProxyError(status)


@pytest.mark.parametrize("status", [401, 403, 407])
async def test_wrong_credentials_say_where_to_look(status: int) -> None:
    async with comfy_of(text("", status)) as (comfy, _):
        with pytest.raises(Refused) as refused:
            await comfy.queue()
    assert reason_text(refused.value.reason, operator=True).endswith("Check its headers in atelier.toml.")


@pytest.mark.parametrize(
    "answer",
    [
        text("<!doctype html><p>nginx", kind="text/html; charset=utf-8"),
        text('{"hello":"world"}'),
        text("[]"),
        text(b"\xff\xfe"),
        text("[" * 100_000),
    ],
)
async def test_a_stranger_is_called_one(answer: httpx.Response) -> None:
    async with comfy_of(answer) as (comfy, _):
        for ask in (comfy.stats, comfy.queue):
            with pytest.raises(Refused) as refused:
                await ask()
            assert refused.value.reason == NotComfyUI(answer.headers["Content-Type"].partition(";")[0])


async def test_redirects_are_not_followed() -> None:
    async with comfy_of(httpx.Response(302, headers={"Location": "http://elsewhere/"})) as (comfy, answers):
        with pytest.raises(Refused, match=r"UnexpectedStatus.*302"):
            await comfy.queue()
    assert len(answers.asked) == 1


async def test_base_path_headers_and_login_go_with_every_call_and_no_password_into_a_sentence() -> None:
    server = Server(url="https://anna:secret@comfy.example/base", headers={"X-API-Key": "k"})
    async with comfy_of(text("[]"), server) as (comfy, answers):
        with pytest.raises(Refused) as refused:
            await comfy.queue()
    (request,) = answers.asked
    assert request.url.copy_with(userinfo=b"") == "https://comfy.example/base/queue"
    assert request.headers["x-api-key"] == "k"
    assert request.headers["authorization"].startswith("Basic ")
    assert "secret" not in str(refused.value)


async def test_a_login_in_the_address_replaces_a_configured_one() -> None:
    server = Server(url="http://anna:s%20p@comfy/base", headers={"authorization": "Bearer k"})
    async with comfy_of(text("[]"), server) as (comfy, answers):
        with pytest.raises(Refused):
            await comfy.queue()
    login = base64.b64encode(b"anna:s p").decode()
    assert answers.asked[0].headers.get_list("authorization") == [f"Basic {login}"]
    assert answers.asked[0].url == "http://comfy/base/queue"
    assert answers.asked[0].headers["host"] == "comfy"


async def test_a_closed_port_is_a_loss() -> None:
    port = closed_port()
    async with open_comfy_client(Server(url=f"http://127.0.0.1:{port}"), "me") as comfy:
        with pytest.raises(ConnectionLost) as lost:
            await comfy.stats()
    assert lost.value.reason == RefusedConnection()


async def test_a_server_that_says_nothing_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER", httpx.Timeout(0.2))
    async with peer(silent) as port, open_comfy_client(Server(url=f"http://127.0.0.1:{port}"), "me") as comfy:
        with pytest.raises(ConnectionLost, match=r"SaysNothing.*0\.2"):
            await comfy.stats()


async def test_no_look_hangs_on_a_half_open_line_for_longer_than_the_websocket_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert client.QUESTION.read == Timing().pong
    monkeypatch.setattr(client, "QUESTION", httpx.Timeout(60, read=0.2))
    async with peer(silent) as port, open_comfy_client(Server(url=f"http://127.0.0.1:{port}"), "me") as comfy:
        for ask in (comfy.queue, partial(comfy.history, P), partial(comfy.newest, 7)):
            with pytest.raises(ConnectionLost, match=r"SaysNothing.*0\.2"):
                await ask()


async def test_a_server_that_hangs_up_in_the_middle_is_a_loss(tmp_path: Path) -> None:
    async def half(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nhalf")

    async with peer(half) as port, open_comfy_client(Server(url=f"http://127.0.0.1:{port}"), "me") as comfy:
        with pytest.raises(ConnectionLost, match="HungUp"):
            await comfy.queue()
        with pytest.raises(ConnectionLost, match="HungUp"):
            await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")
    assert names_in(tmp_path) == []


async def test_questions_are_answered_however_many_results_are_on_their_way(tmp_path: Path) -> None:
    served = anyio.Event()

    async def narrow(stream: ByteStream) -> None:
        request = await stream.receive()
        if request.startswith(b"GET /view"):
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nf")
            await served.wait()
            await stream.send(b"ilm")
            return
        body = b'{"queue_running": [], "queue_pending": []}'
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 42\r\n\r\n" + body)
        served.set()

    films = [tmp_path / f"{number}.mp4" for number in range(50)]
    async with (
        peer(narrow) as port,
        open_comfy_client(Server(url=f"http://127.0.0.1:{port}"), "me") as comfy,
        anyio.create_task_group() as tasks,
    ):
        for film in films:
            tasks.start_soon(comfy.fetch, FileRef(film.name), film)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(60):
            assert await comfy.queue() == Queue((), ())
    assert {film.read_bytes() for film in films} == {b"film"}


# GET /queue and /history


async def test_pending_prompts_are_sorted_for_they_come_in_heap_order() -> None:
    items: list[Json] = [[number, f"p{number}", {}, {}, []] for number in (-181, -1.5, 5, 180, 5.5, 182)]
    body = msgspec.json.encode({"queue_running": [[179, "running", {}, {}, []]], "queue_pending": items})
    async with comfy_of(text(body)) as (comfy, _):
        queue = await comfy.queue()
    assert queue == Queue(("running",), ("p-181", "p-1.5", "p5", "p5.5", "p180", "p182"))  # pyright: ignore[reportArgumentType]


async def history_of(body: str | bytes, prompt: str = P) -> History | None:
    async with comfy_of(text(body)) as (comfy, _):
        return await comfy.history(PromptId(prompt))


def recorded_history(name: str, index: int = 0) -> tuple[str, str]:
    prompt, body = recorded.histories(name)[index]
    return body, prompt


async def test_what_waits_runs_or_is_unknown_has_no_history() -> None:
    assert await history_of("{}") is None


@pytest.mark.parametrize(
    ("name", "index"), [(name, i) for name in recorded.names() for i, _ in enumerate(recorded.histories(name))]
)
async def test_every_recorded_history_is_understood(name: str, index: int) -> None:
    prompt, body = recorded.histories(name)[index]
    history = await history_of(body, prompt)
    assert history is not None
    assert history.outcome == {"06_raise": "failed", "06_oom": "failed", "06_raise_after_output": "failed"}.get(
        name, history.outcome
    )


@pytest.mark.parametrize(
    "name", ["04_video_mp4", "04_batch8_images", "02b_txt2img_full_preview_metadata", "06_blocked"]
)
async def test_success_is_success_with_outputs_and_without(name: str) -> None:
    history = await history_of(*recorded_history(name))
    assert history is not None
    assert history.outcome == "success"
    assert bool(history.outputs) == (name != "06_blocked")


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (("1700000000000", "1700000000900", "1700000012500"), 12.5),
        (("1700000000000",), 0.0),
        ((), None),
        (("1700000000000", '"soon"'), None),
        (("1700000012500", "1700000000000"), None),
        (("0", "1700000000000"), None),
    ],
)
async def test_the_server_says_how_long_it_worked(times: tuple[str, ...], seconds: float | None) -> None:
    messages = ", ".join(f'["execution_start", {{"timestamp": {time}}}]' for time in times)
    entry = f'{{"outputs": {{}}, "status": {{"status_str": "success", "messages": [{messages}]}}}}'
    history = await history_of(f'{{"{P}": {entry}}}')
    assert history is not None
    assert (history.outcome, history.seconds) == ("success", seconds)


async def test_a_failure_names_its_node_and_keeps_what_was_made_before() -> None:
    history = await history_of(*recorded_history("06_raise_after_output"))
    assert history is not None
    assert (history.outcome, history.node, history.error, history.error_kind) == ("failed", "2", "boom", "RuntimeError")
    assert [file.filename for output in history.outputs for file in output.files] == ["before_00001_.png"]


async def test_an_interrupt_is_no_failure() -> None:
    outcomes = [await history_of(body, prompt) for prompt, body in recorded.histories("07_interrupt")]
    assert [history.outcome for history in outcomes if history is not None][:2] == ["interrupted", "interrupted"]


async def test_the_last_word_decides_and_not_the_outputs() -> None:
    def entry(*kinds: str) -> bytes:
        messages = [[kind, {"node_id": "2", "exception_message": "x"}] for kind in kinds]
        status = {"status_str": "error", "completed": False, "messages": messages}
        return msgspec.json.encode({P: {"outputs": {"1": {"images": [{"filename": "a.png"}]}}, "status": status}})

    interrupted = await history_of(entry("execution_start", "execution_error", "execution_interrupted"))
    failed = await history_of(entry("execution_start", "execution_interrupted", "execution_error"))
    assert interrupted is not None
    assert failed is not None
    assert (interrupted.outcome, failed.outcome) == ("interrupted", "failed")


async def test_a_recorded_history_says_how_long_its_prompt_ran() -> None:
    for name in ("02b_txt2img_full_preview_metadata", "06_raise", "07_interrupt"):
        history = await history_of(*recorded_history(name))
        assert history is not None
        assert history.seconds is not None
        assert 0 < history.seconds < 60


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (1000, 3500, 2.5),
        (1000.5, 1000.5, 0.0),
        (3500, 1000, None),
        (0, 1_700_000_000_000, None),
        ("soon", 3500, None),
        (1000, None, None),
        (1000, True, None),
    ],
)
async def test_a_time_that_cannot_be_is_not_believed(start: Json, end: Json, seconds: float | None) -> None:
    messages = [["execution_start", {"timestamp": start}], ["execution_success", {"timestamp": end}]]
    status = {"status_str": "success", "messages": messages}
    history = await history_of(msgspec.json.encode({P: {"outputs": {}, "status": status}}))
    assert history is not None
    assert (history.outcome, history.seconds) == ("success", seconds)


async def test_cached_nodes_are_named() -> None:
    histories = [await history_of(body, prompt) for prompt, body in recorded.histories("08_fully_cached_second_run")]
    assert [len(history.cached) for history in histories if history is not None] == [0, 6, 5]


@pytest.mark.parametrize(
    "entry",
    [
        '{"outputs":{},"status":null}',
        '{"outputs":{"1":null,"2":["odd"],"3":"text"},"status":{"status_str":null,"messages":null}}',
        '{"prompt":[NaN,Infinity,"\\udce9"],"outputs":{"1":{"score":[NaN]}}}',
        "{}",
    ],
)
async def test_an_entry_without_a_status_is_an_end_without_a_failure(entry: str) -> None:
    history = await history_of(f'{{"{P}":{entry}}}')
    assert history is not None
    assert history.outcome == "success"


async def test_an_id_of_an_old_server_may_hold_anything() -> None:
    async with comfy_of(text("{}")) as (comfy, answers):
        await comfy.history(PromptId("my own id/with slash"))
    assert answers.paths == ["GET /history/my%20own%20id%2Fwith%20slash"]


# Cancelling


async def test_a_server_that_can_is_asked_to_cancel() -> None:
    async with comfy_of(text('{"cancelled":true}')) as (comfy, answers):
        await comfy.cancel(P)
    assert answers.paths == [f"POST /api/jobs/{P}/cancel"]


@pytest.mark.parametrize("unknown", [httpx.Response(404), httpx.Response(405), text("<html>", 404, "text/html")])
async def test_a_server_that_cannot_is_asked_once_and_then_the_older_way(unknown: httpx.Response) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return unknown if request.url.path.startswith("/api/jobs") else httpx.Response(200)

    async with comfy_of(answer) as (comfy, answers):
        await comfy.cancel(P)
        await comfy.cancel(P)
    older = ["POST /queue", "POST /interrupt"]
    assert answers.paths == [f"POST /api/jobs/{P}/cancel", *older, *older]
    assert answers.body(1) == {"delete": [P]}
    assert answers.body(2) == {"prompt_id": P}


async def test_a_job_that_the_server_does_not_know_does_not_mean_that_it_cannot() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        known = request.url.path.startswith("/api/jobs")
        return text('{"error":"Job not found"}', 404) if known else httpx.Response(200)

    async with comfy_of(answer) as (comfy, answers):
        await comfy.cancel(P)
        await comfy.cancel(P)
    assert answers.paths.count(f"POST /api/jobs/{P}/cancel") == 2


async def test_a_page_that_answers_everything_is_not_believed_to_have_cancelled() -> None:
    async with comfy_of(text("<html>", kind="text/html")) as (comfy, answers):
        await comfy.cancel(P)
    assert answers.paths[-1] == "POST /interrupt"


# Files


@pytest.mark.parametrize("size", [0, 10, 9 * 2**20])
async def test_a_file_appears_whole_under_its_name(tmp_path: Path, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with comfy_of(httpx.Response(200, content=body)) as (comfy, answers):
        await comfy.fetch(FileRef("a b&c (1).png", "sub/d", "temp"), tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes() == body
    assert names_in(tmp_path / "new") == ["a.png"]
    assert dict(answers.asked[0].url.params) == {"filename": "a b&c (1).png", "subfolder": "sub/d", "type": "temp"}


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_file_that_is_gone_is_refused_by_its_name(tmp_path: Path, status: int) -> None:
    async with comfy_of(httpx.Response(status)) as (comfy, _):
        with pytest.raises(Refused, match=r"ResultGone.*='a\.png'"):
            await comfy.fetch(FileRef("../../x/a.png"), tmp_path / "a.png")
    assert names_in(tmp_path) == []


async def test_a_file_of_another_length_than_announced_is_a_loss(tmp_path: Path) -> None:
    answer = httpx.Response(200, content=b"half", headers={"Content-Length": "8"})
    async with comfy_of(answer) as (comfy, _):
        with pytest.raises(ConnectionLost, match=r"CutShort.*4.*8"):
            await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")
    assert names_in(tmp_path) == []


async def test_a_cancelled_download_leaves_nothing_behind(tmp_path: Path) -> None:
    async def endless(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(9 * 2**20))
        await anyio.sleep_forever()

    async def fetch(port: int) -> None:
        async with open_comfy_client(Server(url=f"http://127.0.0.1:{port}"), "me") as comfy:
            await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")

    async with peer(endless) as port, anyio.create_task_group() as tasks:
        tasks.start_soon(fetch, port)
        with anyio.fail_after(60):
            while not (tmp_path / "a.png.part").exists():  # noqa: ASYNC110  only the disk knows
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert names_in(tmp_path) == []


async def test_a_disk_that_takes_no_more_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    async with comfy_of(httpx.Response(200, content=b"picture")) as (comfy, _):
        with pytest.raises(OSError, match=r"a\.png"):
            await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")
    assert names_in(tmp_path) == ["a.png"]


async def test_an_upload_has_the_given_name_and_the_returned_name_counts(tmp_path: Path) -> None:
    (tmp_path / "Cat.PNG").write_bytes(b"pixels")
    async with comfy_of(text('{"name":"x (1).png","subfolder":"sub","type":"input"}')) as (comfy, answers):
        assert await comfy.upload(tmp_path / "Cat.PNG", "atelier-1.png") == "sub/x (1).png"
    sent = answers.asked[0].content
    assert b'filename="atelier-1.png"' in sent
    assert b"Cat" not in sent
    assert b"pixels" in sent
    assert b"overwrite" not in sent


async def test_recorded_uploads_are_understood() -> None:
    bodies = [e.body for e in recorded.exchanges("03_img2img_upload") if e.path == "/upload/image" and e.status == 200]
    assert bodies
    for body in bodies:
        async with comfy_of(text(body)) as (comfy, _):
            assert await comfy.upload(Path(__file__), "a.png")


async def test_an_upload_that_is_too_large_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(1234))
    async with comfy_of(text("Maximum request body size 104857600 exceeded.", 413, "text/plain")) as (comfy, _):
        with pytest.raises(Refused) as refused:
            await comfy.upload(tmp_path / "a.png", "a.png")
    assert refused.value.reason == UploadTooLarge(1234)


# What there is


def info(name: str) -> str:
    return next(e.body for e in recorded.exchanges("12_http_misc") if e.path == f"/object_info/{name}")


async def input_of(class_type: str, name: str) -> Input | None:
    async with comfy_of(text(info(class_type))) as (comfy, _):
        definition = await NodeCache(comfy).node(class_type)
    assert definition is not None
    return definition.inputs.get(name)


async def test_choices_are_read_from_both_ways_of_listing_them() -> None:
    models = await input_of("CheckpointLoaderSimple", "ckpt_name")
    assert models is not None
    assert models.choices == ("sd15_random_full.safetensors", "sd15_random_tiny.safetensors")
    formats = await input_of("SaveVideo", "format")
    assert formats is not None
    assert "mp4" in (formats.choices or ())
    assert await input_of("SaveVideo", "no_such_input") is None


async def test_defaults_are_those_of_a_new_node() -> None:
    models, prefix = (
        await input_of("CheckpointLoaderSimple", "ckpt_name"),
        await input_of("SaveVideo", "filename_prefix"),
    )
    video = await input_of("SaveVideo", "video")
    assert models is not None
    assert prefix is not None
    assert video is not None
    assert (models.default, prefix.default, video.default) == (
        "sd15_random_full.safetensors",
        "video/ComfyUI",
        None,
    )


async def test_an_unknown_class_is_none_and_its_name_may_hold_anything() -> None:
    async with comfy_of(text("{}")) as (comfy, answers):
        assert await comfy.node("CR Image/Thing?") is None
    assert answers.paths == ["GET /object_info/CR%20Image%2FThing%3F"]


async def test_stats_are_read() -> None:
    body = next(e.body for e in recorded.exchanges("12_http_misc") if e.path == "/system_stats")
    async with comfy_of(text(body)) as (comfy, _):
        stats = await comfy.stats()
    assert stats.version == "0.3.64"
    assert stats.memory_total >= stats.memory_free > 0
    assert len(stats.devices) == 1


async def test_the_newest_of_the_history_come_in_one_answer() -> None:
    body = '{"a":{"outputs":{},"status":{"status_str":"success","messages":[]}},"b":{"outputs":{}}}'
    async with comfy_of(text(body)) as (comfy, answers):
        newest = await comfy.newest(40)
    assert {prompt: history.outcome for prompt, history in newest.items()} == {"a": "success", "b": "success"}
    assert answers.paths == ["GET /history?max_items=40"]


async def test_all_node_classes_come_as_the_server_describes_them() -> None:
    async with comfy_of(text('{"KSampler":{"input":{"required":{"cfg":["FLOAT",{"max":NaN}]}}}}')) as (comfy, _):
        described = msgspec.json.decode((await comfy.nodes())["KSampler"])
    assert described == {"input": {"required": {"cfg": ["FLOAT", {"max": None}]}}}


@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        (text('{"Old":[{"new_node_id":"New"}]}'), {"Old": [{"new_node_id": "New"}]}),
        (text("Not found", 404, "text/plain"), {}),
        (text("[]"), {}),
        (text("<html>"), {}),
    ],
)
async def test_a_server_without_a_list_of_replaced_classes_replaces_none(
    answer: httpx.Response, listed: dict[str, Json]
) -> None:
    async with comfy_of(answer) as (comfy, answers):
        assert {old: msgspec.json.decode(new) for old, new in (await comfy.replacements()).items()} == listed
    assert answers.paths == ["GET /node_replacements"]
