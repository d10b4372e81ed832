"""Queue, history, cancelling, dialects: in memory, in virtual time."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from app.simulator.engine.simulator import Simulator
from app.simulator.http.middleware import TROUBLE
from app.simulator.version import V0_3_64, V0_33_0, Version
from tests.conftest import virtual
from tests.simulator import graphs
from tests.simulator.replay import client, living
from tests.simulator.talking import end, hear, post


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def test_history_comes_after_success_and_before_the_end(tmp_path: Path) -> None:
    async with living(tmp_path, history_gap=0.25) as sim, sim.connect("me") as socket, client(sim) as http:
        await post(http, graphs.plain(1), "a")
        await hear(socket, "execution_success")
        assert (await http.get("/history/a")).json() == {}
        assert len((await http.get("/queue")).json()["queue_running"]) == 1
        await end(socket, "a")
        assert (await http.get("/history/a")).json()["a"]["status"]["completed"] is True


async def test_a_lower_number_goes_first_and_the_queue_lists_its_heap(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket, client(sim) as http:
        await post(http, graphs.slow(0.1), "p")
        await hear(socket, "execution_start")
        numbers = [
            (await post(http, graphs.slow(0.1, color=100 + n), f"p{n}", **more)).json()["number"]
            for n, more in enumerate([{}, {}, {"number": 5}, {"number": 5}, {"front": True}, {"number": -1.5}, {}])
        ]
        assert numbers == [1, 2, 5, 5, -3, -1.5, 4]
        pending = [item[0] for item in (await http.get("/queue")).json()["queue_pending"]]
        assert sorted(pending) == [-3, -1.5, 1, 2, 4, 5, 5]
        for name in ("p", "p4", "p5", "p0", "p1", "p6", "p2", "p3"):
            await end(socket, name)


async def test_a_twin_is_answered_500_and_queued_all_the_same(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        await post(http, graphs.slow(), "first")
        await anyio.sleep(0.1)
        assert (await post(http, graphs.slow(color=1), "twin", number=7)).status_code == 200
        assert (await post(http, graphs.slow(color=2), "twin", number=7)).status_code == 500
        assert len((await http.get("/queue")).json()["queue_pending"]) == 2


async def test_the_last_one_deleted_says_status_twice(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket, client(sim) as http:
        await post(http, graphs.slow(), "a")
        await hear(socket, "execution_start")
        await post(http, graphs.slow(color=1), "b")
        await hear(socket, "status", status={"exec_info": {"queue_remaining": 2}})
        await http.post("/queue", json={"delete": ["b"]})
        status = {"exec_info": {"queue_remaining": 1}}
        await hear(socket, "status", status=status)
        await hear(socket, "status", status=status)
        await http.post("/queue", json={"delete": ["a", "unknown"]})
        assert len((await http.get("/queue")).json()["queue_running"]) == 1


async def test_an_interrupt_hits_only_who_runs(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket, client(sim) as http:
        await post(http, graphs.slow(), "a")
        await post(http, graphs.slow(0.1, color=1), "b")
        await hear(socket, "progress")
        await http.post("/interrupt", json={"prompt_id": "b"})
        await hear(socket, "progress")
        await http.post("/interrupt", json={"prompt_id": "a"})
        assert "execution_interrupted" in await end(socket, "a")
        assert "execution_success" in await end(socket, "b")


async def test_the_older_socket_takes_the_newer_with_it(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        older = sim.connect("me")
        await older.__aenter__()
        async with sim.connect("me") as newer:
            await newer.receive()
            await older.__aexit__(None, None, None)
            await post(http, graphs.plain(1), "a")
            with anyio.move_on_after(60) as waited:
                await newer.receive()
            assert waited.cancelled_caught


async def test_what_is_no_picture_has_no_preview(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        await http.post("/upload/image", files={"image": ("a.png", b"broken")})
        answer = await http.get("/view", params={"filename": "a.png", "type": "input", "preview": "webp;50"})
        assert (answer.status_code, answer.text) == (500, TROUBLE)


async def test_another_seed_paints_otherwise(tmp_path: Path) -> None:
    pictures: list[bytes] = []
    for seed in (0, 0, 1):
        folder = tmp_path / str(len(pictures))
        async with living(folder, seed=seed) as sim, sim.connect("me") as socket, client(sim) as http:
            await post(http, graphs.txt2img(), "a")
            await end(socket, "a")
            pictures.append((await http.get("/view", params={"filename": "t2i_00001_.png"})).content)
    assert pictures[0] == pictures[1] != pictures[2]


async def test_modern_servers_cancel_by_job_and_want_uuids(tmp_path: Path) -> None:
    async with living(tmp_path, version=V0_33_0) as sim, sim.connect("me") as socket, client(sim) as http:
        refused = await post(http, graphs.slow(), "no-uuid")
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_prompt_id")
        first, second = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
        await post(http, graphs.slow(), first)
        await post(http, graphs.slow(color=1), second)
        await hear(socket, "progress")
        assert (await http.post(f"/api/jobs/{second}/cancel")).json() == {"cancelled": True}
        assert (await http.post(f"/api/jobs/{second}/cancel")).json() == {"cancelled": False}
        assert (await http.post(f"/api/jobs/{first}/cancel")).json() == {"cancelled": True}
        assert "execution_interrupted" in await end(socket, first)


@pytest.mark.parametrize(
    ("version", "started_with", "method", "sent"),
    [
        (V0_33_0, False, None, 0),
        (V0_33_0, False, "latent2rgb", 4),
        (V0_33_0, False, "taesd", 4),
        (V0_33_0, False, "nonsense", 0),
        (V0_33_0, True, "none", 0),
        (V0_33_0, True, "default", 4),
        (V0_3_64, False, "latent2rgb", 0),
        (V0_3_64, True, "none", 4),
    ],
)
async def test_a_prompt_chooses_its_previews_on_newer_servers(
    tmp_path: Path, version: Version, started_with: bool, method: str | None, sent: int
) -> None:
    prompt = "00000000-0000-4000-8000-000000000001"
    async with (
        living(tmp_path, version=version, previews=started_with) as sim,
        sim.connect("me") as socket,
        client(sim) as http,
    ):
        await post(http, graphs.txt2img(steps=4), prompt, extra_data={"preview_method": method})
        frames: list[str | bytes] = []
        while "execution_success" not in str(frames[-1:]):
            frames.append(await socket.receive())
        assert sum(isinstance(frame, bytes) for frame in frames) == sent
        await end(socket, prompt)
        entry = (await http.get(f"/history/{prompt}")).json()[prompt]
        assert entry["prompt"][3]["preview_method"] == method


async def test_older_servers_know_no_jobs(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        assert (await http.post("/api/jobs/x/cancel")).status_code == 404


async def test_unknown_classes_run_where_any_node_is_allowed(tmp_path: Path) -> None:
    graph: graphs.Body = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}},
        "2": {"class_type": "FancyFilter", "inputs": {"image": ["1", 0], "power": 9}},
        "3": {"class_type": "FancySaver", "inputs": {"images": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    async with living(tmp_path, any_node=True) as sim, sim.connect("me") as socket, client(sim) as http:
        await post(http, graph, "a")
        assert "execution_success" in await end(socket, "a")
        outputs = (await http.get("/history/a")).json()["a"]["outputs"]
        assert outputs["4"]["images"][0]["filename"] == "x_00001_.png"


async def test_the_clock_of_a_run_is_steps_times_step_time(tmp_path: Path) -> None:
    async with (
        living(tmp_path, steps=30, step_time=2.0) as sim,
        sim.connect("me") as socket,
        client(sim) as http,
    ):
        began = anyio.current_time()
        await post(http, graphs.txt2img(steps=4), "a")
        await end(socket, "a")
        assert anyio.current_time() - began == pytest.approx(60, abs=0.1)


def test_a_simulator_needs_no_loop_to_be_made(tmp_path: Path) -> None:
    assert Simulator(tmp_path).running is None


async def test_the_same_prompts_are_told_in_the_same_bytes(tmp_path: Path) -> None:
    heard: list[list[str | bytes]] = []
    for life in ("one", "other"):
        async with living(tmp_path / life, previews=True) as sim, sim.connect("me") as socket, client(sim) as http:
            for prompt in ("a", "b"):
                await http.post("/prompt", json={"prompt": graphs.txt2img(prompt), "client_id": "me"})
            frames: list[str | bytes] = []
            while sum("execution_success" in str(frame) for frame in frames) < 2:
                frames.append(await socket.receive())
            heard.append(frames)
    assert heard[0] == heard[1]
