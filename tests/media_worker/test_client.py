"""Real processes: what they may do, how they end, and that nobody else suffers from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest
from PIL import Image

from app.media_worker import client as module
from app.media_worker.limits import PICTURES, Limits
from app.media_worker.protocol import Refusal, Refused, frame
from app.reasons.files import FileDamaged
from tests.media_worker.processes import (
    ENOUGH,
    command_line,
    endless,
    environment,
    on_linux,
    outcome,
    peak,
    running,
    until,
)
from tests.media_worker.samples import claiming, encoded, exif, noise

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

IMPATIENT = Limits(memory=PICTURES.memory, cpu=PICTURES.cpu, deadline=8.0)
"""For files on which a process hangs: long enough to start a process on a busy machine."""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good"
    path.write_bytes(encoded(noise((32, 24)), "JPEG"))
    return path


@on_linux
async def test_a_process_has_an_empty_environment_and_works_from_anywhere(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret of the bot")
    monkeypatch.chdir(tmp_path)
    async with running() as client:
        assert await outcome(client, Path(good.name)) == ".png"
        (pid,) = client.processes
        assert environment(pid) == b""
        assert b"secret" not in b"\0".join(command_line(pid))


async def test_a_name_that_is_no_text_is_found(good: Path) -> None:
    odd = good.with_name(os.fsdecode(b"caf\xe9 \n"))
    os.rename(good, odd)  # noqa: PTH104
    async with running() as client:
        assert await outcome(client, odd) == ".png"


async def test_processes_start_with_the_first_request_and_stop_when_idle(good: Path) -> None:
    async with running(idle=0.01) as client:
        assert not client.processes
        assert await outcome(client, good) == ".png"
        await until(lambda: not client.processes)
        assert await outcome(client, good) == ".png"


async def test_a_process_that_is_there_and_idle_goes_before_a_new_one(good: Path) -> None:
    pids: set[int] = set()
    async with running() as client:
        for person in ("ada", "grace", "linus", "ada", "grace"):
            assert await outcome(client, good, person) == ".png"
            pids |= client.processes
    assert len(pids) == 1


async def test_the_end_of_the_client_ends_its_processes_and_refuses_what_waits(good: Path, tmp_path: Path) -> None:
    hanging = endless(tmp_path / "hanging")
    found: list[str] = []
    client, pid = module.MediaClient(), 0

    async def ask() -> None:
        found.append(await outcome(client, hanging))

    async with anyio.create_task_group() as asking:
        async with anyio.create_task_group() as serving:
            await serving.start(client.run)
            asking.start_soon(ask)
            await until(lambda: client.processes)
            (pid,) = client.processes
            serving.cancel_scope.cancel()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert found == ["WorkerUnavailable"]
    assert await outcome(client, good) == "WorkerUnavailable"


async def test_asyncio_knows_how_a_process_ended_that_the_end_of_the_client_killed(
    good: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waitpid = os.waitpid

    def late(pid: int, options: int) -> tuple[int, int]:
        # Threads of a busy machine: the process has ended, and asyncio has not asked the system how.
        time.sleep(0.1)
        return waitpid(pid, options)

    monkeypatch.setattr(os, "waitpid", late)
    async with running() as client:
        assert await outcome(client, good) == ".png"
    # asyncio warns if somebody else has asked before it.
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_picture_whose_process_is_killed_fails_alone_and_the_next_gets_another(
    good: Path, tmp_path: Path
) -> None:
    hanging = endless(tmp_path / "hanging")
    found: list[str] = []
    async with running() as client, anyio.create_task_group() as tasks:

        async def ask() -> None:
            found.append(await outcome(client, hanging))

        tasks.start_soon(ask)
        await until(lambda: client.processes)
        (pid,) = client.processes
        assert await outcome(client, good, "grace") == ".png"
        os.kill(pid, signal.SIGKILL)
        await until(lambda: found)
        assert found == ["WorkerDied"]
        assert await outcome(client, good) == ".png"
        assert pid not in client.processes


async def test_a_picture_is_not_blamed_for_what_an_earlier_one_did_to_the_process(good: Path, tmp_path: Path) -> None:
    """A decoder may damage its process and only the next file ends it: that one gets a fresh process."""
    hanging = endless(tmp_path / "hanging")
    found: list[str] = []
    async with running() as client, anyio.create_task_group() as tasks:
        assert await outcome(client, good) == ".png"
        (pid,) = client.processes

        async def ask() -> None:
            found.append(await outcome(client, hanging))

        tasks.start_soon(ask)
        # Once the other end can be opened, the process has begun; while it is open, nothing can be read.
        writing = await until(lambda: _opened(hanging))
        os.replace(good, hanging)  # noqa: PTH105
        os.kill(pid, signal.SIGKILL)
        await until(lambda: found)
        os.close(writing)
    assert found == [".png"]


def _opened(pipe: Path) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


async def test_a_process_that_takes_too_long_is_killed(good: Path, tmp_path: Path) -> None:
    hanging = endless(tmp_path / "hanging")
    async with running(IMPATIENT) as client:
        assert await outcome(client, hanging) == "TooMuchTime"
        await until(lambda: not client.processes)
        assert await outcome(client, good) == ".png"


async def test_one_person_cannot_take_all_processes(good: Path, tmp_path: Path) -> None:
    hanging = [endless(tmp_path / f"hanging{number}") for number in range(10)]
    async with running() as client, anyio.create_task_group() as tasks:
        for path in hanging:
            tasks.start_soon(outcome, client, path, "ada")
        await until(lambda: client.processes)
        assert await outcome(client, good, "grace") == ".png"
        tasks.cancel_scope.cancel()


async def test_whoever_gives_up_waiting_leaves_nothing_behind(good: Path, tmp_path: Path) -> None:
    hanging = endless(tmp_path / "hanging")
    async with running(IMPATIENT) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, client, hanging, "ada")
        await until(lambda: client.processes)
        with anyio.move_on_after(0.05) as given_up:
            await outcome(client, good, "ada")
        assert given_up.cancelled_caught
        assert await outcome(client, good, "grace") == ".png"
        assert await outcome(client, good, "ada") == ".png"


async def test_a_process_is_replaced_after_many_requests(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REQUESTS", 2)
    pids: set[int] = set()
    async with running() as client:
        for _ in range(6):
            assert await outcome(client, good) == ".png"
            pids |= client.processes
    assert len(pids) >= 3


@pytest.mark.parametrize(
    "script",
    [
        "print('no frame at all')",
        "sys.stdout.buffer.write(b'\\xff\\xff\\xff\\xff' + bytes(100))",
        "sys.stdout.buffer.write((5).to_bytes(4, 'big') + b'xxxxx')",
        "sys.stdout.buffer.write(frame(Compressed()))",
        "sys.stdout.buffer.write(frame(Redirected('light')) if sys.stdin.buffer.read(9) else b'')",
        "sys.exit(3)",
        "os.kill(os.getpid(), 11)",
    ],
)
async def test_a_process_that_answers_wrongly_fails_one_picture(
    script: str, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "import os, sys\nsys.path[:] = sys.argv[1].splitlines()\nfrom app.media_worker.protocol import *\n"
    monkeypatch.setattr(module, "BOOT", f"{head}{script}\nsys.stdout.flush()\n")
    async with running(IMPATIENT) as client:
        # One that reads nothing may end before or after our request; both are its end.
        assert await outcome(client, good) == "WorkerDied"
        monkeypatch.undo()
        assert await outcome(client, good) == ".png"


async def test_a_process_that_talks_without_end_on_stderr_is_read_and_logged_a_little(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = "import sys\nsys.stderr.write('x' * 2_000_000)\n"
    monkeypatch.setattr(module, "BOOT", talk + module.BOOT)
    logged: list[str] = []

    def log(_: str, *, text: str = "", **__: object) -> None:
        logged.append(text)

    monkeypatch.setattr(module.logger, "info", log)
    async with running() as client:
        assert await outcome(client, good) == ".png"
    assert 0 < len("".join(logged)) <= module.LOGGED


async def test_a_python_that_cannot_be_started_is_a_reason(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as client:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", "/nowhere/python")
            assert await outcome(client, good) == "WorkerUnavailable"
        assert await outcome(client, good) == ".png"


def python(code: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, cwd=ROOT, timeout=ENOUGH, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
def test_a_process_limits_its_memory_its_files_and_its_time() -> None:
    limited = "from app.media_worker.limits import *; limit_process(PICTURES); allow_cpu(1)\n"
    assert b"MemoryError" in python(f"{limited}bytearray(400 * 2**20)").stderr
    assert b"Too many open files" in python(f"{limited}files = [open('pyproject.toml') for _ in range(40)]").stderr
    assert python(f"{limited}while True: pass").returncode == -signal.SIGXCPU
    assert python(f"{limited}bytearray(200 * 2**20)").returncode == 0


def test_what_libraries_print_does_not_end_up_between_replies(tmp_path: Path) -> None:
    code = (
        "import os\nfrom app.media_worker import worker\nfrom app.media_worker.protocol import Refused\n"
        "from app.reasons.files import FileDamaged\n"
        "worker.answer = lambda _: (print('noise', flush=True), os.write(1, b'noise'), Refused(FileDamaged()))[-1]\n"
        "worker.run([])\n"
    )
    request = module.Normalise(source=bytes(tmp_path), target=bytes(tmp_path), kind="image")
    found = python(code, frame(request))
    assert found.stdout == frame(Refused(FileDamaged()))
    assert found.stderr.count(b"noise") == 2


def test_the_program_runs_as_a_module_and_ends_with_its_pipe() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "app.media_worker"], input=b"", capture_output=True, cwd=ROOT, timeout=ENOUGH, check=True
    )
    assert (found.stdout, found.stderr) == (b"", b"")


@on_linux
async def test_a_bomb_is_refused_without_memory_for_it(tmp_path: Path) -> None:
    """8192² pixels took 640 MB when they were decoded in the bot."""
    for number, size in enumerate([(8_192, 8_192), (30_000, 30_000), (2_000_000, 2_000_000)]):
        (tmp_path / f"bomb{number}").write_bytes(claiming(*size))
    async with running() as client:
        for number in range(3):
            assert await outcome(client, tmp_path / f"bomb{number}") in {"TooManyPixels", "FileUnrecognised"}
        assert max(map(peak, client.processes)) < 60


@on_linux
@pytest.mark.parametrize("kind", ["gray and transparent", "on its side"])
async def test_forty_megapixels_take_less_than_400_megabytes(kind: str, tmp_path: Path) -> None:
    if kind == "on its side":
        Image.new("RGB", (8_000, 5_000), "teal").save(tmp_path / "large", "JPEG", exif=exif(orientation=6))
    else:
        Image.new("LA", (8_000, 5_000)).save(tmp_path / "large", "PNG", compress_level=1)
    async with running() as client:
        assert await outcome(client, tmp_path / "large") == ".png"
        assert 300 < max(map(peak, client.processes)) < 400
        with Image.open(tmp_path / "large.ada.plain") as picture:
            assert picture.size == ((5_000, 8_000) if kind == "on its side" else (8_000, 5_000))


BOT = """
import sys, resource, anyio
from pathlib import Path
from app.media_worker.client import MediaClient

async def main(source):
    async with anyio.create_task_group() as tasks:
        client = MediaClient()
        await tasks.start(client.run)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = await client.compress(source, source.with_name("target"), source.stat().st_size // 2, person="ada")
        peak = max(int(line.split()[1]) for pid in client.processes for line in open(f"/proc/{pid}/status")
                   if line.startswith("VmHWM"))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(found.suffix, after - before, peak, "PIL" in sys.modules)
        tasks.cancel_scope.cancel()

anyio.run(main, Path(sys.argv[1]), backend="trio")
"""


@on_linux
def test_an_animation_is_compressed_frame_by_frame_and_not_in_the_bot(tmp_path: Path) -> None:
    """All frames at once are 194 MB here; they were 882 MB for a WebP of 35 MB, in the bot itself."""
    source = tmp_path / "moving.png"
    frames = [Image.new("RGB", (900, 900), (number, 90, 2 * number)) for number in range(60)]
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=40, compress_level=0)
    del frames
    found = subprocess.run(
        [sys.executable, "-c", BOT, str(source)], capture_output=True, text=True, cwd=ROOT, timeout=200, check=True
    )
    suffix, growth, peak_kib, has_pillow = found.stdout.split()
    assert (suffix, has_pillow) == (".webp", "False")
    assert int(growth) < 5_000
    assert int(peak_kib) < 120_000


async def test_the_client_raises_nothing_but_refusals(tmp_path: Path) -> None:
    async with running() as client:
        for name in ("nowhere", "."):
            with pytest.raises(Refusal):
                await client.normalise(tmp_path / name, tmp_path / "target", "image", person="ada")
            with pytest.raises(Refusal):
                await client.compress(tmp_path / name, tmp_path / "target", 10, person="ada")
