"""How many modules a request passes on its way from Discord to ComfyUI."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import FrameType

import pytest

from app.entry_points import run_loop
from tests.discord.stage import Stage

APP = Path(__file__).parents[2] / "app"

MOST_MODULES = 25
"""Modules of `app/` that may take part: whoever follows a request reads each of them."""

FIRST = "discord/gateway/listener.py"
LAST = "simulator/http/prompt_routes.py"


class Recorder:
    """Records the modules of `app/` that are entered from the interaction's arrival to its POST /prompt."""

    def __init__(self) -> None:
        self.modules: list[str] = []
        self.arrived = False
        self.posted = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or self.posted or not (path := Path(frame.f_code.co_filename)).is_relative_to(APP):
            return
        module = path.relative_to(APP).as_posix()
        self.arrived = self.arrived or module == FIRST
        self.posted = self.arrived and module == LAST
        if self.arrived and _in_background(frame):
            return
        if self.arrived and not module.startswith("simulator/") and module not in self.modules:
            self.modules.append(module)


def _in_background(frame: FrameType) -> bool:
    """Whether a loop that runs all the time called this, and not the request."""
    caller: FrameType | None = frame
    while caller is not None:
        if caller.f_code is run_loop.__code__:
            return True
        caller = caller.f_back
    return False


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_command_passes_few_modules_on_its_way_to_comfyui(stage: Stage) -> None:
    """On asyncio alone, where everything runs in one thread: a profiler sees only the thread that installs it."""
    recorder = Recorder()
    async with stage.bot():
        threading.setprofile(recorder)
        sys.setprofile(recorder)
        try:
            asked = stage.discord.slash("imagine", prompt="a cat", width=64, height=64)
            await stage.result(asked)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    assert recorder.posted
    assert len(recorder.modules) <= MOST_MODULES, "\n".join(recorder.modules)
