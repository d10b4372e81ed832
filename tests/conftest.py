"""What all tests share: both backends, virtual time, no judgement of speed, no unexpected skips in CI, what is slow."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import selectors
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio.lowlevel
import hypothesis
import pytest
import structlog
from hypothesis import HealthCheck
from trio.testing import MockClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TESTS = Path(__file__).parent

# Hundreds of processes start in these tests. Where the environment forbids bytecode files, each would compile all of
# its modules again, which takes longer than everything else that it does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

EXPECTED_SKIPS: tuple[str, ...] = ("git is not installed", "no Docker daemon answers")
"""Reasons for which a test may be skipped where `CI` is set. Any other skip fails there: a test that never runs
protects nothing, and nobody reads the list of skips."""

GC_THRESHOLD = 20_000
"""New objects after which the collector looks for cycles. Python's own 700 makes it look thousands of times while a bot
starts or a module is imported, at objects of which almost all are still in use."""

SLOW = (
    "browser/*",  # a browser, and a bot as a process
    "simulation/*",  # worlds in which everything goes wrong
    "process/*",  # bots, servers and proxies as processes
    "*process.py",
    "cli/test_parser.py",  # the program as a process
    "workflows/test_command.py",
    "media_worker/test_client.py",
    "media_worker/test_video.py",
    "mutants/*",  # pytest as a process
    "test_package.py",  # the program, installed in environments of its own
    "test_pytest.py",
    "test_bench.py",
    "*fuzz.py",
    "*test_hostile_*.py",  # peers that do everything wrong, over real sockets
    "engine/test_workers.py",  # jobs and files over a real Valkey, and leases that end
    "journal/access/test_waiting.py",  # another program holds the journal, and the disk is full
    "engine/test_fronts.py",  # leases that end, journals that are copied
    "journal/test_earlier_versions.py",  # processes that are killed at every statement of an update
    "cli/demo/test_demo.py",  # the whole demo
    "comfy/websocket/test_sockets.py",  # sockets that break, and time that passes
    "discord/gateway/guilds/test_visib*.py",  # long random sequences
    "discord/gateway/rest/test_buckets.py",  # Discord answers late
    "service/queue/test_live_queue.py",  # long random sequences, and a thousand pages
    "test_image.py",  # the program, installed from what the image copies
    "simulator/test_backlog.py",  # load
    "http/page/test_crowd.py",  # load
)
"""Files below `tests` whose tests are marked `slow`, by their kind."""

WAITING = (
    (
        "process/test_cluster.py",
        "process/test_wrong_servers.py",
        "process/test_many_servers.py",
        "process/test_scaled.py",
    ),
    ("process/test_fronts.py", "engine/test_process.py", "process/test_shards.py", "discord/test_moments.py"),
)
"""Files below `tests` whose tests mostly wait for other processes, in two groups that take equally long. If they ran
last, the machine would be idle for most of a minute."""

# Hypothesis gives one example 0.2 s, and drawing it some seconds, of real time: that would test the machine.
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")


def use_plain_tracebacks() -> None:
    """Print logs without what structlog adds by default: all local variables of a traceback take seconds of CPU."""
    render = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, render])


@pytest.fixture
def program_logs() -> Generator[None]:
    """Logs as the program writes them, with --debug, for tests that read them."""
    # Imported only here: tests/test_pytest.py starts pytest many times, each time for a file that needs no logs.
    from app.system.logging import configure

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure(debug=False)
    logging.getLogger("app").setLevel(logging.DEBUG)
    yield
    use_plain_tracebacks()
    logging.basicConfig(handlers=handlers, level=level, force=True)


@pytest.fixture(scope="module")
def earlier_objects_frozen() -> None:
    """Have the collector look only at what this module makes, where it collects after each test."""
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    use_plain_tracebacks()
    gc.set_threshold(GC_THRESHOLD)


@cache
def is_slow_file(path: Path) -> bool:
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    return any(fnmatch(name, pattern) for pattern in SLOW)


def is_slow(test: pytest.Function) -> bool:
    """Whether a test is slow by its kind: its file, a search by Hypothesis, or a whole bot on a fake Discord.

    The folders of `tests/discord` test one part each, so there a test is slow only if it plays the whole bot.
    """
    plays_a_bot = test.path.is_relative_to(TESTS / "discord") and "stage" in test.fixturenames
    plays_a_bot |= test.path.parent == TESTS / "discord" and "fake" in test.fixturenames
    return plays_a_bot or hypothesis.is_hypothesis_test(test.obj) or is_slow_file(test.path)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import the files of which `just test` runs nothing."""
    return True if config.option.markexpr == "not slow" and is_slow_file(collection_path) else None


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and is_slow(item):
            item.add_marker("slow")
    if os.environ.get("PYTEST_XDIST_WORKER"):
        begin_with_those_that_wait(items)


def begin_with_those_that_wait(items: list[pytest.Item]) -> None:
    """Have two of several workers begin with the tests that wait, while the others keep the processors busy.

    Each worker begins with an equal part of the items in their order, and takes over some of others when it is done.
    """
    groups: list[list[pytest.Item]] = []
    for files in WAITING:
        paths = {TESTS / file for file in files}
        groups.append([item for item in items if item.path in paths])
    waiting = {id(item) for group in groups for item in group}
    rest = [item for item in items if id(item) not in waiting]
    middle = max(0, len(items) // 2 - len(groups[0]))
    items[:] = [*groups[0], *rest[:middle], *groups[1], *rest[middle:]]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Have each worker compile its share of the modules first, where all are collected, and read those of the others.

    All of them would otherwise compile all modules of a fresh clone in the same order, at the same time.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        is_fast = session.config.option.markexpr == "not slow"
        paths = sorted(path for path in TESTS.rglob("test_*.py") if not (is_fast and is_slow_file(path)))
        first = int(worker) * len(paths) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        for path in paths[first:] + paths[:first]:
            # Whatever is wrong with a module is reported when pytest collects it.
            with suppress(BaseException):
                import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))
    return (yield)


def pytest_collection_finish() -> None:
    """Have the collector look at what a test makes, not at all modules: the sockets' tests collect after each test."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that was skipped for a reason which is not expected in CI."""
    report = yield
    _fail_an_unexpected_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that was skipped as a whole, such as by `pytest.importorskip`."""
    report = yield
    _fail_an_unexpected_skip(report)
    return report


def _fail_an_unexpected_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # A test that is expected to fail is reported as skipped, too.
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if reason.removeprefix("Skipped: ") not in EXPECTED_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"{reason}\nWith CI set, a test may be skipped only for a reason in EXPECTED_SKIPS."


class _Selector(selectors.SelectSelector):
    """Never waits: where nothing is ready, it moves the clock instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: every task waits, and nothing is scheduled")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock jumps to the next timer when all tasks wait."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def virtual(backend: str) -> tuple[str, dict[str, Any]]:
    """Backend options under which an hour of waiting costs a millisecond. No threads, no sockets inside."""
    if backend == "trio":
        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Real time by default; a module on virtual time overrides this with `virtual(request.param)`."""
    return request.param


async def inline(function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
    """Run a blocking function on the spot: under virtual time a thread would let the clock run away."""
    await anyio.lowlevel.checkpoint()
    return function(*args)
