"""The simulator says what a real ComfyUI said, frame for frame, in every exchange that was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import virtual
from tests.simulator.likeness import normal, recorded, statuses_apart
from tests.simulator.recordings import Line, names, read
from tests.simulator.replay import MODELS, living, replay

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

APART = dict.fromkeys(
    [
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
    "15_slow_reader_stalls_everybody": "GET /prompt tells how quick the machine encoded 300 pictures",
}
"""Where one route is not compared, and why."""

TORN = dict.fromkeys(
    ["18_restart_SIGINT", "18_restart_SIGKILL", "18_restart_SIGTERM"],
    "the signal came between a step and its picture, which died with the process",
)
"""Where ours may have one more frame at the end, and why."""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def compared(name: str) -> list[Line]:
    return [
        line for line in read(name) if not (name in UNEVEN and line.get("path") == "/prompt" and line["body"] is None)
    ]


@pytest.mark.parametrize(
    "series", [SERIES, *([name] for name in names() if name not in SERIES)], ids=lambda series: series[0]
)
async def test_the_simulator_says_what_comfyui_said(series: list[str], tmp_path: Path) -> None:
    async with living(tmp_path, previews=True, step_time=0.01, history_gap=0.0, models=MODELS) as simulator:
        for name in series:
            lines = compared(name)
            ours, theirs = normal(await replay(simulator, lines), lines), recorded(lines)
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
    assert {*SERIES, *APART, *UNEVEN, *TORN} <= {*names()}
