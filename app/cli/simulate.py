"""The command `simulate`: an embedded ComfyUI that any client can use."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from app.cli.arguments.commands import Simulate
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve
from app.simulator.version import VERSIONS
from app.system.standard_streams import complain


async def simulate(command: Simulate) -> int:
    """Serve a simulated ComfyUI until cancelled; return the exit code."""
    with TemporaryDirectory(prefix="atelier-") as folder:
        simulator = Simulator(
            Path(folder),
            steps=command.steps,
            step_time=command.step_time,
            previews=command.previews,
            any_node=command.any_node,
            version=VERSIONS[command.comfyui_version],
            seed=command.seed,
            clock=lambda: time.time_ns() // 1_000_000,
        )
        async with anyio.create_task_group() as tasks:
            try:
                port = await tasks.start(serve, simulator, command.host, command.port)
            except OSError as error:
                complain(f"cannot listen on {command.host}:{command.port}: {error.strerror}.")
                return 1
            host = f"[{command.host}]" if ":" in command.host else command.host
            print(f"listening on http://{host}:{port}", flush=True)
    return 0
