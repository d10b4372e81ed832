"""The `demo` command: five people share three embedded simulators, of which one is killed, without a GPU."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace
from rich.console import Console

from app.application import Frontend, Services, run
from app.cli.arguments.program import COMPLETED, PROGRAM
from app.cli.demo.report import HEADER, Report
from app.cli.demo.server import STEP_TIME, STEPS, DemoServer
from app.cli.generate.frontend import draw, rows_of
from app.cli.output.folder import make_writable
from app.cli.output.renderers import for_people
from app.cli.output.rows import Row
from app.config.installation import included_workflows
from app.config.settings import Config
from app.core.jobs.cost import SECONDS_PER_COST
from app.core.jobs.job import JobRequest
from app.events import JobId, ServerName
from app.simulator.art.painter import Recipe, paint
from app.simulator.engine.queue import Item
from app.workflows.binding.bind import bind
from app.workflows.load import load

FIRST_TO_ASK = "Ada"
"""Who asks first, and for most."""

PEOPLE = {
    FIRST_TO_ASK: ["a lighthouse at dusk", "the same bay in winter", "a kite above the dunes", "a castle in the snow"]
    * 5,
    "Grace": ["a night train through the hills"],
    "Linus": ["a fox under a red moon", "an island that floats"],
    "Joan": ["a launch pad at dawn", "a garden on the far side", "two comets over a lake"],
    "Alan": ["a library in the forest"],
}
"""What each person asks for, in the order in which they ask."""

SIZE = {"width": 480, "height": 336}
"""Pixels; small, because three servers paint in one process."""

KILLED_AFTER = 8
"""Pictures that arrived before a server is killed."""

OUTAGE = 6.0
"""Seconds without the server that was killed: enough for others to take its jobs, even the one that it was running."""

POLL = 0.02
"""Seconds between two looks for the moment to kill a server."""

LINES = 8
"""Lines of the terminal that are kept for the header and for what happens to servers."""


async def demo(config: Config, out: Path, console: Console, page: int | None = None) -> int:
    """Run the demo; return the exit code. `page` is the port of the web page, 0 for any free one, None for no page.

    Raises `ConfigError` if it cannot write to `out`, or serve the page at this port.
    """
    make_writable(out)
    if page is not None:
        # Starlette and Jinja2 take a while.
        from app.cli.demo.page import check_port

        await check_port(page)
    code = 1
    _silence_connections()
    console.print(HEADER, markup=False, highlight=False, soft_wrap=True)
    with TemporaryDirectory() as folder:
        requests = _requests(Path(folder) / "photo.png", out)
        servers = [DemoServer(f"Server {number}", Path(folder) / f"server-{number}") for number in (1, 2, 3)]
        async with anyio.create_task_group() as ground:
            for server in servers:
                await server.start(ground)
            # With the engine, people's GPUs would work for the demo.
            config = replace(config, servers=tuple(server.config for server in servers), engine=None)
            frontend = _Frontend(requests, console, servers[1], ground)
            if page is None:
                code = await run(config, frontend)
            else:
                code = await _run_with_page(config, frontend, Path(folder) / "data", page, out, console)
            ground.cancel_scope.cancel()
    if code == 0 and page is None:
        console.print(f"{_where(out)}\n\n{_what_next()}", markup=False, highlight=False, soft_wrap=True)
    return code


async def _run_with_page(config: Config, frontend: Frontend, data: Path, port: int, out: Path, console: Console) -> int:
    """Run the frontend with a journal, then serve what was drawn until a signal; return the exit code."""
    from app.cli.demo.page import DemoPage
    from app.journal.opening import JOURNAL
    from app.journal.sqlite import open_journal

    page = DemoPage(config, data, port)
    async with open_journal(data / JOURNAL, durable=False) as journal, page.prepared(journal):

        async def draw_and_serve(services: Services) -> int:
            if code := await frontend(services):
                return code
            async with page.served(services, journal) as address:
                console.print(_where(out), markup=False, highlight=False, soft_wrap=True)
                console.print(f"\npage on {address}", markup=False, highlight=False, soft_wrap=True)
                console.print("Press Ctrl-C to end it.", markup=False, highlight=False, soft_wrap=True)
                await services.shutdown.wait()
            return 0

        return await run(config, draw_and_serve, journal=journal)


def _where(out: Path) -> str:
    return f"\nThe pictures are in {out}."


def _silence_connections() -> None:
    """Keep warnings about lost connections out of the output, unless --debug asks for them: `Report` says it better."""
    log = logging.getLogger("app.actors.connection")
    if not log.isEnabledFor(logging.DEBUG):
        log.setLevel(logging.ERROR)


class _Frontend:
    """Asks for all pictures, and kills a server and starts it again meanwhile."""

    def __init__(
        self, requests: Sequence[JobRequest], console: Console, victim: DemoServer, servers: TaskGroup
    ) -> None:
        self._requests = requests
        self._console = console
        self._victim = victim
        self._servers = servers

    async def __call__(self, services: Services) -> int:
        rows = rows_of(self._requests)
        report = Report(for_people(self._console, rows, spare=LINES))
        code = 1
        async with anyio.create_task_group() as meanwhile:
            meanwhile.start_soon(self._fail, report, rows, name="outage")
            code = await draw(self._requests, rows, report, services.registry, services.shutdown)
            meanwhile.cancel_scope.cancel()
        if code == 0:
            proof = report.proof(rows, FIRST_TO_ASK)
            self._console.print(proof, markup=False, highlight=False, soft_wrap=True)
        return code

    async def _fail(self, report: Report, rows: Sequence[Row]) -> None:
        """Kill a server midway, while it runs a job and has another one waiting, and start it again."""
        victim = self._victim
        while len(report.arrivals) < KILLED_AFTER or len(victim.unfinished) < 2 or victim.running is None:  # noqa: ASYNC110  a simulator has no event for it
            await anyio.sleep(POLL)
        seeds = {_seed(item) for item in victim.unfinished}
        jobs = [request.job for request in self._requests if request.seed in seeds]
        began = anyio.current_time()
        await victim.kill()
        await report.killed(ServerName(victim.name), jobs)
        await anyio.sleep_until(began + OUTAGE)
        await victim.start(self._servers)
        await report.back(anyio.current_time() - began)


def _seed(item: Item) -> object:
    """The seed in a prompt's graph, which no two jobs of the demo share; None if there is none."""
    for node in item[2].values():
        inputs = node.get("inputs")
        if isinstance(inputs, dict) and "seed" in inputs:
            return inputs["seed"]
    return None


def _requests(photo: Path, out: Path) -> list[JobRequest]:
    """The requests of all people; the third one of a person who asks for three starts from a picture."""
    paint(Recipe("a photo to start from", seed=4, model="", steps=STEPS, **SIZE)).save(photo)
    rng = random.Random(12)  # noqa: S311  the demo looks the same every time
    requests: list[JobRequest] = []
    for person, prompts in PEOPLE.items():
        for number, prompt in enumerate(prompts, start=1):
            name = "img2img" if number == len(prompts) == 3 else "txt2img"
            values = {"prompt": prompt, "steps": STEPS}
            values |= {"image": str(photo)} if name == "img2img" else SIZE
            job = JobId(str(uuid.uuid4()))
            workflow = load(included_workflows(), name)
            request = bind(workflow, job, values, rng=rng, folder=str(out), owner=person)
            # The manifest's cost is that of a GPU. Whoever asks first is charged for it until a picture was measured.
            requests.append(replace(request, cost=STEPS * STEP_TIME / SECONDS_PER_COST))
    return requests


def _what_next() -> str:
    """Commands that work at once, without a GPU."""
    return (
        "Next, try it yourself, in two terminals:\n"
        f"  {_program()} simulate\n"
        f'  {_program()} generate txt2img prompt="a fox"'
    )


def _program() -> str:
    """How this program is started: as in README if uv started it, else by its path unless a shell finds it."""
    if PROGRAM == COMPLETED:
        found_at = shutil.which(COMPLETED)
        # uvx makes the program known only to the process that it starts.
        is_known = "UV" not in os.environ and found_at is not None and Path(found_at).samefile(sys.argv[0])
        return COMPLETED if is_known else sys.argv[0]
    if "UV" in os.environ:
        return "uv run python -m app"
    path = Path(sys.executable)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path} -m app"
