"""Stop signals, handled from the start of the process to its end.

`install` is called before every heavy import, and its handlers stay for the life of the process. Until a block listens,
a signal ends the process at once, because nothing has been started yet. A block that listens decides for itself; a
further signal then ends the process at once. trio and asyncio replace only Python's own handler of SIGINT, so neither
of them raises `KeyboardInterrupt`, and there is no moment, before or after their loop, in which a signal shows a
traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType

SIGHUP = getattr(signal, "SIGHUP", signal.SIGTERM)
"""Sent when the terminal is closed; the same as SIGTERM on systems that do not have it."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, SIGHUP)

SERVICES = frozenset({"front", "run", "simulate", "work"})
"""Commands that run until they are stopped, for which SIGTERM is the normal end."""

BOTS = frozenset({"front", "run"})
"""Commands that a hangup does not stop: it has them load their configuration again."""

ONE_PRESS = 0.001
"""Seconds within which the same signal counts once: `timeout` and other wrappers send it to us and to our group."""

HANDLED = 128
"""Added to a signal's number by our handler; Python itself writes the bare number, only to wake the event loop."""

SHOW_CURSOR = b"\x1b[?25h"
"""Escape sequence that shows the terminal's cursor, which a live table hides."""


def command_of(argv: Sequence[str]) -> str:
    """The command that a command line names: its first word, or "run" if there is none."""
    arguments = [argument for index, argument in enumerate(argv) if index == 0 or argv[index - 1] != "--backend"]
    return next((argument for argument in arguments if not argument.startswith("-")), "run")


def exit_code(command: str, signum: int) -> int:
    """The exit code after a signal: 0 after SIGTERM for commands that only a signal ends, else 128 plus its number."""
    return 0 if signum == signal.SIGTERM and command in SERVICES else 128 + signum


class Process:
    """The state that the signal handlers use."""

    def __init__(self) -> None:
        self.command = ""
        self.receivers: list[Callable[[int], object]] = []
        """One function for each block that listens; the last one gets the signals."""
        self.patience = 1
        """How many signals the blocks get before one more ends the process."""
        self.received = 0
        self.last = (0, 0.0)
        """The last signal and the time of it."""

    def handle(self, signum: int, _: FrameType | None) -> None:
        """Handle a signal; Python calls this in the main thread, between any two steps of the program."""
        if not stops(signum):
            if self.receivers:
                self.receivers[-1](signum)
            return
        before, self.last = self.last, (signum, time.monotonic())
        if before[0] == signum and self.last[1] - before[1] < ONE_PRESS:
            return
        if not self.receivers or self.received >= self.patience:
            self.end(signum)
        self.received += 1
        self.receivers[-1](signum)

    def end(self, signum: int) -> None:
        """End the process at once."""
        if sys.stdout is not None and self.received and os.isatty(1):
            os.write(1, SHOW_CURSOR)
        os._exit(exit_code(self.command, signum))


_process = Process()


def install(argv: Sequence[str]) -> None:
    """Handle the signals from now on. A hangup that was ignored when the process started (`nohup`) stays ignored."""
    _process.command = command_of(argv)
    for signum in SIGNALS:
        if signum != SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _process.handle)


def ignore() -> None:
    """Ignore the signals from now on, because at its exit Python would restore the handlers that kill the process."""
    for signum in SIGNALS:
        if signal.getsignal(signum) == _process.handle:
            signal.signal(signum, signal.SIG_IGN)


def stops(signum: int) -> bool:
    """Whether a signal stops this process: a running bot survives the closing of its terminal."""
    return not (_process.command in BOTS and signum == SIGHUP != signal.SIGTERM)


@contextmanager
def listen(*, patience: int = 1) -> Generator[Receiver]:
    """Receive the signals for the length of the block, instead of the blocks around it.

    `patience` is how many of them it gets before one more ends the process at once.
    """
    # Imported here: code that listens has these modules anyway, and signals must be handled before they are imported.
    import socket

    reader, writer = socket.socketpair()
    reader.settimeout(0)
    writer.settimeout(0)
    with reader, writer, _waking(writer.fileno()):
        receiver = Receiver(reader.recv, reader.fileno())

        def send(signum: int) -> None:
            try:
                writer.send(bytes([signum + HANDLED]))
            except BlockingIOError:
                # Thousands of signals are already waiting.
                return

        before, _process.patience = _process.patience, max(patience, _process.patience)
        _process.receivers.append(send)
        try:
            yield receiver
        finally:
            _process.receivers.remove(send)
            _process.patience = before


@contextmanager
def _waking(descriptor: int) -> Generator[None]:
    """Wake the event loop for signals that reach a thread other than its own.

    Python runs handlers in the main thread, and only when that thread runs. trio arranges to be woken; asyncio does
    not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor if before == -1 else before, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before, warn_on_full_buffer=False)


class Receiver:
    """An endless iterator over the numbers of the signals that arrive."""

    def __init__(self, receive: Callable[[int], bytes], descriptor: int) -> None:
        self._receive = receive
        self._descriptor = descriptor
        self._waiting: list[int] = []

    def __aiter__(self) -> Receiver:
        """The iterator itself."""
        return self

    async def __anext__(self) -> int:
        """Wait for the next signal, on either backend."""
        import anyio

        while not self._waiting:
            await anyio.wait_readable(self._descriptor)
            self._waiting += [byte - HANDLED for byte in self._receive(64) if byte > HANDLED]
        return self._waiting.pop(0)

    def exit_code(self, signum: int) -> int:
        """The exit code of this process after a signal."""
        return exit_code(_process.command, signum)
