"""What the handler of a signal decides, without a process that ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import NoReturn

import anyio
import pytest

from app.system import signals

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call the handler of a process of its own, some time after the call before."""
    process = signals.Process()
    monkeypatch.setattr(signals, "_process", process)
    now = 100.0

    def end(code: int) -> NoReturn:
        raise Ended(code)

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr("time.monotonic", lambda: now)

    def handle(signum: signal.Signals, *, later: float = 1.0, command: str = "generate") -> None:
        nonlocal now
        now += later
        process.command = command
        process.handle(signum, None)

    return handle


@pytest.mark.parametrize(
    ("command", "signum", "code"),
    [("generate", INT, 130), ("generate", TERM, 143), ("demo", HUP, 129), ("run", TERM, 0), ("run", INT, 130)],
)
def test_without_a_listener_a_signal_ends_the_process_at_once(
    send: Callable[..., None], command: str, signum: signal.Signals, code: int
) -> None:
    with pytest.raises(Ended, match=f"^{code}$"):
        send(signum, command=command)


async def received(receiver: signals.Receiver, count: int) -> list[int]:
    numbers: list[int] = []
    with anyio.fail_after(60):
        async for signum in receiver:
            numbers.append(signum)
            if len(numbers) == count:
                break
    return numbers


async def test_a_listener_gets_the_first_signal_and_one_more_ends_the_process(send: Callable[..., None]) -> None:
    with signals.listen() as receiver:
        send(INT)
        assert await received(receiver, 1) == [INT]
        with pytest.raises(Ended, match=r"^143$"):
            send(TERM)


async def test_the_same_signal_twice_at_once_counts_as_one(send: Callable[..., None]) -> None:
    with signals.listen() as receiver:
        send(TERM)
        send(TERM, later=0.0001)
        with pytest.raises(Ended):
            send(INT, later=0.0001)
        assert await received(receiver, 1) == [TERM]


async def test_a_patient_listener_gets_two_signals(send: Callable[..., None]) -> None:
    with signals.listen(), signals.listen(patience=2) as receiver:
        send(INT)
        send(INT)
        assert await received(receiver, 2) == [INT, INT]
        with pytest.raises(Ended):
            send(INT)


async def test_a_hangup_never_ends_the_bot(send: Callable[..., None]) -> None:
    send(HUP, command="run")
    with signals.listen() as receiver:
        for _ in range(3):
            send(HUP, command="run")
        assert await received(receiver, 3) == [HUP] * 3
        assert not signals.stops(HUP)
        send(TERM, command="run")
        assert await received(receiver, 1) == [TERM]


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ([], "run"),
        (["--debug"], "run"),
        (["--backend", "asyncio"], "run"),
        (["--backend", "asyncio", "demo"], "demo"),
        (["generate", "--backend", "trio", "x"], "generate"),
    ],
)
def test_the_command_is_known_before_the_parser_is_imported(argv: list[str], command: str) -> None:
    assert signals.command_of(argv) == command
