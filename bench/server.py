"""The simulator in a process of its own, which says on stdout when it said each prompt's end."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from app.simulator.engine import Simulator
from app.simulator.web import serve


class _Stamped(dict[str, float]):
    """Prints what is written into it, with the clock that all processes of a machine share."""

    def __setitem__(self, prompt: str, _: float) -> None:
        print(json.dumps({"prompt": prompt, "t": time.monotonic()}), flush=True)


async def main(step_time: float) -> None:
    with TemporaryDirectory() as folder:
        simulator = Simulator(Path(folder), steps=4, step_time=step_time)
        simulator.ended_at = _Stamped()
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve, simulator, "127.0.0.1", 0)
            print(json.dumps({"port": port}), flush=True)


if __name__ == "__main__":
    anyio.run(main, float(sys.argv[1]), backend="asyncio")
