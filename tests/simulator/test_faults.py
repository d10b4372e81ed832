"""Faults: in memory, in virtual time."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from app.ports import ConnectionLost
from tests.conftest import virtual
from tests.simulator import graphs
from tests.simulator.replay import client, living
from tests.simulator.talking import end, hear, post


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def test_dropped_sockets_can_be_opened_again(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        async with sim.connect("me") as socket:
            await post(http, graphs.slow(), "a")
            await hear(socket, "progress")
            sim.faults.drop_sockets()
            with pytest.raises(ConnectionLost):
                await hear(socket, "never")
            with pytest.raises(ConnectionLost):
                await socket.send("{}")
        async with sim.connect("me") as socket:
            first, second = json.loads(await socket.receive()), json.loads(await socket.receive())
            assert first["data"]["sid"] == "me"
            assert second == {"type": "executing", "data": {"node": "2"}}
            await end(socket, "a")


async def test_a_deaf_socket_stays_open_and_a_new_one_hears(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http, sim.connect("me") as deaf:
        await deaf.receive()
        sim.faults.deaf()
        await post(http, graphs.plain(1), "a")
        with anyio.move_on_after(60) as waited:
            await deaf.receive()
        assert waited.cancelled_caught
        async with sim.connect("me") as socket:
            await post(http, graphs.plain(2), "b")
            await end(socket, "b")


async def test_a_restart_forgets_all_but_files(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        async with sim.connect("me") as socket:
            await post(http, graphs.plain(1), "done")
            await end(socket, "done")
            await post(http, graphs.slow(), "running")
            await post(http, graphs.slow(color=3), "pending")
            await hear(socket, "progress")
            sim.faults.restart(10)
            with pytest.raises(ConnectionLost):
                await hear(socket, "never")
        with pytest.raises(ConnectionLost):
            async with sim.connect("me"):
                pass
        assert (await http.get("/queue")).status_code == 502
        await anyio.sleep(10)
        assert (await http.get("/queue")).json() == {"queue_running": [], "queue_pending": []}
        assert (await http.get("/history")).json() == {}
        assert (await http.get("/view", params={"filename": "plain_00001_.png"})).status_code == 200
        async with sim.connect("me") as socket:
            assert (await post(http, graphs.plain(1), "again")).json()["number"] == 0
            assert "executing" in await end(socket, "again")


@pytest.mark.parametrize("effect", [True, False])
async def test_a_post_can_fail_with_and_without_effect(tmp_path: Path, effect: bool) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        sim.faults.fail_prompt(1, status=503, effect=effect)
        assert (await post(http, graphs.slow(), "a")).status_code == 503
        assert (await http.get("/prompt")).json()["exec_info"]["queue_remaining"] == int(effect)
        assert (await post(http, graphs.slow(color=1), "b")).status_code == 200


async def test_somebody_else_can_forget_our_prompts(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket, client(sim) as http:
        await post(http, graphs.plain(1), "done")
        await end(socket, "done")
        await post(http, graphs.slow(), "running")
        await hear(socket, "progress")
        await post(http, graphs.slow(color=1), "one")
        await post(http, graphs.slow(color=2), "two")
        await http.post("/simulator/faults", json={"forget": "one"})
        assert [item[1] for item in (await http.get("/queue")).json()["queue_pending"]] == ["two"]
        await http.post("/simulator/faults", json={"forget": "pending"})
        assert (await http.get("/queue")).json()["queue_pending"] == []
        await http.post("/simulator/faults", json={"forget": "history"})
        assert (await http.get("/history")).json() == {}


async def test_a_stall_keeps_frames_back_for_a_while(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket, client(sim) as http:
        await socket.receive()
        began = anyio.current_time()
        sim.faults.stall(30)
        await post(http, graphs.plain(1), "a")
        await end(socket, "a")
        assert anyio.current_time() - began == pytest.approx(30, abs=1)


async def test_a_held_worker_goes_on_when_it_may(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket, client(sim) as http:
        sim.faults.hold()
        await post(http, graphs.plain(1), "a")
        with anyio.move_on_after(60) as waited:
            await end(socket, "a")
        assert waited.cancelled_caught
        assert len((await http.get("/queue")).json()["queue_running"]) == 1
        sim.faults.hold(lifted=True)
        await end(socket, "a")


async def test_a_held_worker_stops_between_steps_and_an_interrupt_frees_it(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket, client(sim) as http:
        await post(http, graphs.slow(), "a")
        await hear(socket, "progress")
        sim.faults.hold()
        with anyio.move_on_after(60) as waited:
            await end(socket, "a")
        assert waited.cancelled_caught
        await http.post("/interrupt", json={"prompt_id": "a"})
        assert "execution_interrupted" in await end(socket, "a")


@pytest.mark.parametrize("are_kept", [True, False])
async def test_refusing_sockets_drops_the_open_ones_unless_they_shall_be_kept(tmp_path: Path, are_kept: bool) -> None:
    async with living(tmp_path) as sim, client(sim) as http, sim.connect("me") as socket:
        await socket.receive()
        await http.post("/simulator/faults", json={"refuse_sockets": 60, "keep_sockets": are_kept})
        with pytest.raises(ConnectionLost):
            async with sim.connect("other"):
                pass
        await post(http, graphs.plain(1), "a")
        if are_kept:
            await end(socket, "a")
        else:
            with pytest.raises(ConnectionLost):
                await end(socket, "a")


async def test_garbage_is_only_frames(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, sim.connect("me") as socket:
        await socket.receive()
        sim.faults.garbage()
        heard = [await socket.receive() for _ in range(18)]
        assert "not json" in heard
        assert b"" in heard


async def test_http_can_be_slow(tmp_path: Path) -> None:
    async with living(tmp_path) as sim, client(sim) as http:
        await http.post("/simulator/faults", json={"delay_http": 4})
        began = anyio.current_time()
        await http.get("/queue")
        assert anyio.current_time() - began == pytest.approx(4)
