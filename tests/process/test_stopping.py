"""Signals at any moment, and a stdout that is closed, full or read by nobody: real processes, on both backends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from tests.discord.fake import FakeDiscord
from tests.process.bot import NOWHERE, PATIENCE, bot, comfyui, imagine, says, send_signal, until
from tests.process.bot import environment as bot_environment
from tests.process.launcher import PROGRAM, ROOT, forking

PROC = Path("/proc")
pytestmark = pytest.mark.skipif(not (PROC / "self/status").exists(), reason="reads /proc to see what a process handles")

QUICKLY = 20.0
"""Seconds from a signal to the end, on a busy machine."""

DELAYS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.2)
"""Seconds from the moment at which a process handles signals: imports, set-up, work."""

IMPORTED = 0.2
"""The shortest delay of a process that has nothing left to import: the others are enough for signals meanwhile."""

LEFT_BY_HIKARI = re.compile(
    r"Exception ignored in: <function ClientSession\.__del__ [^>]*>\n"
    r"Traceback [^\n]*\n(?: [^\n]*\n)*ResourceWarning: Unclosed client session [^\n]*\n"
)
"""What `-W error` says if the bot is stopped while hikari opens its websocket: hikari 2.6 then leaves its HTTP session
to the garbage collector. Nobody else reads this: Python ignores the warning unless it is told otherwise."""

GENERATE = ("generate", "txt2img", "prompt=x", "width=64", "height=64", "--count", "3", "--json")


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the program's is a parameter."""
    return "asyncio"


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """SIGHUP as a terminal hands it to a program: `nohup` and some CI runners hand it down ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@asynccontextmanager
async def program(
    *words: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    stdout: int = subprocess.PIPE,
    by_fork: bool = True,
) -> AsyncGenerator[Process]:
    """The program in a session of its own; killed at the end of the block at the latest."""
    command = [*PROGRAM, *words]
    base = {"PYTHONPATH": str(ROOT), "PATH": "", "ATELIER_WORKFLOWS": str(ROOT / "workflows"), "COMFYUI_URL": NOWHERE}
    with forking(by_fork=by_fork):
        process = await anyio.open_process(
            command, cwd=cwd, env={**base, **(env or {})}, start_new_session=True, stdout=stdout
        )
    async with process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def handles_signals(process: Process) -> None:
    """Wait until the program has replaced Python's own handlers: before that it is not our code that runs."""
    bit = 1 << (signal.SIGTERM - 1)
    while process.returncode is None:
        try:
            status = (PROC / str(process.pid) / "status").read_text()
        except FileNotFoundError:
            return  # It has ended by itself.
        for line in status.splitlines():
            if line.startswith("SigCgt:") and int(line.split()[1], 16) & bit:
                return
        await anyio.sleep(0.001)


async def end_of(process: Process) -> tuple[int, str]:
    """The exit code and stderr. Nothing that the program started outlives it."""
    assert process.stderr is not None
    code, errors = -1, ""

    async def drain() -> None:
        async for _ in process.stdout or ():
            continue

    with anyio.fail_after(QUICKLY):
        async with anyio.create_task_group() as tasks:
            if process.stdout is not None:
                tasks.start_soon(drain)
            errors = "".join([piece async for piece in TextReceiveStream(process.stderr)])
            code = await process.wait()
    assert left_in_session(process.pid) == []
    return code, errors


def left_in_session(session: int) -> list[str]:
    names: list[str] = []
    for folder in PROC.iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if fields[3] == str(session) and fields[0] != "Z":
            names.append(folder.name)
    return names


def commands(folder: Path) -> dict[str, tuple[str, ...]]:
    return {
        "demo": ("demo", "--out", str(folder / "demo")),
        "generate": (*GENERATE, "--out", str(folder / "out")),
        "simulate": ("simulate", "--port", "0"),
        "check": ("check",),
        "workflows": ("workflows", "check"),
        "jobs": ("jobs",),
        "run": ("run",),
    }


async def sweep(
    words: tuple[str, ...], signum: signal.Signals, env: Mapping[str, str], cwd: Path = ROOT
) -> list[tuple[float, int, str]]:
    """Send the signal at each delay, to processes that run side by side: what each ended with.

    Each has a folder of its own, named after `ATELIER_DATA`: two bots do not share a journal. Those with the shortest
    delays are not forked, because signals arrive while modules are imported, too.
    """
    ends: list[tuple[float, int, str]] = []
    lanes = anyio.CapacityLimiter(2)

    async def once(delay: float, backend: str) -> None:
        own = {**env, "ATELIER_DATA": f"{env['ATELIER_DATA']}-{delay}"}
        by_fork = delay >= IMPORTED
        async with lanes, program(*words, "--backend", backend, env=own, cwd=cwd, by_fork=by_fork) as process:
            await handles_signals(process)
            await anyio.sleep(delay)
            send_signal(process, signum)
            code, errors = await end_of(process)
            ends.append((delay, code, errors))

    async with anyio.create_task_group() as tasks:
        for number, delay in enumerate(DELAYS):
            tasks.start_soon(once, delay, ("trio", "asyncio")[number % 2])
    return ends


@pytest.mark.parametrize("name", ["demo", "generate", "simulate", "check", "workflows", "jobs", "run"])
async def test_ctrl_c_at_any_moment_ends_a_command_with_130_and_without_a_traceback(
    name: str, tmp_path: Path, discord: FakeDiscord
) -> None:
    words = commands(tmp_path)[name]
    simulator = Simulator(tmp_path / "server", step_time=0.2)
    async with serving(simulator) as address:
        env = {
            **bot_environment(discord, tmp_path),
            "COMFYUI_URL": address,
            "ATELIER_WORKFLOWS": str(ROOT / "workflows"),
        }
        ends = await sweep(words, signal.SIGINT, env)
        for delay, code, errors in ends:
            # These may have ended by themselves before the signal came.
            assert code == 130 or (name in {"jobs", "check", "workflows"} and code in {0, 1}), (delay, errors)
            assert "Traceback" not in errors, delay
            assert "Exception" not in errors, delay
        assert any(code == 130 for _, code, _ in ends)
        assert simulator.running is None
        assert not simulator.pending


@asynccontextmanager
async def serving(simulator: Simulator) -> AsyncGenerator[str]:
    from app.simulator.http.application import serve

    async with anyio.create_task_group() as ground:
        port = await ground.start(serve, simulator, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{port}"
        ground.cancel_scope.cancel()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize(
    ("name", "signum", "code"),
    [
        ("generate", signal.SIGTERM, 143),
        ("generate", signal.SIGHUP, 129),
        ("demo", signal.SIGTERM, 143),
        ("demo", signal.SIGHUP, 129),
        ("simulate", signal.SIGTERM, 0),
        ("simulate", signal.SIGHUP, 129),
    ],
)
async def test_sigterm_and_sighup_cancel_what_a_command_has_on_the_server(
    name: str, signum: signal.Signals, code: int, backend: str, tmp_path: Path
) -> None:
    simulator = Simulator(tmp_path / "server", step_time=0.2)
    async with serving(simulator) as address:
        env = {"COMFYUI_URL": address}
        async with program(*commands(tmp_path)[name], "--backend", backend, env=env) as process:
            await wait_for_output(
                process, {"generate": '"progressed"', "demo": "started", "simulate": "listening"}[name]
            )
            send_signal(process, signum)
            assert await end_of(process) == (code, "")
        assert simulator.running is None
        assert not simulator.pending


async def wait_for_output(process: Process, part: str) -> None:
    """Wait until the program has written a word."""
    assert process.stdout is not None
    text = ""
    stream = TextReceiveStream(process.stdout)
    with anyio.fail_after(PATIENCE):
        while part not in text:
            text += await stream.receive()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_a_signal_after_the_last_line_shows_no_traceback(backend: str, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "server", step_time=0.001)
    async with serving(simulator) as address:
        for delay in (0.0, 0.005, 0.02, 0.05):
            words = (*commands(tmp_path)["generate"], "--backend", backend)
            # A fork ends as the interpreter ends. The one that is none shows that it does.
            async with program(*words, env={"COMFYUI_URL": address}, by_fork=delay != 0.02) as process:
                await wait_for_output(process, '"summary"')
                await anyio.sleep(delay)
                send_signal(process, signal.SIGINT)
                code, errors = await end_of(process)
            assert code in {0, 130}
            assert errors == ""


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_a_second_signal_during_the_grace_period_ends_at_once(backend: str, tmp_path: Path) -> None:
    async with comfyui_that_hangs(tmp_path) as (server, address):
        words = (*commands(tmp_path)["generate"], "--backend", backend)
        async with program(*words, env={"COMFYUI_URL": address}) as process:
            await wait_for_output(process, '"started"')
            # Nothing confirms a cancellation any more, so that the whole grace period is used.
            send_signal(server, signal.SIGSTOP)
            send_signal(process, signal.SIGTERM)
            send_signal(process, signal.SIGINT)
            assert process.stdout is not None
            with anyio.fail_after(QUICKLY):
                output = "".join([piece async for piece in TextReceiveStream(process.stdout)])
            code, errors = await end_of(process)
            # Python handles both in its own order if they arrive together.
            assert (code in {130, 143}, errors) == (True, "")
            assert "summary" not in output, "it waited for the grace period"
        send_signal(server, signal.SIGCONT)


@asynccontextmanager
async def comfyui_that_hangs(folder: Path) -> AsyncGenerator[tuple[Process, str]]:
    async with program("simulate", "--port", "0", "--step-time", "0.2") as process:
        assert process.stdout is not None
        line = await TextReceiveStream(process.stdout).receive()
        yield process, line.removeprefix("listening on ").strip()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_a_closed_terminal_takes_our_jobs_off_the_server(backend: str, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "server", step_time=0.2)
    master, slave = os.openpty()
    async with serving(simulator) as address:
        words = ("generate", "txt2img", "prompt=x", "width=64", "height=64", "--count", "2", "--backend", backend)
        env = {"COMFYUI_URL": address, "TERM": "xterm"}
        async with program(*words, "--out", str(tmp_path), env=env, stdout=slave) as process:
            os.close(slave)
            await until(lambda: simulator.running is not None)
            # A shell tells its jobs that the terminal is gone; writing there fails from now on.
            os.close(master)
            send_signal(process, signal.SIGHUP)
            code, _ = await end_of(process)
        assert code == 129
        assert simulator.running is None
        assert not simulator.pending


async def test_a_reader_who_does_not_read_holds_up_no_end(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 65536)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    simulator = Simulator(tmp_path / "server", step_time=0.2)
    async with serving(simulator) as address:
        for backend in ("trio", "asyncio"):
            words = (*commands(tmp_path)["generate"], "--backend", backend)
            async with program(*words, env={"COMFYUI_URL": address}, stdout=writer) as process:
                await until(lambda: simulator.running is not None)
                send_signal(process, signal.SIGINT)
                assert await end_of(process) == (130, "")
            assert simulator.running is None
    os.close(reader)
    os.close(writer)


def redirected(words: str, cwd: Path, redirection: str) -> subprocess.CompletedProcess[str]:
    """Run the program through a shell that does this to its streams."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "ATELIER_WORKFLOWS": str(ROOT / "workflows"), "COMFYUI_URL": NOWHERE}
    command = f"{sys.executable} -W error -m app {words} {redirection}; exit $?"
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60
    )


FULL = "atelier: the output cannot be written: No space left on device.\n"


@pytest.mark.parametrize(
    ("words", "redirection", "code", "errors"),
    [
        ("workflows list", ">&-", 0, ""),
        ("workflows schema", ">&- 2>&-", 0, ""),
        ("workflows list", ">/dev/full", 1, FULL),
        ("workflows schema", ">/dev/full", 1, FULL),
        ("--help", ">/dev/full", 1, FULL),
        ("workflows list", "2>/dev/full >/dev/full", 1, ""),
        ("workflows list", "> >(exec true); wait", 0, ""),
        ("generate nothing", "2>&-", 2, ""),
        ("generate nothing", "2>/dev/full", 2, ""),
    ],
)
def test_a_closed_or_full_stream_costs_the_output_and_nothing_else(
    words: str, redirection: str, code: int, errors: str, tmp_path: Path
) -> None:
    done = redirected(words, tmp_path, redirection)
    assert done.stderr == errors
    assert done.returncode == code


@pytest.mark.parametrize("words", ["workflows schema", "workflows list", "--help"])
def test_a_reader_who_has_left_ends_a_command_like_sigpipe(words: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "ATELIER_WORKFLOWS": str(ROOT / "workflows")}
    command = [*PROGRAM, *words.split()]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(("target", "code"), [("/dev/full", 1), ("pipe", 141)])
async def test_generate_takes_its_jobs_back_when_its_output_cannot_be_written(
    target: str, code: int, tmp_path: Path
) -> None:
    simulator = Simulator(tmp_path / "server", step_time=0.2)
    if target == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(target, os.O_WRONLY)
    async with serving(simulator) as address:
        for backend in ("trio", "asyncio"):
            words = (*commands(tmp_path)["generate"], "--backend", backend)
            async with program(*words, env={"COMFYUI_URL": address}, stdout=writer) as process:
                assert await end_of(process) == (code, "" if code == 141 else FULL)
            assert simulator.running is None
            assert not simulator.pending
    os.close(writer)


async def test_sigterm_ends_the_bot_with_0_at_any_moment_and_sighup_never(tmp_path: Path, discord: FakeDiscord) -> None:
    env = {**bot_environment(discord, tmp_path), "ATELIER_WORKFLOWS": str(ROOT / "workflows")}
    for delay, code, errors in await sweep(("run",), signal.SIGTERM, env):
        assert code == 0, (delay, errors)
        assert "Traceback" not in LEFT_BY_HIKARI.sub("", errors), (delay, errors)
    # The next bot is at work once it has registered its commands again.
    discord.state.commands.of.clear()
    async with program("run", env=env, by_fork=False) as process:
        await handles_signals(process)
        assert process.stderr is not None
        send_signal(process, signal.SIGHUP)
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        send_signal(process, signal.SIGHUP)
        with anyio.fail_after(PATIENCE):
            text = ""
            while "SIGHUP received" not in text:
                text += (await process.stderr.receive()).decode()
        send_signal(process, signal.SIGTERM)
        code, errors = await end_of(process)
        assert code == 0
        assert "Traceback" not in text + errors


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_the_bot_leaves_its_jobs_to_the_next_start_and_says_so_with_0(
    backend: str, tmp_path: Path, discord: FakeDiscord
) -> None:
    async with (
        comfyui(tmp_path) as (simulator, address),
        # One of the two from its first line, because a fork leaves out what a bot imports.
        bot(discord, tmp_path, backend, comfy=address, by_fork=backend == "asyncio") as process,
    ):
        simulator.faults.ask(Request(hold=True))
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        interaction = imagine(discord, "a cat")
        await discord.until(lambda: "[Cancel]" in says(discord, interaction), PATIENCE)
        send_signal(process, signal.SIGTERM)
        code, errors = await end_of(process)
        assert code == 0
        assert "Traceback" not in errors
        assert "Your result is safe" in says(discord, interaction)
