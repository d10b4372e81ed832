"""The `demo` command: twelve pictures for four people at once, on an embedded simulator, without a GPU."""

from __future__ import annotations

import random
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from msgspec.structs import replace
from rich.console import Console

from app.application import Services, run
from app.cli.generate import draw, rows_of
from app.cli.output.renderers import choose
from app.config import Config, Server
from app.core.job import JobRequest
from app.events import JobId
from app.simulator.art.painter import Recipe, paint
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve
from app.workflows.bind import bind
from app.workflows.load import load

PEOPLE = {
    "Ada": ["a lighthouse at dusk", "the same bay in winter", "a kite above the dunes"],
    "Grace": ["a night train through the hills", "a harbour full of lanterns", "rain on a glass roof"],
    "Linus": ["a fox under a red moon", "an island that floats", "a library in the forest"],
    "Margaret": ["a launch pad at dawn", "a garden on the far side", "two comets over a lake"],
}

STEP_TIME = 0.045
"""Seconds a step: with twelve steps each picture is visible for half a second, and the demo lasts about ten."""


async def demo(config: Config, out: Path, console: Console) -> int:
    """Run the demo; return the exit code."""
    code = 1
    with TemporaryDirectory() as folder:
        requests = _requests(config.workflows, Path(folder) / "photo.png", out)
        simulator = Simulator(Path(folder) / "server", steps=12, step_time=STEP_TIME, previews=True)
        async with anyio.create_task_group() as ground:
            port = await ground.start(serve, simulator, "127.0.0.1", 0, name="simulator")
            config = replace(config, servers=(Server(url=f"http://127.0.0.1:{port}"),))
            code = await run(config, _Frontend(requests, console))
            ground.cancel_scope.cancel()
    if code == 0:
        console.print(f"The pictures are in {out}.", markup=False, highlight=False, soft_wrap=True)
    return code


class _Frontend:
    def __init__(self, requests: list[JobRequest], console: Console) -> None:
        self._requests = requests
        self._console = console

    async def __call__(self, services: Services) -> int:
        rows = rows_of(self._requests)
        show = choose(self._console, rows, json=False)
        return await draw(self._requests, rows, show, services.registry, services.shutdown)


def _requests(workflows: Path, photo: Path, out: Path) -> list[JobRequest]:
    """The requests of all people, three each; the last of the three starts from a picture."""
    paint(Recipe("a photo to start from", seed=4, model="", steps=12, width=640, height=448)).save(photo)
    rng = random.Random(12)  # noqa: S311  the demo looks the same every time
    requests: list[JobRequest] = []
    for turn in range(3):
        for person, prompts in PEOPLE.items():
            name = "img2img" if turn == 2 else "txt2img"
            values = {"prompt": prompts[turn], "steps": 12}
            values |= {"image": str(photo)} if name == "img2img" else {"width": 640, "height": 448}
            job = JobId(str(uuid.uuid4()))
            workflow = load(workflows, name)
            requests.append(bind(workflow, job, values, rng=rng, folder=str(out), owner=person))
    return requests
