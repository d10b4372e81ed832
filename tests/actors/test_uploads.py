"""What a server is sent of the files that jobs need, and how often."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import httpx
import pytest

from app.actors import uploads
from app.actors.effect_runner import EffectRunner
from app.actors.registry import new_prompt_id
from app.actors.uploads import Uploads
from app.comfy.client import open_comfy_client
from app.config.settings import Server
from app.core.effects import EffectResult, PromptRefused, PromptSubmitted, SubmitPrompt
from app.core.jobs.job import JobRequest, Upload
from app.events import JobId, NodeId, PromptId, ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, ConnectionLost, Graph
from app.reasons.jobs import InputUnreadable
from app.reasons.servers import HungUp
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from tests.conftest import inline, virtual
from tests.elsewhere import Elsewhere

HERE, THERE = ServerName("here"), ServerName("there")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Slow:
    """A client whose uploads take a second; the first `failures` of them fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.names: list[str] = []

    async def upload(self, file: Path, name: str) -> str:
        self.names.append(name)
        await anyio.sleep(1)
        if len(self.names) <= self.failures:
            raise ConnectionLost(HungUp())
        return f"sub/{name}"


def _uploads(comfy: Slow) -> Uploads:
    return Uploads(cast("Comfy", comfy), inline)


def _files(folder: Path, *contents: bytes) -> list[Path]:
    files = [folder / f"file {number}.PNG" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return files


@pytest.mark.parametrize(("name", "suffix"), [("Cat.PNG", ".png"), ("x.tar.gz", ".gz"), ("y", ""), ("z.p n;g", "")])
async def test_an_upload_is_named_by_its_content_and_its_extension(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / name).write_bytes(b"pixels")
    comfy = Slow()
    await _uploads(comfy).send(tmp_path / name)
    assert comfy.names == [f"atelier-{hashlib.sha256(b'pixels').hexdigest()}{suffix}"]


async def test_the_same_content_is_uploaded_once_whatever_its_path(tmp_path: Path) -> None:
    comfy = Slow()
    sent = _uploads(comfy)
    values = [await sent.send(file) for file in _files(tmp_path, b"cat", b"dog", b"cat")]
    assert values[0] == values[2] != values[1]
    assert values == [f"sub/{name}" for name in (*comfy.names, comfy.names[0])]


async def test_jobs_with_the_same_picture_at_the_same_time_upload_it_once(tmp_path: Path) -> None:
    comfy = Slow()
    sent = _uploads(comfy)
    started = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for file in _files(tmp_path, b"cat", b"cat", b"cat", b"dog"):
            tasks.start_soon(sent.send, file)
    assert len(comfy.names) == 2
    assert anyio.current_time() - started == pytest.approx(1, abs=0.1)  # pyright: ignore[reportUnknownMemberType]


async def test_if_an_upload_fails_the_next_job_that_waits_for_it_tries(tmp_path: Path) -> None:
    comfy = Slow(failures=1)
    sent = _uploads(comfy)
    outcomes: list[str] = []

    async def send(file: Path) -> None:
        try:
            outcomes.append(await sent.send(file))
        except ConnectionLost:
            outcomes.append("failed")

    async with anyio.create_task_group() as tasks:
        for file in _files(tmp_path, b"cat", b"cat", b"cat"):
            tasks.start_soon(send, file)
    assert len(comfy.names) == 2
    assert sorted(outcomes) == sorted(["failed", *[f"sub/{comfy.names[0]}"] * 2])


async def test_a_job_that_is_given_up_while_it_uploads_holds_up_nobody(tmp_path: Path) -> None:
    comfy = Slow()
    sent = _uploads(comfy)
    first, second = _files(tmp_path, b"cat", b"cat")
    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.5):
            tasks.start_soon(sent.send, second)
            await sent.send(first)
    assert await sent.send(first) == f"sub/{comfy.names[0]}"
    assert len(comfy.names) <= 2


async def test_only_the_uploads_used_last_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_REMEMBERED", 2)
    comfy = Slow()
    sent = _uploads(comfy)
    cat, dog, owl = _files(tmp_path, b"cat", b"dog", b"owl")
    for file in (cat, dog, cat, owl, cat, dog):
        await sent.send(file)
    kinds = [hashlib.sha256(animal).hexdigest() for animal in (b"cat", b"dog", b"owl", b"dog")]
    assert comfy.names == [f"atelier-{kind}.png" for kind in kinds]


# With a server


class Site:
    """A simulated server, and the paths of the requests that it got."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.simulator = Simulator(folder, run_sync=inline)
        self._inner = httpx.ASGITransport(application(self.simulator))
        self.transport = httpx.MockTransport(self._handle)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        return await self._inner.handle_async_request(request)


def _post(path: Path, server: ServerName = HERE, *, also: str = "") -> SubmitPrompt:
    """A job that needs a file, and another one that exists nowhere if `also` names it."""
    graph: Graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    if also:
        graph["3"] = {"class_type": "LoadImage", "inputs": {"image": also}}
        graph["4"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "y"}}
    request = JobRequest(
        job=JobId(new_prompt_id()),
        workflow="test",
        graph=graph,
        folder="",
        uploads=(Upload(NodeId("1"), "image", str(path)),),
    )
    return SubmitPrompt(request.job, PromptId(new_prompt_id()), server, request)


async def _submitted(
    tmp_path: Path, *steps: tuple[SubmitPrompt, Callable[[Site], None] | None], others: Elsewhere | None = None
) -> tuple[list[EffectResult | None], Site, Site]:
    """Submit jobs one after the other, after what else happens at the server `here`; there are two servers."""
    here, there = Site(tmp_path / "here"), Site(tmp_path / "there")
    results: list[EffectResult | None] = []
    async with (
        open_comfy_client(Server(url="http://here"), "client", run_sync=inline, transport=here.transport) as one,
        open_comfy_client(Server(url="http://there"), "client", run_sync=inline, transport=there.transport) as other,
    ):
        comfies = {HERE: one, THERE: other}
        nodes = {name: NodeCache(comfy) for name, comfy in comfies.items()}
        effects = EffectRunner(comfies, nodes, {}, run_sync=inline, others=others)
        for effect, happens in steps:
            if happens is not None:
                happens(here)
            results.append(await effects.do(effect))
    return results, here, there


def _clear(site: Site) -> None:
    """Empty the folder of uploads."""
    for path in (site.simulator.files.annotated(name) for name in site.simulator.files.inputs()):
        if path is not None:
            path.unlink()


async def test_each_server_that_is_chosen_is_sent_the_same_content_once(tmp_path: Path) -> None:
    first, second = _files(tmp_path, b"cat", b"cat")
    results, here, there = await _submitted(tmp_path, (_post(first), None), (_post(second), None))
    assert all(isinstance(result, PromptSubmitted) for result in results)
    assert here.asked == ["/upload/image", "/prompt", "/prompt"]
    assert there.asked == []
    results, here, there = await _submitted(tmp_path, (_post(first), None), (_post(second, THERE), None))
    assert here.asked == there.asked == ["/upload/image", "/prompt"]
    assert len(here.simulator.files.inputs()) == 1


async def test_a_file_that_only_another_disk_has_is_copied_before_it_is_sent(tmp_path: Path) -> None:
    cat, dog = tmp_path / "cat.png", tmp_path / "dog.png"
    results, here, _ = await _submitted(
        tmp_path, (_post(cat), None), (_post(dog), None), others=Elsewhere({str(cat): b"cat"})
    )
    assert isinstance(results[0], PromptSubmitted)
    assert isinstance(results[1], PromptRefused), "it is nowhere"
    assert here.asked == ["/upload/image", "/prompt"]
    assert cat.read_bytes() == b"cat"


async def test_a_server_whose_uploads_were_deleted_is_sent_them_again_and_then_the_prompt(tmp_path: Path) -> None:
    cat, dog = _files(tmp_path, b"cat", b"dog")
    results, here, _ = await _submitted(
        tmp_path, (_post(cat), None), (_post(dog), None), (_post(cat), _clear), (_post(cat), None), (_post(dog), None)
    )
    assert all(isinstance(result, PromptSubmitted) for result in results)
    again = ["/prompt", "/upload/image", "/prompt"]
    assert here.asked == ["/upload/image", "/prompt"] * 2 + again + ["/prompt"] + again


async def test_a_prompt_that_is_refused_again_is_not_sent_a_third_time(tmp_path: Path) -> None:
    (cat,) = _files(tmp_path, b"cat")

    def refuse_all(site: Site) -> None:
        site.simulator.files.annotated = lambda value: None
        site.simulator.files.names = lambda folder: []

    results, here, _ = await _submitted(tmp_path, (_post(cat), refuse_all))
    assert isinstance(results[0], PromptRefused)
    assert here.asked == ["/upload/image", "/prompt", "/upload/image", "/prompt"]


async def test_what_a_server_left_out_of_a_prompt_is_uploaded_for_the_next_job(tmp_path: Path) -> None:
    (cat,) = _files(tmp_path, b"cat")
    results, here, _ = await _submitted(tmp_path, (_post(cat, also="gone.png"), None), (_post(cat), None))
    assert isinstance(results[0], PromptSubmitted)
    assert results[0].ticket.dropped
    assert here.asked == ["/upload/image", "/prompt"] * 2


async def test_a_prompt_that_is_refused_for_another_reason_uploads_nothing_again(tmp_path: Path) -> None:
    (cat,) = _files(tmp_path, b"cat")
    wrong = _post(cat)
    wrong.request.graph["5"] = {"class_type": "Unheard", "inputs": {}}
    results, here, _ = await _submitted(tmp_path, (_post(cat), None), (wrong, None))
    assert isinstance(results[1], PromptRefused)
    assert here.asked.count("/upload/image") == 1


async def test_a_file_that_cannot_be_read_fails_its_job_alone(tmp_path: Path) -> None:
    (cat,) = _files(tmp_path, b"cat")
    results, here, _ = await _submitted(tmp_path, (_post(tmp_path / "gone.png"), None), (_post(cat), None))
    refused, submitted = results
    assert isinstance(refused, PromptRefused)
    assert isinstance(refused.reason, InputUnreadable)
    assert isinstance(submitted, PromptSubmitted)
    assert here.asked == ["/upload/image", "/prompt"]
