"""Settings: where they come from, which is stronger, and what is said of a wrong one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from app.config import Config, ConfigError, Discord, Server, load_config

ROOT = Path(__file__).parent.parent


def urls(config: Config) -> list[str]:
    return [server.url for server in config.servers]


def test_without_anything_it_is_a_comfyui_on_this_machine(tmp_path: Path) -> None:
    assert urls(load_config({}, tmp_path)) == ["http://127.0.0.1:8188"]


def test_the_command_line_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text('[[servers]]\nurl = "http://file"\n')
    (tmp_path / ".env").write_text("# a comment\nexport COMFYUI_URL='http://dotenv'\n")
    environ = {"COMFYUI_URL": "http://one, https://two/comfy/"}
    assert urls(load_config(environ, tmp_path, servers=["http://told"])) == ["http://told"]
    assert urls(load_config(environ, tmp_path)) == ["http://one", "https://two/comfy"]
    assert urls(load_config({}, tmp_path)) == ["http://dotenv"]
    (tmp_path / ".env").unlink()
    assert urls(load_config({}, tmp_path)) == ["http://file"]


def test_a_server_that_the_file_knows_keeps_its_headers(tmp_path: Path) -> None:
    told = '[[servers]]\nname = "studio"\nurl = "http://file"\nheaders = { X-Key = "k" }\n'
    (tmp_path / "atelier.toml").write_text(told)
    for name in ("studio", "http://file", "http://file/"):
        (server,) = load_config({}, tmp_path, servers=[name]).servers
        assert (server.label, server.headers) == ("studio", {"X-Key": "k"})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("depth = 0", "depth"),
        ("dept = 2", "did you mean “depth”"),
        ("depth = ", "is not valid TOML"),
        ('[[servers]]\nurl = "ftp://x"', "is no address of a server"),
        ('[[servers]]\nuri = "http://x"', "did you mean “url”"),
        ('[[servers]]\nurl = "https://x"\nca_file = "none.pem"', "the CA file none.pem of x is not there"),
        ('[[servers]]\nurl = "http://x"\n[[servers]]\nurl = "http://x"', "Two servers are called x"),
    ],
)
def test_a_wrong_setting_is_one_sentence(content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        load_config({}, tmp_path)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ATELIER_CONFIG names nowhere"):
        load_config({"ATELIER_CONFIG": "nowhere.toml"}, tmp_path)


def test_the_token_is_never_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(load_config({"DISCORD_TOKEN": "secret"}, tmp_path))


def test_the_example_names_every_key_and_is_valid(tmp_path: Path) -> None:
    example = (ROOT / "atelier.example.toml").read_text()
    content = tomllib.loads(example)
    assert content.keys() == {"servers", "data", "workflows", "depth", "discord"}
    assert content["servers"][0].keys() == set(Server.__struct_fields__)
    assert content["discord"].keys() == set(Discord.__struct_fields__)
    (tmp_path / "atelier.toml").write_text(example)
    assert load_config({}, tmp_path).depth == 2
