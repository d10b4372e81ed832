"""One process of the program, and its own line to Valkey: killed, frozen, cut off, and started again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from tests.discord.flows import FOLDER, STARTERS
from tests.process.bot import send_signal
from tests.process.launcher import PROGRAM, ROOT, forking
from tests.process.proxy import Proxy

SETTINGS = "[discord]\nkeep_metadata = true\nmark_results = false\n"
"""Results are posted as they are, which needs no media worker."""


class Member:
    """A front or a worker, named like its folder. `command` is "front" or "work"; it logs into a file of its folder."""

    def __init__(self, folder: Path, command: str, line: Proxy, options: tuple[str, ...], **more: str) -> None:
        self.name = folder.name
        self.folder = folder
        self.line = line
        engine = ("--engine", f"valkey://127.0.0.1:{line.port}", "--name", folder.name)
        self._words = [*PROGRAM, command, *engine, *options]
        self._environment = _environment(folder, more)
        self._process: Process | None = None
        folder.mkdir()
        (folder / "atelier.toml").write_text(SETTINGS)
        for name in STARTERS:
            shutil.copytree(FOLDER / name, folder / "workflows" / name)

    @property
    def log(self) -> str:
        """What all its processes have logged."""
        return (self.folder / "log").read_text()

    async def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is None:
            with (self.folder / "log").open("ab") as log, forking():
                self._process = await anyio.open_process(
                    self._words, cwd=self.folder, env=self._environment, stdout=DEVNULL, stderr=log
                )

    async def kill(self) -> None:
        """Kill it as a crash does."""
        if self._process is not None:
            process, self._process = self._process, None
            send_signal(process, signal.SIGKILL)
            await process.wait()
            await process.aclose()

    async def stop(self) -> int:
        """Stop it as an update does; its exit code."""
        process, self._process = self._process, None
        assert process is not None
        send_signal(process, signal.SIGTERM)
        code = await process.wait()
        await process.aclose()
        return code

    async def freeze(self, seconds: float) -> None:
        """Keep it from running for so many seconds."""
        process = self._process
        assert process is not None
        send_signal(process, signal.SIGSTOP)
        try:
            await anyio.sleep(seconds)
        finally:
            send_signal(process, signal.SIGCONT)

    async def cut(self, seconds: float, *, is_silent: bool) -> None:
        """Cut its line to Valkey for so many seconds.

        If that is silent, what both sides send meanwhile arrives afterwards; if not, all connections are reset.
        """
        self.line.freeze()
        try:
            if not is_silent:
                await self.line.reset()
            await anyio.sleep(seconds)
        finally:
            self.line.thaw()


def _environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    foreign = ("ATELIER", "COMFYUI", "DISCORD")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **ours,
        "ATELIER_DATA": str(folder / "data"),
        "ATELIER_WORKFLOWS": str(folder / "workflows"),
        "PYTHONPATH": str(ROOT),
        **more,
    }
