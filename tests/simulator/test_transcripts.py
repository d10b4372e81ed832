"""The simulator says what a real ComfyUI said, frame for frame, in every exchange that was recorded."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from app.simulator.art import painter
from app.simulator.art.painter import Recipe
from app.simulator.engine.simulator import Simulator
from app.simulator.version import V0_33_0
from tests.conftest import virtual
from tests.simulator.likeness import normal, recorded, statuses_apart
from tests.simulator.recordings import Line, names, read
from tests.simulator.replay import MODELS, NEWER_MODELS, Said, living, replay

NEWER = "0.33/"
"""The folder of what was recorded of 0.33.0."""

SERIES = [
    "02a_txt2img_full_legacy_preview",
    "02b_txt2img_full_preview_metadata",
    "02c_txt2img_full_128x128_8steps",
    "02d_txt2img_tiny_128_8steps",
    "02e_txt2img_tiny_batch4",
    "03_img2img_upload",
    "12_http_misc",
]
"""What was recorded of one server in a row: its cache and its uploads show in the next."""

NEWER_SERIES = [
    "0.33/02d_txt2img_tiny_no_previews",
    "0.33/02d_txt2img_tiny_latent2rgb",
    "0.33/02d_txt2img_tiny_latent2rgb_no_flags",
]
"""The same for 0.33.0."""

APART = dict.fromkeys(
    [
        "0.33/07_jobs_cancel",
        "0.33/07_queue_delete",
        "07_queue_delete_front_clear",
        "18_restart_SIGINT",
        "18_restart_SIGKILL",
        "18_restart_SIGTERM",
        "19_queue_positions_same_number",
    ],
    "prompts are posted while another runs: there the worker is a thread, and `status` comes by chance",
)
"""Where `status` is compared among itself only, and why."""

UNEVEN = {
    "15_slow_reader_stalls_everybody": ("/prompt", "GET /prompt tells how quick the machine encoded 300 pictures"),
    "0.33/07_jobs_cancel": ("/api/jobs", "the list has what the server did before"),
    "0.33/12_http_misc": ("/api/jobs", "the list has what the server did before"),
}
"""Where one GET route is not compared, and why."""

OTHER_MACHINE = {"0.33/30_opus": "the server failed, because its machine could not encode Opus"}
"""What is not compared, and why."""

TORN = dict.fromkeys(
    ["18_restart_SIGINT", "18_restart_SIGKILL", "18_restart_SIGTERM"],
    "the signal came between a step and its picture, which died with the process",
)
"""Where ours may have one more frame at the end, and why."""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@pytest.fixture(autouse=True)
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pictures, only the kind and the size are compared, and a plain one takes a tenth of the time."""

    def paint(recipe: Recipe) -> Image.Image:
        return Image.new("RGB", (max(8, recipe.width), max(8, recipe.height)), "teal")

    def preview(picture: Image.Image, clearness: float) -> bytes:
        return b"a JPEG"

    monkeypatch.setattr(painter, "paint", paint)
    monkeypatch.setattr(painter, "preview", preview)


@cache
def said(name: str) -> Said:
    """What the real server said: both backends are compared with it."""
    return recorded(compared(name))


def compared(name: str) -> list[Line]:
    route = UNEVEN.get(name, ("", ""))[0]
    return [line for line in read(name) if str(line.get("path")).split("?")[0] != route or line["method"] != "GET"]


def alone(names: list[str], series: list[str]) -> list[list[str]]:
    """Each transcript for itself, but those of a series together."""
    return [series, *([name] for name in names if name not in series and name not in OTHER_MACHINE)]


@pytest.mark.parametrize("series", alone(names(), SERIES), ids=lambda series: series[0])
async def test_the_simulator_says_what_comfyui_said(series: list[str], tmp_path: Path) -> None:
    async with living(tmp_path, previews=True, step_time=0.01, history_gap=0.0, models=MODELS) as simulator:
        await compare(simulator, series)


@pytest.mark.parametrize("series", alone(names(NEWER), NEWER_SERIES), ids=lambda series: series[0])
async def test_the_simulator_says_what_a_newer_comfyui_said(series: list[str], tmp_path: Path) -> None:
    options: dict[str, Any] = {"version": V0_33_0, "models": NEWER_MODELS, "clock": milliseconds}
    async with living(tmp_path, step_time=0.3, history_gap=0.0, **options) as simulator:
        await compare(simulator, series)


def milliseconds() -> int:
    return int(anyio.current_time() * 1000)


async def compare(simulator: Simulator, series: list[str]) -> None:
    for name in series:
        lines = compared(name)
        ours, theirs = normal(await replay(simulator, lines), lines), said(name)
        if name in APART:
            ours, theirs = statuses_apart(ours), statuses_apart(theirs)
        assert ours.keys() == theirs.keys()
        for where, expected in theirs.items():
            for number, (our_frame, their_frame) in enumerate(zip(ours[where], expected, strict=False)):
                assert our_frame == their_frame, f"{name}, {where}, number {number}"
            more = ours[where][len(expected) :]
            assert len(ours[where]) - len(more) == len(expected), f"{name}, {where}: not all of it was said"
            assert not more or (name in TORN and more == [(1, 1)]), f"{name}, {where}: {more}"


def test_every_exception_is_of_a_transcript_that_is_there() -> None:
    assert {*SERIES, *NEWER_SERIES, *APART, *UNEVEN, *TORN, *OTHER_MACHINE} <= {*names(), *names(NEWER)}
