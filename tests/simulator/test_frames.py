"""The simulator, held against what a real ComfyUI said of the same graphs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import cast

import anyio
import msgspec
import pytest

from app.ports import Json
from app.simulator.engine import Simulator
from tests import transcripts
from tests.conftest import inline, virtual


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


Shape = tuple[str, object]


def shape(frame: str | bytes) -> Shape | None:
    """What a frame says, without ids, times and names that differ from run to run."""
    if isinstance(frame, bytes):
        return "picture", frame[3]
    told = msgspec.json.decode(frame, type=dict[str, Json])
    kind, data = str(told["type"]), cast("dict[str, Json]", told["data"])
    match kind:
        case "status":
            return kind, sorted(data)
        case "executing":
            return kind, (data["node"], sorted(data))
        case "execution_cached":
            return kind, sorted(cast("list[str]", data["nodes"]))
        case "executed":
            output = data["output"]
            return kind, (data["node"], sorted(output) if isinstance(output, dict) else output, sorted(data))
        case "progress_state":
            nodes = cast("dict[str, dict[str, Json]]", data["nodes"])
            return kind, {node: (s["value"], s["max"], s["state"], sorted(s)) for node, s in nodes.items()}
        case "execution_error" | "execution_interrupted":
            keep = ("node_id", "node_type", "executed", "exception_message", "exception_type")
            ignored = {"traceback"}
            return kind, ({key: data.get(key) for key in keep}, sorted(data.keys() - ignored))
        case "progress" | "execution_start" | "execution_success":
            return kind, sorted(data)
        case _:
            return None


def last_run(frames: list[str | bytes]) -> list[Shape]:
    """The frames of the last prompt, from its start to its end."""
    shapes = [found for frame in frames if (found := shape(frame)) is not None]
    starts = [index for index, (kind, _) in enumerate(shapes) if kind == "execution_start"]
    return shapes[starts[-1] :]


async def speak(simulator: Simulator, bodies: list[dict[str, Json]], *, flags: bool) -> list[str | bytes]:
    """Everything one client hears while its prompts run, one after the other."""
    heard: list[str | bytes] = []
    async with anyio.create_task_group() as tasks:
        await tasks.start(simulator.run)
        async with simulator.connect("me") as socket:
            if flags:
                await socket.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}')
            for body in bodies:
                status, _ = simulator.submit({**body, "client_id": "me"})
                assert status == 200
                while shape(frame := await socket.receive()) != ("executing", (None, ["node", "prompt_id"])):
                    heard.append(frame)
                heard.append(frame)
        tasks.cancel_scope.cancel()
    return heard


def asked(name: str) -> list[dict[str, Json]]:
    lines = transcripts.read(name)
    return [
        cast("dict[str, Json]", line.body)
        for line in lines
        if line.kind == "http>" and (line.method, line.path) == ("POST", "/prompt")
    ]


@pytest.mark.parametrize(
    "name",
    [
        "02a_txt2img_full_legacy_preview",
        "02b_txt2img_full_preview_metadata",
        "02c_txt2img_full_128x128_8steps",
        "02e_txt2img_tiny_batch4",
        "04_animated_png",
        "04_text",
        "04_websocket_image",
        "06_blocked",
        "06_blocked_silent",
        "06_raise",
        "08_colon_ids",
    ],
)
async def test_the_same_graph_is_told_in_the_same_frames_in_the_same_order(name: str, tmp_path: Path) -> None:
    recorded = transcripts.frames(name)
    flags = any(line.kind == "ws>" for line in transcripts.read(name))
    bodies = asked(name)
    simulator = Simulator(
        tmp_path, previews=any(isinstance(frame, bytes) for frame in recorded), any_node=True, run_sync=inline
    )
    for nodes in simulator.catalog.nodes.values():
        for _, spec in nodes.inputs().values():
            if spec and isinstance(spec[0], list):
                spec[0].append("sd15_random_full.safetensors")
                spec[0].append("sd15_random_tiny.safetensors")
    expected = last_run(recorded)
    cached = cast("list[str]", next(data for kind, data in expected if kind == "execution_cached"))
    before = [otherwise(bodies[0], cached)] if cached else []
    assert last_run(await speak(simulator, [*before, bodies[0]], flags=flags)) == expected


def otherwise(body: dict[str, Json], but: list[str]) -> dict[str, Json]:
    """The same prompt with other seeds and sizes in all nodes but these: what the recorded server had run before."""
    changed = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, Json])
    for node, entry in cast("dict[str, dict[str, dict[str, Json]]]", changed["prompt"]).items():
        for name in {"seed", "batch_size"} & entry["inputs"].keys() if node not in but else ():
            entry["inputs"][name] = cast("int", entry["inputs"][name]) + 1
    return changed


async def test_a_second_run_is_cached_and_shows_the_old_files(tmp_path: Path) -> None:
    name = "08_fully_cached_second_run"
    bodies = asked(name)[:2]
    simulator = Simulator(tmp_path, run_sync=inline)
    heard = last_run(await speak(simulator, bodies, flags=False))
    recorded = transcripts.frames(name)
    shapes = [found for frame in recorded if (found := shape(frame)) is not None]
    starts = [index for index, (kind, _) in enumerate(shapes) if kind == "execution_start"]
    second = shapes[starts[1] : starts[2]]
    expected = [kind for kind, _ in second if kind != "status"]
    assert [kind for kind, _ in heard if kind != "status"] == expected[: len(heard)]
    files = list(simulator.history.values())
    assert cast("dict[str, Json]", files[0])["outputs"] == cast("dict[str, Json]", files[1])["outputs"]


def test_an_invalid_graph_is_refused_as_comfyui_refuses_it(tmp_path: Path) -> None:
    lines = transcripts.read("05_validation_errors")
    simulator = Simulator(tmp_path)
    compared = 0
    for line, answer in pairwise(lines):
        if line.kind != "http>" or line.path != "/prompt" or answer.status != 400:
            continue
        if not isinstance(line.body, dict) or not isinstance(answer.body, str):
            continue
        if "partial_execution_targets" in line.body:
            continue
        status, told = simulator.submit(msgspec.json.decode(msgspec.json.encode(line.body)))
        recorded = msgspec.json.decode(answer.body, type=dict[str, dict[str, Json]])
        assert status == 400
        mine = msgspec.convert(told, dict[str, dict[str, Json]])
        assert mine["error"]["type"] == recorded["error"]["type"]
        assert mine["error"]["message"] == recorded["error"]["message"]
        assert _reasons(mine["node_errors"]) == _reasons(recorded["node_errors"])
        compared += 1
    assert compared >= 6


def _reasons(nodes: dict[str, Json]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node, entry in nodes.items():
        errors = cast("list[dict[str, Json]]", cast("dict[str, Json]", entry)["errors"])
        found[node] = sorted(str(error["type"]) for error in errors)
    return found
