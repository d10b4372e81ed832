"""The program as a person starts it: how long `demo` takes, how soon `generate` ends, and what a job costs it.

Needs neither Discord nor a GPU: the server is the simulator, in its own process. The time that `run` needs to stop
is measured in `bench.discord`.
"""

from __future__ import annotations

import resource
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

COUNT = 200
"""Jobs of the `generate` whose processor time is measured."""

SMALL = ("txt2img", "prompt=x", "width=64", "height=64")
"""A workflow whose pictures take the server no time."""


@contextmanager
def _started(*words: str) -> Generator[subprocess.Popen[str]]:
    """Start a command of the program; kill it at the end of the block if it still runs."""
    command = [sys.executable, "-m", "app", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


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
        words = ("generate", *SMALL, "--count", "5", "--json", "--server", url, "--out", folder)
        with _started(*words, "--backend", backend) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if '"progressed"' in line:
                    break
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.communicate()
            return time.monotonic() - began


def _generate(backend: str, count: int) -> tuple[float, int]:
    """Return the seconds of processor time of `generate --json` for so many jobs, start included, and its lines."""
    with TemporaryDirectory() as folder, _started("simulate", "--port", "0", "--step-time", "0.002") as server:
        assert server.stdout is not None
        url = server.stdout.readline().removeprefix("listening on ").strip()
        words = ("generate", *SMALL, "--count", str(count), "--json", "--server", url, "--out", folder)
        # The server still runs, so it is not among the children that have ended.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with _started(*words, "--backend", backend) as process:
            lines = process.communicate()[0].splitlines()
        assert process.returncode == 0, lines[-1:]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, len(lines)


def _generate_costs(backend: str) -> dict[str, float]:
    """Return what a job costs `generate`, of `COUNT` jobs: with its start, and what each further job adds."""
    (one, _), (many, lines) = _generate(backend, 1), _generate(backend, COUNT)
    return {
        "generate_cpu_per_job_ms": many / COUNT * 1000,
        "generate_cpu_per_further_job_ms": (many - one) / (COUNT - 1) * 1000,
        "generate_lines_per_job": lines / COUNT,
    }


def commands(rounds: int) -> dict[str, dict[str, float]]:
    """Measure both backends alternately; returns medians, in seconds if nothing else is said."""
    measured: dict[str, dict[str, list[float]]] = {"trio": {}, "asyncio": {}}
    for _ in range(rounds):
        for backend, figures in measured.items():
            costs = _generate_costs(backend)
            for name, value in {"demo_s": _demo(backend), "generate_stop_s": _stop(backend), **costs}.items():
                figures.setdefault(name, []).append(value)
    return {
        backend: {name: round(statistics.median(times), 2) for name, times in figures.items()}
        for backend, figures in measured.items()
    }
