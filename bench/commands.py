"""The program as a person starts it: how long `demo` takes, and how soon `generate` ends after a signal.

Needs neither Discord nor a GPU: the server is the simulator, in its own process. The time that `run` needs to stop
is measured in `bench.discord`.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]


@contextmanager
def _started(*words: str) -> Generator[subprocess.Popen[str]]:
    """Start a command of the program; kill it at the end of the block if it still runs."""
    command = [sys.executable, "-m", "app", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _demo(backend: str) -> float:
    """Return the seconds for all pictures of the demo, from the start of the process to its end."""
    with TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "app", "demo", "--out", folder, "--backend", backend]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return time.monotonic() - began


def _stop(backend: str) -> float:
    """Return the seconds from SIGINT to the end of `generate`, which cancels five jobs on the server in that time."""
    with TemporaryDirectory() as folder, _started("simulate", "--port", "0", "--step-time", "0.2") as server:
        assert server.stdout is not None
        url = server.stdout.readline().removeprefix("listening on ").strip()
        words = ("generate", "txt2img", "prompt=x", "width=64", "height=64", "--count", "5", "--json", "--server", url)
        with _started(*words, "--out", folder, "--backend", backend) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if '"progressed"' in line:
                    break
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.communicate()
            return time.monotonic() - began


def commands(rounds: int) -> dict[str, dict[str, float]]:
    """Measure both backends alternately; returns medians in seconds."""
    measured: dict[str, dict[str, list[float]]] = {
        backend: {"demo_s": [], "generate_stop_s": []} for backend in ("trio", "asyncio")
    }
    for _ in range(rounds):
        for backend, figures in measured.items():
            figures["demo_s"].append(_demo(backend))
            figures["generate_stop_s"].append(_stop(backend))
    return {
        backend: {name: round(statistics.median(times), 2) for name, times in figures.items()}
        for backend, figures in measured.items()
    }
