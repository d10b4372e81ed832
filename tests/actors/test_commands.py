"""Commands of the operator, as real processes."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from app.actors.commands import environment, run_command
from app.reasons.power import CommandFailed, CommandNotRun, CommandTooLong


async def test_a_command_that_works_has_nothing_to_say(tmp_path: Path) -> None:
    assert await run_command(("touch", str(tmp_path / "a b"))) is None
    assert (tmp_path / "a b").exists(), "no shell took it apart"


async def test_a_command_that_fails_says_its_last_line() -> None:
    script = "echo one; echo two >&2; echo; exit 3"
    assert await run_command(("sh", "-c", script)) == CommandFailed("sh", 3, "two")
    assert await run_command(("false",)) == CommandFailed("false", 1, "")


async def test_a_program_that_is_not_there_is_no_exception(tmp_path: Path) -> None:
    missing = await run_command(("no-such-program-here", "x"))
    assert missing == CommandNotRun("no-such-program-here", "No such file or directory")
    (tmp_path / "text").write_text("not a program")
    refused = await run_command((str(tmp_path / "text"),))
    assert refused == CommandNotRun(str(tmp_path / "text"), "Permission denied")


async def test_a_flood_of_output_is_read_and_only_its_end_is_kept() -> None:
    flood = f"{sys.executable} -c 'print(\"x\" * 9_000_000)'; echo last; exit 1"
    assert await run_command(("sh", "-c", flood)) == CommandFailed("sh", 1, "last")


async def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    script = f"(sleep 2; touch {tmp_path}/late) & sleep 60"
    assert await run_command(("sh", "-c", script), longest=0.2) == CommandTooLong("sh", 0.2)
    await anyio.sleep(2.2)
    assert not (tmp_path / "late").exists()


async def test_what_a_command_leaves_in_the_background_keeps_nobody_waiting(tmp_path: Path) -> None:
    before = anyio.current_time()
    assert await run_command(("sh", "-c", f"(sleep 30; touch {tmp_path}/late) &")) is None
    assert anyio.current_time() - before < 20


async def test_a_command_is_killed_when_the_bot_ends(tmp_path: Path) -> None:
    with anyio.move_on_after(0.2):
        await run_command(("sh", "-c", f"sleep 2; touch {tmp_path}/late"))
    await anyio.sleep(2.2)
    assert not (tmp_path / "late").exists()


async def test_a_command_gets_no_token_and_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    monkeypatch.setenv("CLOUD_KEY", "theirs")
    assert await run_command(("sh", "-c", f"env > {tmp_path}/env; cat >> {tmp_path}/env")) is None
    seen = (tmp_path / "env").read_text()
    assert "secret" not in seen
    assert "CLOUD_KEY=theirs" in seen


def test_none_of_our_own_variables_reaches_a_command() -> None:
    ours = {"DISCORD_TOKEN": "a", "ATELIER_DATA": "b", "COMFYUI_URL": "http://name:password@x", "PATH": "/bin"}
    assert environment(ours) == {"PATH": "/bin"}
