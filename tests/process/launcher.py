"""Starts the program, or its media worker, without the imports, which take more CPU than all that most tests ask of it.

`python -m tests.process.launcher` imports the whole program once and forks for each start. What comes of it is a
process like any other: a child of ours, with its own pid, streams, folder, environment and signal handlers, which runs
`app/__main__.py` and ends as the interpreter ends. The media worker has a launcher of its own, which imports no more
than the worker does: what a worker allocates is limited, and includes what the launcher has loaded.

It leaves out the start of the interpreter and the imports: what happens during these, such as a signal, a closed stdin
or a module that a command does not import, needs `by_fork=False`. All starts share one hash seed.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import pickle
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from ctypes import CDLL
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]

PROGRAM = [sys.executable, "-W", "error", "-m", "app"]
"""What a command line must begin with."""

SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux: whether a process adopts what its children leave behind."""

_one_at_a_time = Lock()


@contextmanager
def forking(*, by_fork: bool = True) -> Generator[None]:
    """In the block, let `subprocess`, asyncio and trio start the program by a fork, where the system can."""
    if by_fork and sys.platform == "linux":
        with mock.patch.object(subprocess, "Popen", Forked):
            yield
    else:
        yield


class Forked(subprocess.Popen[Any]):
    """A process that the launcher of `module` forks; any other command starts as usual."""

    module = "app"

    def words(self, command: list[str]) -> list[str] | None:
        """The arguments of the module if the command starts it, else None."""
        return command[len(PROGRAM) :] if command[: len(PROGRAM)] == PROGRAM else None

    def _execute_child(self, *arguments: object) -> None:
        execute = super()._execute_child  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
        call = inspect.signature(execute).bind(*arguments).arguments  # pyright: ignore[reportUnknownArgumentType]
        words = self.words(list[str](call["args"]))
        if words is None:
            execute(*arguments)
            return
        ends = [call["p2cread"], call["p2cwrite"], call["c2pread"], call["c2pwrite"], call["errread"], call["errwrite"]]
        streams = [own if end == -1 else end for own, end in enumerate((ends[0], ends[3], ends[5]))]
        env = os.environ if call["env"] is None else call["env"]
        request = (words, call["cwd"], dict(env), call["start_new_session"])
        self.pid = _fork(self.module, request, streams)
        self._child_created = True
        self._close_pipe_fds(*ends)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def _fork(module: str, request: object, streams: list[int]) -> int:
    """Have the launcher fork, and adopt the process, whose parent ends at once; its id."""
    with _one_at_a_time:
        launcher = _launcher(module)
        control = CDLL(None).prctl
        control(SUBREAPER, 1, 0, 0, 0)
        try:
            socket.send_fds(launcher, [pickle.dumps(request)], streams)
            pid = int(launcher.recv(64))
            assert launcher.recv(64) == b"adopted"
        finally:
            control(SUBREAPER, 0, 0, 0, 0)
        return pid


@cache
def _launcher(module: str) -> socket.socket:
    """Our end of the line to the launcher of a module. It ends with us, when it reads the end of the line."""
    ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
    # The bot starts its workers without `-W error`.
    python = PROGRAM[:-1] if module == "app" else [sys.executable, "-m"]
    command = [*python, "tests.process.launcher", str(its.fileno()), module]
    env = {"PYTHONPATH": str(ROOT), "PATH": ""}
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], start_new_session=True
    )
    its.close()
    # A session of its own, so that Ctrl-C reaches it only through us.
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _serve(line: socket.socket) -> None:
    """Fork for each request until nobody is there to ask. Returns in the fork, which is ready to be the program."""
    while True:
        content, streams, _, _ = socket.recv_fds(line, 2**20, 3)
        if not content:
            os._exit(0)
        middle = os.fork()
        if middle:
            for stream in streams:
                os.close(stream)
            os.waitpid(middle, 0)
            line.send(b"adopted")
        elif pid := os.fork():
            line.send(str(pid).encode())
            os._exit(0)
        else:
            line.detach()
            words, folder, env, own_session = pickle.loads(content)
            _become(words, folder, env, own_session, streams)
            return


def _become(words: list[str], folder: str | None, env: dict[str, str], own_session: bool, streams: list[int]) -> None:
    if "trio" in sys.modules:
        # It would change the order of its tasks in the same places in each fork.
        sys.modules["trio"]._core._run._r.seed()
    if own_session:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 1024)
    os.chdir(folder or ROOT)
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    sys.path[0] = str(Path.cwd())
    sys.argv[1:] = words
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        buffering = 1 if name == "stderr" or os.isatty(number) else -1
        mode = "w" if number else "r"
        after = open(number, mode, buffering, before.encoding, before.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, after)


def _import_everything() -> None:
    import app

    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__") and not module.name.startswith("app.media_worker."):
            import_module(module.name)
    # What libraries import when they are used.
    for name in ("aiohttp", "trio_websocket", "anyio._backends._trio", "anyio._backends._asyncio", "encodings.idna"):
        import_module(name)
    gc.freeze()


if __name__ == "__main__":
    own_module = sys.argv[2]
    if own_module == "app":
        _import_everything()
    else:
        import_module(f"{own_module}.worker")
        gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(own_module, run_name="__main__", alter_sys=True)
