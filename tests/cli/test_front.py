"""The command `front`, and others that need an engine, with wrong input; what they do is in tests/engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.arguments.program import PROGRAM
from app.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DISCORD_TOKEN", "ATELIER_ENGINE", "ATELIER_ENGINE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], f"{PROGRAM} front needs an engine: write --engine valkey://host:6379, or “url” in [engine]."),
        (["--engine", "http://a"], "--engine: “http://a” is not an engine's address: write valkey://host:6379"),
        (["--engine", "valkey://a/b"], "--engine: “valkey://a/b” has more than the number of a database"),
        (["--engine", "valkey://a"], "no DISCORD_TOKEN is set; all fronts need the same one."),
    ],
)
def test_wrong_input_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["front", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"atelier: {sentence}")
    assert error.count("\n") == 1


def test_the_address_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATELIER_ENGINE", "valkey://elsewhere")
    assert main(["front"]) == 2
    assert "DISCORD_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["run"], ["generate", "txt2img", "prompt=a"], ["work", "--name", "a"], ["workers"]]
)
def test_an_engine_without_its_library_is_one_sentence(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_nothing(_: str) -> None:
        return None

    for module in ("execute", "work", "workers.execute"):
        monkeypatch.setattr(f"app.cli.{module}.find_spec", find_nothing)
    monkeypatch.setenv("ATELIER_ENGINE", "valkey://a")
    monkeypatch.setenv("DISCORD_TOKEN", "token")
    assert main(command) == 2
    assert capsys.readouterr().err == (
        "atelier: the engine needs a library that is not installed: run “pip install atelier-bot[engine]”.\n"
    )
