"""What only the newer version does, beyond the recorded exchanges."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.comfy.client import open_comfy_client
from app.config.settings import Server
from app.node_cache import NodeCache
from app.ports import Json
from app.simulator.http.application import application
from app.simulator.version import V0_3_64, V0_33_0
from tests.conftest import virtual
from tests.simulator import graphs
from tests.simulator.replay import client, living
from tests.simulator.talking import end, post

FIRST, SECOND = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def test_jobs_are_listed_newest_first_and_described_with_their_outputs(tmp_path: Path) -> None:
    times = iter(range(1, 1000))
    async with (
        living(tmp_path, version=V0_33_0, clock=lambda: next(times)) as simulator,
        simulator.connect("me") as socket,
        client(simulator) as http,
    ):
        for prompt, color in ((FIRST, 1), (SECOND, 2)):
            await post(http, graphs.plain(color), prompt)
            await end(socket, prompt)
        listed = (await http.get("/api/jobs")).json()
        assert [job["id"] for job in listed["jobs"]] == [SECOND, FIRST]
        assert listed["pagination"] == {"offset": 0, "limit": None, "total": 2, "has_more": False}
        assert {(job["status"], job["outputs_count"]) for job in listed["jobs"]} == {("completed", 4)}
        page = (await http.get("/api/jobs?limit=1&offset=1&sort_order=asc&sort_by=execution_duration")).json()
        assert len(page["jobs"]) == 1
        assert not page["pagination"]["has_more"]
        assert (await http.get("/api/jobs?status=failed,cancelled")).json()["jobs"] == []
        job = (await http.get(f"/api/jobs/{FIRST}")).json()
        assert job["preview_output"]["filename"] == job["outputs"]["2"]["images"][0]["filename"]
        for wrong in ("status=odd", "limit=0", "limit=x", "offset=x", "sort_by=x", "sort_order=x"):
            assert (await http.get(f"/api/jobs?{wrong}")).status_code == 400


async def test_several_jobs_are_cancelled_at_once_unless_an_id_is_no_uuid(tmp_path: Path) -> None:
    async with living(tmp_path, version=V0_33_0) as simulator, client(simulator) as http:
        await post(http, graphs.slow(), FIRST)
        await post(http, graphs.slow(color=1), SECOND)
        wrong = await http.post("/api/jobs/cancel", json={"job_ids": [SECOND, "odd"]})
        assert (wrong.status_code, wrong.json()["invalid_ids"]) == (400, ["odd"])
        for body in ("{}", '{"job_ids": "odd"}', "[]", "odd"):
            assert (await http.post("/api/jobs/cancel", content=body)).status_code == 400
        cancelled = await http.post("/api/jobs/cancel", json={"job_ids": [SECOND]})
        assert cancelled.json() == {"cancelled": True}
        assert SECOND not in {item[1] for item in simulator.pending}


@pytest.mark.parametrize(
    ("server", "asked", "shown"),
    [
        (False, None, False),
        (False, "latent2rgb", True),
        (False, "odd", False),
        (True, "default", True),
        (True, "none", False),
    ],
)
async def test_a_prompt_decides_about_its_previews(
    server: bool, asked: str | None, shown: bool, tmp_path: Path
) -> None:
    extra = {} if asked is None else {"extra_data": {"preview_method": asked}}
    async with (
        living(tmp_path, version=V0_33_0, previews=server) as simulator,
        simulator.connect("me") as socket,
        client(simulator) as http,
    ):
        await post(http, graphs.txt2img(), FIRST, **extra)
        previews = 0
        while True:
            frame = await socket.receive()
            if isinstance(frame, bytes):
                previews += 1
            elif '"execution_success"' in frame:
                break
        assert bool(previews) == shown


async def test_an_older_version_takes_no_preview_method_and_has_no_newer_routes(tmp_path: Path) -> None:
    async with living(tmp_path) as simulator, simulator.connect("me") as socket, client(simulator) as http:
        await post(http, graphs.txt2img(), "any id", extra_data={"preview_method": "latent2rgb"})
        frames = [await socket.receive()]
        while '"execution_success"' not in str(frames[-1]):
            frames.append(await socket.receive())
        assert not any(isinstance(frame, bytes) for frame in frames)
        for path in ("/api/jobs", f"/api/jobs/{FIRST}", "/api/assets", "/node_replacements"):
            assert (await http.get(path)).status_code == 404


async def test_the_classes_that_a_server_replaces_are_read_with_its_nodes(tmp_path: Path) -> None:
    for version, listed in ((V0_3_64, False), (V0_33_0, True)):
        async with living(tmp_path / version.number, version=version) as simulator:
            transport = httpx.ASGITransport(application(simulator))
            async with open_comfy_client(Server(url="http://here"), "me", transport=transport) as comfy:
                assert bool(await comfy.replacements()) == listed
                definitions = await NodeCache(comfy).read_all()
        replacement = definitions.replacement("T2IAdapterLoader")
        assert replacement is not None
        assert replacement.fields == (() if listed else ("t2i_adapter_name",)), "as listed, else as known of 0.33"


async def test_a_server_can_be_updated_while_it_runs(tmp_path: Path) -> None:
    async with living(tmp_path) as simulator, client(simulator) as http:
        assert (await http.get("/system_stats")).json()["system"]["comfyui_version"] == V0_3_64.number
        simulator.act_as(V0_33_0)
        assert (await http.get("/system_stats")).json()["system"]["comfyui_version"] == V0_33_0.number
        assert (await post(http, graphs.plain(1), "any id")).status_code == 400
        assert (await http.get("/features")).json()["node_replacements"]


def node(class_type: str, **inputs: Json) -> Json:
    return {"class_type": class_type, "inputs": {**inputs, "viewport_state": {}, "width": 8, "height": 8}}


async def test_files_of_3d_models_lie_where_a_real_server_puts_them(tmp_path: Path) -> None:
    graph: graphs.Body = {
        "1": node("Load3DAdvanced", model_file="a.obj"),
        "2": node("Save3DAdvanced", model_3d=["1", 0], filename_prefix="3d/a"),
        "3": node("Preview3DAdvanced", model_3d=["1", 0]),
        "4": {"class_type": "Preview3D", "inputs": {"model_file": ["1", 0]}},
    }
    async with (
        living(tmp_path, version=V0_33_0) as simulator,
        simulator.connect("me") as socket,
        client(simulator) as http,
    ):
        (tmp_path / "input" / "a.obj").write_text("v 0 0 0")
        assert (await post(http, graph, FIRST)).status_code == 200
        await end(socket, FIRST)
        outputs = (await http.get(f"/history/{FIRST}")).json()[FIRST]["outputs"]
        saved, shown, plain = (outputs[node]["result"][0] for node in "234")

        async def view(name: str, **where: str) -> int:
            return (await http.get("/view", params={"filename": name, **where})).status_code

        assert saved == "3d/a_00001.obj"
        assert await view(saved) == 404
        answer = await http.get("/view", params={"filename": "a_00001.obj", "subfolder": "3d"})
        assert (answer.text, answer.headers["x-content-type-options"]) == ("v 0 0 0", "nosniff")
        assert (await view(shown), await view(shown, type="temp"), await view(plain)) == (404, 200, 200)
