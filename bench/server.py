"""The simulator in its own process; it prints when it accepted each prompt, and when it reported its end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from PIL import Image

from app.ports import Json
from app.simulator.art import painter
from app.simulator.engine.simulator import Simulator
from app.simulator.engine.worker import Answer
from app.simulator.http.application import serve

GAP = 0.0005
"""Seconds between `executed` and the end frame: mostly 0.1 to 1 ms in a real ComfyUI (docs/protocol/comfyui.md, 2.4).

The simulator's own gap is forty times as long, which would hide the time that the download of a result takes.
"""

PREVIEW = 60_000
"""Bytes of a preview. Those of a real ComfyUI have 25,000 to 150,000; the simulator's have 10,000."""

_preview = painter.preview


def _large_preview(image: Image.Image, fraction: float) -> bytes:
    """A preview as large as a real one: what follows the end of a JPEG does not count."""
    return _preview(image, fraction).ljust(PREVIEW, b"\0")


def _say(what: str, prompt: object) -> None:
    """Print an event with the time of the monotonic clock, which all processes of a machine share."""
    print(json.dumps({what: prompt, "t": time.monotonic()}), flush=True)


class _Stamped(dict[str, float]):
    """Prints each prompt that is written into it as ended."""

    def __setitem__(self, prompt: str, _: float) -> None:
        _say("ended", prompt)


async def main(step_time: float, steps: int = 4, *, previews: bool = False) -> None:
    with TemporaryDirectory() as folder:
        simulator = Simulator(Path(folder), steps=steps, step_time=step_time, previews=previews, history_gap=GAP)
        simulator.ended_at = _Stamped()
        painter.preview = _large_preview
        take = simulator.worker.submit

        def stamped(body: Mapping[str, Json]) -> Answer:
            _say("posted", body.get("prompt_id"))
            return take(body)

        simulator.worker.submit = stamped
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve, simulator, "127.0.0.1", 0)
            print(json.dumps({"port": port}), flush=True)


if __name__ == "__main__":
    # With a number of steps, each of them has a preview.
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    anyio.run(partial(main, previews=bool(steps)), float(sys.argv[1]), steps or 4, backend="asyncio")
