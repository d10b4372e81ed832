"""The door's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.load import load_config
from app.config.settings import Discord
from app.config.toml_table import ConfigError


def discord(folder: Path, toml: str = "", **environ: str) -> Discord:
    (folder / "atelier.toml").write_text(toml)
    return load_config(environ, folder).discord


def test_nothing_needs_to_be_said(tmp_path: Path) -> None:
    assert discord(tmp_path) == Discord()


def test_guilds_may_be_numbers_or_texts(tmp_path: Path) -> None:
    found = discord(tmp_path, '[discord]\nguilds = [1200000000000000000, "1300000000000000000"]')
    assert [int(guild) for guild in found.guilds] == [1200000000000000000, 1300000000000000000]


def test_the_environment_says_where_discord_is(tmp_path: Path) -> None:
    told = discord(tmp_path, '[discord]\nrest_url = "http://one/api"', DISCORD_REST_URL="http://two/api/")
    assert told.rest_url == "http://two/api"


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[discord]\nguild = [1]", "did you mean “guilds”"),
        ('[discord]\nguilds = ["here"]', "guilds"),
        ('[discord]\nguarded = ["look"]', "guarded"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, toml: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        discord(tmp_path, toml)


def test_the_example_names_every_setting() -> None:
    example = (Path(__file__).parents[2] / "atelier.example.toml").read_text()
    door = example.partition("[discord]")[2]
    assert all(f"\n{name} = " in door for name in Discord.__struct_fields__)
