"""Through how many modules a request passes on its way from Discord to ComfyUI."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path
from types import FrameType

import hikari
import pytest

from app.actors.handle import Submit
from app.core.effects import SubmitPrompt
from app.core.jobs.job import Job, JobRequest
from app.discord.user_request import UserRequest
from app.service.requests import CreateJob
from tests.discord.stage import Stage

APP = Path(__file__).parents[2] / "app"

MOST_MODULES = 25
"""Modules of `app/` that may have the request in hand: whoever follows a request reads each of them."""

SHAPES = (hikari.CommandInteraction, CreateJob, UserRequest, JobRequest, Submit, Job, SubmitPrompt)
"""What a request is on its way."""

POST = "comfy/client.py"


class Recorder:
    """Records the modules of `app/` whose functions have a request among their variables, until it was posted."""

    def __init__(self) -> None:
        self.modules: list[str] = []
        self.posted = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if self.posted or event not in {"call", "return"}:
            return
        path = Path(frame.f_code.co_filename)
        if not path.is_relative_to(APP):
            return
        module = path.relative_to(APP).as_posix()
        self.posted = module == POST and frame.f_code.co_name == "submit"
        holds = self.posted or any(isinstance(value, SHAPES) for value in list(frame.f_locals.values()))
        if holds and module not in self.modules and not module.startswith("simulator/"):
            self.modules.append(module)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_command_passes_through_few_modules_on_its_way_to_comfyui(stage: Stage) -> None:
    """On asyncio alone, where everything runs in one thread: a profiler sees only the thread that installs it."""
    recorder = Recorder()
    # What earlier tests left unfinished would be closed meanwhile, with their jobs in hand.
    gc.collect()
    async with stage.bot():
        threading.setprofile(recorder)
        sys.setprofile(recorder)
        try:
            await stage.result(stage.discord.slash("txt2img", prompt="a cat", width=64, height=64))
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    assert recorder.posted
    assert len(recorder.modules) <= MOST_MODULES, "\n".join(recorder.modules)
