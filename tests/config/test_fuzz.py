"""Damaged settings are a sentence; and the fuzzer that says so finds a planted bug."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import toml_table
from app.config.load import load_config
from app.config.tables import discord, limits
from app.config.toml_table import ConfigError
from tests.config.fuzz import Leaked, attempt, check_sentence

COUNT = 1200


def test_damaged_settings_are_one_sentence_of_ours(tmp_path: Path) -> None:
    good = attempts(tmp_path)
    assert COUNT * 0.05 < good < COUNT * 0.9


@settings(
    derandomize=True, max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(toml=st.binary(max_size=60), dotenv=st.binary(max_size=60), url=st.text(max_size=20))
def test_any_bytes_are_settings_or_a_sentence(toml: bytes, dotenv: bytes, url: str, tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_bytes(toml)
    (tmp_path / ".env").write_bytes(dotenv)
    for servers in ((), (f"http://{url}",)):
        try:
            load_config({}, tmp_path, servers=servers)
        except ConfigError as error:
            check_sentence(str(error))


def test_the_fuzzer_finds_a_planted_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (discord, limits):
        monkeypatch.setattr(module, "discord_id", int)
    with pytest.raises((TypeError, ValueError)):
        attempts(tmp_path)


def test_the_fuzzer_finds_a_sentence_of_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(text: str) -> dict[str, object]:
        try:
            return tomllib.loads(text)
        except ValueError as error:
            raise ConfigError(f"atelier.toml: {error}.") from error

    monkeypatch.setattr(toml_table, "parse_toml", leak)
    with pytest.raises(Leaked):
        attempts(tmp_path)


def attempts(folder: Path) -> int:
    return sum(attempt(number, folder) for number in range(COUNT))
