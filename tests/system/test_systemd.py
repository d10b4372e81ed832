"""What systemd hears of the bot, on a datagram socket like its own; and the unit that goes with it."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import anyio
import pytest

from app.system.systemd import ServiceManager
from tests.conftest import virtual

UNIT = Path(__file__).parents[2] / "deploy" / "atelier.service"


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Systemd:
    """Owns the socket; `address` is what a service is told of it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(0)

    def heard(self) -> list[str]:
        """The messages since the last call, without the status that people read and without the clock."""
        messages: list[str] = []
        while True:
            try:
                text = self._socket.recv(4096).decode()
            except BlockingIOError:
                return messages
            messages += [line for line in text.split("\n") if not line.startswith(("STATUS=", "MONOTONIC_USEC="))]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "file" else f"@atelier-test-{os.getpid()}"
    listening = Systemd(address)
    yield listening
    listening.close()


async def test_it_hears_of_the_start_of_each_reload_and_of_the_end(systemd: Systemd) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": systemd.address})
    opened, draining = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manager.run, opened, draining)
        await anyio.sleep(1)
        with manager.reloading():
            pass
        assert systemd.heard() == []
        opened.set()
        await anyio.sleep(1)
        assert systemd.heard() == ["READY=1"]
        with manager.reloading():
            assert systemd.heard() == ["RELOADING=1"]
        assert systemd.heard() == ["READY=1"]
        with manager.reloading():
            draining.set()
            await anyio.sleep(1)
        assert systemd.heard() == ["RELOADING=1", "STOPPING=1"]


async def test_a_watchdog_hears_the_event_loop_twice_as_often_as_it_must(systemd: Systemd) -> None:
    environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}
    manager = ServiceManager(environ)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manager.run, anyio.Event(), anyio.Event())
        await anyio.sleep(45)
        tasks.cancel_scope.cancel()
    assert systemd.heard() == ["WATCHDOG=1"] * 5


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "/" + "x" * 500},
        {"NOTIFY_SOCKET": "@nobody-listens-here", "WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
async def test_without_a_systemd_that_listens_nothing_happens(environ: dict[str, str]) -> None:
    manager, opened = ServiceManager(environ), anyio.Event()
    opened.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manager.run, opened, anyio.Event())
        await anyio.sleep(5)
        with manager.reloading():
            pass
        tasks.cancel_scope.cancel()


def settings() -> dict[str, list[str]]:
    """The settings of the unit by name, without comments and headings."""
    values: dict[str, list[str]] = {}
    for name, setting in re.findall(r"(?m)^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8")):
        values.setdefault(name, []).append(setting)
    return values


def test_the_unit_expects_what_the_bot_sends() -> None:
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert float(unit["WatchdogSec"][0]) >= 10
    assert shlex.split(unit["ExecStart"][0])[1:] == ["run"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["TimeoutStartSec"] == ["infinity"]
    assert float(unit["TimeoutStopSec"][0]) > 2


@pytest.mark.parametrize("name", ["NoNewPrivileges", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"])
def test_the_unit_gives_the_bot_nothing_that_it_does_not_need(name: str) -> None:
    assert settings()[name] == ["yes"]
    assert settings()["CapabilityBoundingSet"] == [""]
    assert settings()["ProtectSystem"] == ["strict"]


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = which("systemd-analyze")
    if program is None:
        # The other tests read it.
        return
    # The program is not installed where the tests run.
    unit = tmp_path / "atelier.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/atelier/bin/atelier", "/bin/true"))
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "atelier.service" in line] == []
