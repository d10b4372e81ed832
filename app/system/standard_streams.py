"""stdin, stdout and stderr, which may be closed, full, or read by nobody."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TORN = 141
"""The exit code where nobody reads our output any more, as a shell shows a process that SIGPIPE ended."""

LOST = 1
"""The exit code where our output cannot be written for another reason, such as a full disk."""


def prepare() -> None:
    """Put the null device where a stream was closed, and let no character fail that its encoding does not have.

    A closed stream is the lowest free descriptor: without this, the next file that is opened becomes our stdout.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  before pathlib is there
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        stream.reconfigure(errors="backslashreplace")
        if stream.isatty():
            raw = io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
            terminal = io.TextIOWrapper(raw, stream.encoding, "backslashreplace", line_buffering=True)
            setattr(sys, name, terminal)


class _Terminal(io.FileIO):
    """A terminal that may be closed while we write: SIGHUP says so, and whoever draws a table need not know."""

    def write(self, content: ReadableBuffer, /) -> int:
        """Write, or drop what no terminal shows any more."""
        try:
            return super().write(content)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(content).nbytes


def complain(sentence: str) -> None:
    """Say on stderr what is wrong, if anybody reads it."""
    with suppress(OSError, ValueError):
        print(f"atelier: {sentence}", file=sys.stderr)


def lose(error: OSError) -> int:
    """Give stdout up after an error: say why, if it was not that the reader left. Returns the exit code."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return TORN
    complain(f"the output cannot be written: {error.strerror or error}.")
    return LOST


def finish(code: int) -> int:
    """Write what is still buffered; the exit code. Ends the process on the spot if a thread would keep it alive."""
    try:
        sys.stdout.flush()
    except OSError as error:
        code = lose(error)
    with suppress(OSError):
        sys.stderr.flush()
    main = threading.main_thread()
    if any(thread.is_alive() and not thread.daemon and thread is not main for thread in threading.enumerate()):
        # It waits for a reader who does not read, and may wait for ever.
        os._exit(code)
    return code
