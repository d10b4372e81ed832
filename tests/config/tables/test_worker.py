"""The tables `[engine]` and `[worker]`, and what replaces them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.work import allowed, labelled, takes_jobs
from app.config.load import load_config, reload_config
from app.config.settings import DEFAULT_URL, Server, Worker
from app.config.toml_table import ConfigError

ENGINE = '[engine]\nurl = "valkey://engine.example:7000/2"\n'


def test_a_bot_with_an_engine_needs_no_server_of_its_own_but_a_worker_does(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(ENGINE)
    config = load_config({"ATELIER_ENGINE_PASSWORD": "secret"}, tmp_path)
    assert config.servers == ()
    assert config.engine is not None
    assert (config.engine.address, config.engine.password) == ("valkey://engine.example:7000/2", "secret")
    assert [server.url for server in load_config({}, tmp_path, worker="").servers] == [DEFAULT_URL]
    assert [server.url for server in load_config({}, tmp_path / "other").servers] == [DEFAULT_URL]


def test_a_front_with_an_engine_of_the_command_line_has_no_other_servers_after_it_loads_its_settings_again(
    tmp_path: Path,
) -> None:
    config = load_config({}, tmp_path, engine="valkey://[::1]:7000/2")
    assert config.servers == reload_config(config, {}, tmp_path).servers == ()


def test_the_command_line_is_stronger_than_the_environment_and_that_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(f'{ENGINE}[worker]\nname = "attic"\nworkflows = ["a"]\nhours = "22:30-8"\n')
    config = load_config({"ATELIER_ENGINE": "redis://there"}, tmp_path, worker="cellar")
    assert config.engine is not None
    assert config.engine.host == "there"
    assert config.worker == Worker(name="cellar", workflows=("a",), hours=(22 * 60 + 30, 8 * 60))
    assert (engine := load_config({"ATELIER_ENGINE": "redis://there"}, tmp_path, engine="redis://here").engine)
    assert engine.host == "here"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[engine]\nurl = "http://host"', "“http://host” is not an engine's address: write valkey://host:6379"),
        ('[engine]\nurl = "valkey://me:secret@host/x"', "“valkey://host/x” has more than the number of a database"),
        ('[engine]\nhost = "a"', "host"),
        ('[worker]\nname = "My PC"', "a worker cannot be called “My PC”: use small letters"),
        ('[worker]\nhours = "at night"', "“at night” is not a part of the day: write “22-8”"),
        ("[worker]\nworkflows = [1]", 'must be names of workflows, such as ["txt2img"].'),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_says_what_to_write(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "atelier.toml").write_text(content)
    with pytest.raises(ConfigError) as error:
        load_config({}, tmp_path)
    assert problem in str(error.value)
    assert "secret" not in str(error.value)


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--engine: “nothing” is not an engine's address"):
        load_config({}, tmp_path, engine="nothing")
    with pytest.raises(ConfigError, match="--name: a worker cannot be called “A”"):
        load_config({}, tmp_path, worker="A")


def test_the_servers_of_a_worker_have_labels_only_if_there_are_several() -> None:
    one, other = Server(url="http://localhost:1", name="big"), Server(url="http://localhost:2", name="small")
    assert labelled((one,)) == {"": one}
    assert labelled((one, other)) == {"big": one, "small": other}
    unnamed = Server(url="http://localhost:3")
    assert labelled((one, unnamed)) == {"gpu1": one, "gpu2": unnamed}


def test_a_worker_allows_what_both_it_and_its_server_allow() -> None:
    open_server, narrow = Server(url="http://a"), Server(url="http://a", workflows=("a", "b"))
    assert allowed(Worker(), open_server) is None
    assert allowed(Worker(), narrow) == ("a", "b")
    assert allowed(Worker(workflows=("b", "c")), open_server) == ("b", "c")
    assert allowed(Worker(workflows=("b", "c")), narrow) == ("b",)


@pytest.mark.parametrize(
    ("hours", "minutes"),
    [(None, {0, 720, 1439}), ((480, 1080), {480, 720, 1079}), ((1320, 480), {1320, 1439, 0, 479})],
)
def test_hours_may_pass_midnight(hours: tuple[int, int] | None, minutes: set[int]) -> None:
    worker = Worker(hours=hours)
    assert {minute for minute in (0, 479, 480, 720, 1079, 1080, 1320, 1439) if takes_jobs(worker, minute)} == (
        minutes if hours is not None else {0, 479, 480, 720, 1079, 1080, 1320, 1439}
    )
