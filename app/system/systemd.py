"""What systemd is told of the bot: that it is ready, that its event loop runs, that it reloads, that it stops.

The protocol is a datagram for each message: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress

import anyio

MICROSECONDS = 1_000_000


class ServiceManager:
    """Sends messages to the systemd that started this process; without one, nothing.

    `environ` is the environment of the process.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ stands for one that begins with a zero byte, and is no file.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._pause = _watchdog_seconds(environ) / 2
        self._is_ready = False

    async def run(self, opened: anyio.Event, draining: anyio.Event) -> None:
        """Say that the bot is ready once `opened` is set, then that it lives, and that it stops once `draining` is.

        A watchdog hears nothing while the event loop is held up, and restarts the bot.
        """
        async with anyio.create_task_group() as tasks:
            if self._pause:
                tasks.start_soon(self._keep_alive, name="watchdog")
            await opened.wait()
            self._is_ready = True
            self._send("READY=1", "STATUS=Connected to Discord.")
            await draining.wait()
            self._is_ready = False
            self._send("STOPPING=1", "STATUS=Stopping: no new jobs are taken.")

    @contextmanager
    def reloading(self) -> Generator[None]:
        """Say that the configuration is loaded again, and at the end of the block that the bot is ready again."""
        if not self._is_ready:
            yield
            return
        # systemd compares this clock with its own, to see which request the message belongs to.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            if self._is_ready:
                self._send("READY=1")

    async def _keep_alive(self) -> None:
        while True:
            self._send("WATCHDOG=1")
            await anyio.sleep(self._pause)

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        # Nothing depends on it: a full or closed socket must not hold up the bot.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)
            sender.sendto("\n".join(assignments).encode(), self._address)


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """After how many seconds without a message systemd restarts this process; 0 if it does not."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / MICROSECONDS if text.isascii() and text.isdecimal() and len(text) < 18 else 0.0
