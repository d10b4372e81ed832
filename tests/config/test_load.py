"""Settings: where they come from, which is stronger, and what is said of a wrong one."""

from __future__ import annotations

import errno
import inspect
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import trustme
from platformdirs import user_data_path

from app.config.installation import default_data
from app.config.load import KEYS, load_config
from app.config.settings import (
    BUTTONS,
    AlertTargets,
    Allowed,
    BackupSettings,
    Budget,
    Config,
    DefaultModels,
    Discord,
    Http,
    Limits,
    Log,
    Power,
    Preset,
    Retention,
    RoleLimits,
    Server,
)
from app.config.toml_table import ConfigError
from app.text_file import line_of
from app.workflows.task import TASKS

ROOT = Path(__file__).parents[2]


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
    content = '[[servers]]\nname = "studio"\nurl = "http://file"\nheaders = { X-Key = "k" }\n'
    (tmp_path / "atelier.toml").write_text(content)
    for name in ("studio", "http://file", "http://file/"):
        (server,) = load_config({}, tmp_path, servers=[name]).servers
        assert (server.label, server.headers) == ("studio", {"X-Key": "k"})


SERVER = '[[servers]]\nurl = "http://x"\n'
COMMANDS = "start_command = ['on']\nstop_command = ['off']\n"

WRONG = {
    "depth = 0": "line 1: “depth” must be a whole number between 1 and 16.",
    "depth = 17": "line 1: “depth” must be a whole number between 1 and 16.",
    "depth = 2.0": "line 1: “depth” must be a whole number between 1 and 16.",
    "depth = true": "line 1: “depth” must be a whole number between 1 and 16.",
    "depth = '2'": "line 1: “depth” must be a whole number between 1 and 16.",
    f"depth = {'9' * 5000}": "line 1: a number in it is too long.",
    "# one\n\ndept = 2": "line 3: there is no key “dept”: did you mean “depth”?",
    "qqq = 2": "line 1: there is no key “qqq”: remove it, or write one of servers, data",
    "included_workflows = 'no'": "line 1: “included_workflows” must be true or false, without quotes.",
    "data = 1": "line 1: “data” must be a text in double quotes.",
    "data = ''": "line 1: “data” must not be empty",
    'data = "a\\u0000b"': "line 1: “data” must be on one line, without control characters.",
    'workflows = "a\\nb"': "line 1: “workflows” must be on one line",
    "depth = ": "line 1: this value is not valid",
    "\ndepth": "line 2: this is not valid TOML",
    "depth = 1\ndepth = 2\n\ndata = 'x'": "line 2: this key or table is here twice",
    "[discord]\n[discord]": "line 2: this key or table is here twice",
    "depth = 2\ndata = 'x": "line 2: a text does not end here",
    'data = "C:\\data"': "line 1: double each backslash",
    "data = 'a\0b'": "line 1: there is a control character",
    "guilds = [1\n2]": "line 2: a list or table does not end",
    "x = " + "[" * 5000: "its lists and tables are nested too deeply",
    '[[servers]]\nurl = "ftp://x"': "line 2: “ftp://x” is not the address of a server: write http://host:8188.",
    '[[servers]]\nurl = "http://x:0"': "line 2: “http://x:0” is not the address",
    '[[servers]]\nurl = "http://x:99999"': "line 2: “http://x:99999” is not the address",
    '[[servers]]\nurl = "http://x:port"': "line 2: “http://x:port” is not the address",
    '[[servers]]\nurl = "http://[::1"': "line 2: “http://[::1” is not the address",
    '[[servers]]\nurl = "http://a b"': "line 2: “http://a b” is not the address",
    '[[servers]]\nurl = "http://a\\tb"': "line 2: “url” must be on one line",
    '[[servers]]\nurl = "http://a..b"': "line 2: “http://a..b” is not the address",
    '[[servers]]\nurl = "http://me:secret@"': "line 2: “http://me@” is not the address",
    '[[servers]]\nurl = "http://x/?a=b"': "line 2: “http://x/?a=b” must not have a ? or #",
    "[[servers]]\nname = 'x'": "line 1: this server needs an address",
    '[[servers]]\nuri = "http://x"': "line 2: there is no key “uri”: did you mean “url”?",
    f"{SERVER}verify = 1": "line 3: “verify” must be true or false, without quotes.",
    f"{SERVER}name = '{'x' * 129}'": "line 3: “name” must have at most 128 characters.",
    f"{SERVER}headers = 'x'": "line 3: “headers” must be a table",
    f"{SERVER}headers = {{ X = 1 }}": "line 3: the header “X” must be a text in double quotes.",
    f"{SERVER}[servers.headers]\nX = 'ü'": "line 4: the header “X” may have only ASCII characters, on one line.",
    f'{SERVER}[servers.headers]\nX = "a\\nb"': "line 4: the header “X” may have only ASCII characters",
    f'{SERVER}[servers.headers]\n"ü" = "x"': "line 4: “ü” is not a header's name",
    f'{SERVER}[servers.headers]\nContent-Length = "1"': "line 4: “Content-Length” is set with each request: remove it.",
    f'{SERVER}[servers.headers]\nA = "1"\na = "1"': "line 5: the header “a” is here twice",
    f'{SERVER}ca_file = "none.pem"': "line 3: the CA file none.pem is not there.",
    f'{SERVER}ca_file = "atelier.toml"': "line 3: atelier.toml holds no certificate in PEM form.",
    f'{SERVER}ca_file = "."': "line 3: .: this is a folder",
    f"{SERVER}weight = 0": "line 3: “weight” must be a number greater than 0.",
    f"{SERVER}weight = -1.5": "line 3: “weight” must be a number greater than 0.",
    f"{SERVER}weight = true": "line 3: “weight” must be a number greater than 0.",
    f"{SERVER}weight = '2'": "line 3: “weight” must be a number greater than 0.",
    f"{SERVER}weight = inf": "line 3: “weight” must be a number greater than 0.",
    f"{SERVER}weight = nan": "line 3: “weight” must be a number greater than 0.",
    f"{SERVER}weight = {'9' * 400}": "line 3: “weight” must be a smaller number.",
    f"{SERVER}workflows = 'txt2img'": "line 3: “workflows” must be a list in square brackets.",
    f'{SERVER}workflows = ["txt2img", 1]': 'line 3: “workflows” must be names of workflows, such as ["txt2img"].',
    f"{SERVER}workflows = ['']": "line 3: “workflows” must be names of workflows",
    f"{SERVER}previews = 'on'": "line 3: “previews” cannot be “on”: write one of latent2rgb, taesd, off, server.",
    f"{SERVER}start_command = ['on']": "line 3: “start_command” needs “stop_command” as well: add it, or remove",
    f"{SERVER}idle_minutes = 5": "line 3: “idle_minutes” needs “start_command” as well: add it, or remove this line.",
    f"{SERVER}stop_command = ['off']\nstart_command = 'on now'": (
        'line 4: “start_command” must be a list of a program and its arguments, such as ["wakeonlan", '
    ),
    f"{SERVER}stop_command = ['off']\nstart_command = []": "line 4: “start_command” must be a list of a program",
    f"{SERVER}stop_command = ['off']\nstart_command = [' ']": "line 4: “start_command” must begin with the name of a",
    f"{SERVER}stop_command = ['off']\nstart_command = ['on', 1]": "line 4: each part of “start_command” must be a text",
    f'{SERVER}stop_command = ["off"]\nstart_command = ["on", "\\u0000"]': "line 4: “\ufffd” has a character that no",
    f"{SERVER}{COMMANDS}idle_minutes = 0": "“idle_minutes” must be a whole number between 1 and 1440.",
    f"{SERVER}{COMMANDS}start_seconds = 1.5": "“start_seconds” must be a whole number between 1 and 3600.",
    f"{SERVER}{COMMANDS}most_hours_per_day = 25": "“most_hours_per_day” must be a whole number between 0 and 24.",
    f"{SERVER}{COMMANDS}stop_if_started_by_hand = 1": "“stop_if_started_by_hand” must be true or false",
    f"{SERVER}previews = true": "line 3: “previews” must be a text in double quotes.",
    "servers = 3": "line 1: “servers” must be tables: write [[servers]] above",
    "servers = [3]": "line 1: “servers” must be tables",
    f"{SERVER}{SERVER}": "line 4: this is the same server as in line 2: remove one of them.",
    f'{SERVER}name = "a"\n[[servers]]\nurl = "http://y"\nname = "a"': "line 6: two servers are called a",
    "discord = 1": "line 1: “discord” must be a table: write [discord] above its keys.",
    "[discord]\nguilds = [1.5]": "line 2: “guilds” must be ids of servers",
    "[discord]\nguilds = [true]": "line 2: “guilds” must be ids of servers",
    "[discord]\nguilds = [0]": "line 2: “guilds” must be ids of servers",
    "[discord]\nguilds = 5": "line 2: “guilds” must be a list in square brackets.",
    "[discord]\nguarded = ['canceled']": "line 2: “guarded” cannot have “canceled”: did you mean “cancel”?",
    "[discord]\nguarded = [1]": "line 2: “guarded” cannot have “1”: write some of cancel, delete",
    "[discord]\nkeep_days = -1": "line 2: “keep_days” must be a whole number between 0 and 36500.",
    "[discord]\nkeep_days = 99999999": "line 2: “keep_days” must be a whole number",
    "[discord]\nkeep_days = 3\n[retention]\nfiles = 3": "line 2: remove “keep_days”: “files” in [retention] is its new",
    "[discord]\nkeep_metadata = 'no'": "line 2: “keep_metadata” must be true or false",
    "[discord]\nmark_results = 'no'": "line 2: “mark_results” must be true or false",
    "[discord]\nnotify = 'email'": "line 2: “notify” cannot be “email”: write one of mention, dm, never, off.",
    "[discord]\nnotify = true": "line 2: “notify” must be a text in double quotes.",
    "[discord]\nnotify_after = -1": "line 2: “notify_after” must be a whole number between 0 and 86400.",
    "[discord]\nnotify_after = 'soon'": "line 2: “notify_after” must be a whole number",
    "[discord]\nshards = -1": "line 2: “shards” must be a whole number between 0 and 1000.",
    "[discord]\nuser_install = 'yes'": "line 2: “user_install” must be true or false",
    "[discord]\nuser_install = true\nguilds = [1200000000000000000]": "line 2: “user_install” works only with global",
    "[discord]\nlabel_guilds = ['here']": "line 2: “label_guilds” must be ids of servers",
    "[discord]\nrest_url = 'discord.com'": "line 2: “discord.com” is not the address of Discord",
    "[discord]\npresence = 3": "line 2: “presence” must be a text in double quotes.",
    "[discord]\nworkflow_commands = [1]": "line 2: “workflow_commands” must be names of workflows, such as",
    "[discord]\nworkflow_commands = 'flux'": "line 2: “workflow_commands” must be a list in square brackets.",
    "[tasks]\nimagin = 'flux'": "line 2: there is no key “imagin”: did you mean “imagine”?",
    "[tasks]\nimagine = 1": "line 2: “imagine” must be a text in double quotes.",
    "presets = 1": "line 1: “presets” must be a table: write [presets] above its keys.",
    "[presets]\nink = 1": "line 2: “ink” must be a table: write [presets.ink] above its keys.",
    "[presets.'My ink']": "line 1: “My ink” cannot be the name of a preset: use a-z, 0-9, - and _",
    "[presets.ink]\nsufix = 'ink'": "line 2: there is no key “sufix”: did you mean “suffix”?",
    "[presets.ink]\nformat = '2:1'": "line 2: “format” must be one of 1:1, 3:4, 4:3, 9:16, 16:9.",
    f"[presets.ink]\nsuffix = '{'x' * 1001}'": "line 2: “suffix” must have at most 1000 characters.",
    "[presets.ink.values]\nsteps = [1]": "line 2: “steps” must be a text, a number, or true or false.",
    "alerts = 1": "line 1: “alerts” must be a table: write [alerts] above its keys.",
    "[alerts]\nowners = true": "line 2: there is no key “owners”: did you mean “owner”?",
    "[alerts]\nowner = 1": "line 2: “owner” must be true or false, without quotes.",
    "[alerts]\nchannel = -1": "line 2: “channel” must be the id of a channel, such as 123456789012345678, or 0.",
    "[alerts]\nchannel = '#alerts'": "line 2: “channel” must be the id of a channel",
    "[alerts]\nchannel = false": "line 2: “channel” must be the id of a channel",
    "[alerts]\nchannel = [1]": "line 2: “channel” must be the id of a channel",
    f"[alerts]\nchannel = {2**63}": "line 2: “channel” must be the id of a channel",
    f"{SERVER}paid_nodes = 1": "line 3: “paid_nodes” must be true or false, without quotes.",
    "paid_nodes = true": "line 1: “paid_nodes” must be a table: write [paid_nodes] above its keys.",
    "[paid_nodes]\nbudget = 1": "line 2: there is no key “budget”: remove it, or write one of day, month, person_day.",
    "[paid_nodes]\nday = -1": "line 2: “day” must be between 0 and 1000000.",
    "[paid_nodes]\nmonth = nan": "line 2: “month” must be an amount in US dollars, such as 5.00.",
    "[paid_nodes]\nday = '5 $'": "line 2: “day” must be an amount in US dollars, such as 5.00.",
    "[paid_nodes]\nday = true": "line 2: “day” must be an amount in US dollars, such as 5.00.",
    "[paid_nodes]\nperson_day = 1": "line 2: “person_day” alone allows nothing: write “day” or “month” as well.",
    "[paid_nodes]\napi_key = 'secret'": (
        "line 2: the key belongs into the environment or the .env, as COMFYUI_API_KEY: move it there."
    ),
    "retention = 1": "line 1: “retention” must be a table: write [retention] above its keys.",
    "[retention]\ndays = 1": "line 2: there is no key “days”: remove it, or write one of jobs, files, size.",
    "[retention]\njobs = -1": "line 2: “jobs” must be a whole number between 0 and 36500.",
    "[retention]\nfiles = -1": "line 2: “files” must be a whole number between 0 and 36500.",
    "[retention]\nfiles = 1.5": "line 2: “files” must be a whole number",
    "[retention]\nsize = -1": "line 2: “size” must be a whole number between 0 and 1000000000.",
    "backup = 'backups'": "line 1: “backup” must be a table: write [backup] above its keys.",
    "[backup]\nfolders = 'x'": "line 2: there is no key “folders”: did you mean “folder”?",
    "[backup]\nfolder = 1": "line 2: “folder” must be a text in double quotes.",
    "[backup]\nhour = 24": "line 2: “hour” must be a whole number between 0 and 23.",
    "[backup]\nkeep = 0": "line 2: “keep” must be a whole number between 1 and 1000.",
    "limits = 1": "line 1: “limits” must be a table: write [limits] above its keys.",
    "[limits]\njob = 1": "line 2: there is no key “job”: did you mean “jobs”?",
    "[limits]\njobs = -1": "line 2: “jobs” must be a whole number between 0 and 1000000.",
    "[limits]\nseconds = 1.5": "line 2: “seconds” must be a whole number between 0 and 1000000000.",
    "[limits]\nroles = [3]": "line 2: “roles” must be tables: write [[limits.roles]] above the keys of each.",
    "[[limits.roles]]\njobs = 1": "line 1: each of “roles” needs the id of one, such as id = 123456789012345678.",
    "[[limits.roles]]\nid = '@artists'": "line 2: each of “roles” needs the id of one",
    "[[limits.channels]]\nid = -1": "line 2: each of “channels” needs the id of one",
    "[[limits.guilds]]\nid = true": "line 2: each of “guilds” needs the id of one",
    "[[limits.roles]]\nid = 1\n[[limits.roles]]\nid = '1'": "line 4: this id is in line 2 too: remove one of them.",
    "[[limits.roles]]\nid = 1\nwieght = 2": "line 3: there is no key “wieght”: did you mean “weight”?",
    "[[limits.roles]]\nid = 1\nweight = 0": "line 3: “weight” must be between 0.001 and 1000.",
    "[[limits.roles]]\nid = 1\nweight = -1.0": "line 3: “weight” must be between 0.001 and 1000.",
    "[[limits.roles]]\nid = 1\nweight = nan": "line 3: “weight” must be a number, such as 2.0.",
    "[[limits.roles]]\nid = 1\nweight = true": "line 3: “weight” must be a number, such as 2.0.",
    "[[limits.roles]]\nid = 1\njobs = -1": "line 3: “jobs” must be a whole number",
    "[[limits.channels]]\nid = 1\nweight = 2": "line 3: there is no key “weight”: remove it, or write one of id",
    "[alerts]\nwebhook = 1": "line 2: “webhook” must be a text in double quotes.",
    "[alerts]\nwebhook = 'ftp://x/secret'": "line 2: “webhook” is not an address: write https://, a host and a path",
    "[alerts]\nwebhook = 'https:///secret'": "line 2: “webhook” is not an address",
    "[alerts]\nwebhook = 'https://x/secret#y'": "line 2: “webhook” is not an address",
    "[alerts]\nwebhook = 'https://x/secret?a=ü'": "line 2: “webhook” is not an address",
    "[alerts]\nwebhook = 'https://x/ secret'": "line 2: “webhook” is not an address",
}


@pytest.mark.parametrize(("content", "sentence"), WRONG.items(), ids=[content[-40:] for content in WRONG])
def test_a_wrong_setting_is_one_sentence_with_file_and_line(
    content: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "atelier.toml").write_text(content)
    message = refused(tmp_path)
    assert message.startswith("atelier.toml")
    assert sentence in message
    assert "\n" not in message
    assert "secret" not in message
    assert len(message) < 280


def refused(folder: Path, servers: Sequence[str] = (), **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load_config(environ, folder, servers=servers)
    return str(raised.value)


@pytest.mark.parametrize("first", ["", "\ufeff"], ids=["plain", "a byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_files_are_read_as_any_editor_saves_them(first: str, end: str, tmp_path: Path) -> None:
    toml = [
        "depth = 3 # three",
        "[servers]",
        "url = ' http://Studio:8188/ '",
        "",
        "[discord]",
        "guilds = [123, ' 45 ']",
    ]
    (tmp_path / "atelier.toml").write_bytes((first + end.join(toml)).encode())
    env = ["# mine", 'export DISCORD_TOKEN="a.b-c" # not yours', "ATELIER_DATA = 'my data'", "OTHER=$HOME # x", ""]
    (tmp_path / ".env").write_bytes((first + end.join(env)).encode())
    config = load_config({}, tmp_path)
    assert (config.depth, urls(config), config.discord.guilds) == (3, ["http://studio:8188"], (123, 45))
    assert (config.discord_token, config.data) == ("a.b-c", tmp_path / "my data")


def test_other_encodings_are_reported_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_bytes("# one\n# zwölf\n".encode("latin-1"))
    assert refused(tmp_path).startswith("atelier.toml, line 2: this line is not UTF-8: save the file")
    (tmp_path / "atelier.toml").write_bytes("depth = 2".encode("utf-16"))
    assert refused(tmp_path).startswith("atelier.toml, line 1: this line is not UTF-8: save the file")


@pytest.mark.parametrize("name", ["atelier.toml", ".env"])
def test_what_is_no_readable_file_is_reported(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir()
    assert refused(tmp_path) == f"{name}: this is a folder: put a file there, or rename it."
    path.rmdir()
    path.symlink_to(path)
    assert refused(tmp_path).startswith(f"{name}: it cannot be read: Too many levels of symbolic links")
    path.unlink()
    path.symlink_to(tmp_path / "nothing")
    assert refused(tmp_path) == f"{name}: this is a link to a file that does not exist."
    path.unlink()
    os.mkfifo(path)
    assert refused(tmp_path) == f"{name}: this is not a regular file: put one there."
    path.unlink()
    path.write_bytes(b"#" * (2**20 + 1))
    assert refused(tmp_path) == f"{name}: it is larger than 1024 kB: make it smaller."


def test_a_file_that_may_not_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "atelier.toml").write_text("depth = 2")
    # The tests may run as root, who may read everything.
    monkeypatch.setattr(Path, "open", deny)
    assert refused(tmp_path) == "atelier.toml: it cannot be read: Permission denied."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("\n\nhello world\n", ".env, line 3: write NAME=value, and close every quote."),
        ("A=1\nJUST_A_NAME\n", ".env, line 2: write NAME=value, and close every quote."),
        ('A=1\nB="open\n', ".env, line 2: write NAME=value, and close every quote."),
        ("A=1\nATELIER_DTA=x", ".env, line 2: there is no variable ATELIER_DTA: did you mean ATELIER_DATA?"),
        ("\nDISCORD_TOKEN=a b", ".env, line 2: DISCORD_TOKEN is not a bot's token: copy it again, without spaces."),
        ("DISCORD_TOKEN=tökeen", ".env, line 1: DISCORD_TOKEN is not a bot's token: copy it again, without spaces."),
        ('COMFYUI_URL="http://x\\ny"', ".env, line 1: COMFYUI_URL must be on one line, without control characters."),
        ("A=1\nCOMFYUI_URL=studio", ".env, line 2: COMFYUI_URL: “studio” is not the address of a server: write http"),
        ("ATELIER_DATA=a\0b", ".env, line 1: ATELIER_DATA must be on one line, without control characters."),
        ("DISCORD_REST_URL=discord", ".env, line 1: “discord” is not the address of Discord: leave it out."),
    ],
)
def test_a_wrong_line_of_a_dotenv_is_one_sentence(
    content: str, sentence: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".env").write_text(content)
    assert refused(tmp_path).startswith(sentence)
    assert not caplog.records


def test_a_wrong_variable_of_the_environment_is_one_sentence(tmp_path: Path) -> None:
    assert refused(tmp_path, COMFYUI_URL="http://x:0").startswith("COMFYUI_URL: “http://x:0” is not the address")
    assert refused(tmp_path, COMFYUI_URL="http://me:secret@:0").startswith("COMFYUI_URL: “http://me@:0” is not")
    assert refused(tmp_path, DISCORD_TOKEN="secret\ud800") == (
        "DISCORD_TOKEN is not a bot's token: copy it again, without spaces."
    )
    assert refused(tmp_path, ATELIER_CONFIG=".") == (".: this is a folder: put a file there, or rename it.")
    assert "File name too long" in refused(tmp_path, ATELIER_CONFIG="x" * 300)
    assert len(refused(tmp_path, ATELIER_CONFIG="x" * 300)) < 120
    assert load_config({"DISCORD_TOKEN": " a.b.c\n"}, tmp_path).discord_token == "a.b.c"


SAME = [
    ("http://localhost:8188", "http://127.0.0.1:8188"),
    ("http://localhost:8188", "http://[::1]:8188/"),
    ("http://LocalHost:8188", "HTTP://127.0.0.1:8188"),
    ("http://studio", "http://STUDIO:80/"),
    ("https://studio:443/comfy/", "https://studio/comfy"),
    ("http://[0:0::1]:1", "http://[::1]:1"),
    ("http://bücher.example", "http://xn--bcher-kva.example"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_two_addresses_of_one_server_are_one_server(first: str, second: str, tmp_path: Path) -> None:
    toml = f'[[servers]]\nname = "a"\nurl = "{first}"\nheaders = {{ X = "k" }}\n'
    (tmp_path / "atelier.toml").write_text(toml)
    (server,) = load_config({}, tmp_path, servers=[second]).servers
    assert (server.label, server.headers) == ("a", {"X": "k"})
    assert "--server names a twice: remove one." in refused(tmp_path, servers=[first, second])
    assert refused(tmp_path, COMFYUI_URL=f"{first},{second}") == "COMFYUI_URL names a twice: remove one."
    (tmp_path / "atelier.toml").write_text(f'{toml}[[servers]]\nname = "b"\nurl = "{second}"\n')
    assert refused(tmp_path) == "atelier.toml, line 7: this is the same server as in line 3: remove one of them."


def test_other_ports_and_paths_are_other_servers(tmp_path: Path) -> None:
    addresses = ["http://localhost:8188", "http://127.0.0.1:8189", "http://x/a", "http://y/b"]
    assert urls(load_config({}, tmp_path, servers=addresses)) == addresses


def test_a_ca_file_is_loaded_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "atelier.toml").write_text('[[servers]]\nurl = "https://x"\nca_file = "authority.pem"\n')
    trustme.CA().cert_pem.write_to_path("authority.pem")
    assert load_config({}, tmp_path).servers[0].ca_file == str(tmp_path / "authority.pem")


def test_relative_paths_in_the_file_start_at_its_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    toml = 'data = "state"\nworkflows = "../shared"\n[[servers]]\nurl = "https://x"\nca_file = "authority.pem"\n'
    (there / "atelier.toml").write_text(toml)
    trustme.CA().cert_pem.write_to_path(str(there / "authority.pem"))
    for named in (str(there / "atelier.toml"), "../there/atelier.toml"):
        config = load_config({"ATELIER_CONFIG": named}, here)
        assert config.data.resolve() == there / "state"
        assert config.workflows.resolve() == tmp_path / "shared"
        assert Path(config.servers[0].ca_file).resolve() == there / "authority.pem"


def test_relative_paths_in_the_environment_and_the_env_file_start_at_the_current_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (there / "atelier.toml").write_text('data = "state"\n')
    (here / ".env").write_text("ATELIER_CONFIG=../there/atelier.toml\nATELIER_DATA=dotenv\n")
    assert load_config({}, here).data == here / "dotenv"
    environ = {"ATELIER_DATA": "kept", "ATELIER_WORKFLOWS": "mine"}
    config = load_config(environ, here)
    assert (config.data, config.workflows) == (here / "kept", here / "mine")


@pytest.mark.parametrize("absolute", ["/srv/atelier", "~/atelier"])
def test_absolute_paths_stay_as_they_are(absolute: str, tmp_path: Path) -> None:
    expected = Path(absolute).expanduser()
    (tmp_path / "atelier.toml").write_text(f'data = "{absolute}"\n')
    assert load_config({}, tmp_path).data == expected
    assert load_config({"ATELIER_DATA": absolute}, tmp_path).data == expected


def test_without_a_setting_the_data_is_in_the_checkout_wherever_the_bot_is_started(tmp_path: Path) -> None:
    assert load_config({}, tmp_path).data == load_config({}, ROOT).data == ROOT / "data"


@pytest.mark.parametrize("content", [None, '[project]\nname = "other"\n', "\xff"], ids=["none", "another", "broken"])
def test_outside_a_checkout_the_data_is_where_the_system_keeps_the_data_of_programs(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content.encode("latin-1"))
    assert default_data(tmp_path) == Path(user_data_path("atelier", appauthor=False))
    assert default_data(tmp_path).name == "atelier"
    assert not default_data(tmp_path).is_relative_to(ROOT)


def test_ones_own_workflows_come_before_those_of_the_program(tmp_path: Path) -> None:
    assert load_config({}, tmp_path).workflow_folders == (tmp_path / "workflows", ROOT / "workflows")
    assert load_config({"ATELIER_WORKFLOWS": "mine"}, tmp_path).workflow_folders[0] == tmp_path / "mine"
    assert load_config({}, ROOT).workflow_folders == (ROOT / "workflows",)
    (tmp_path / "atelier.toml").write_text('workflows = "own"\nincluded_workflows = false\n')
    assert load_config({}, tmp_path).workflow_folders == (tmp_path / "own",)


def test_the_folder_of_the_previous_version_started_at_the_current_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    assert load_config({}, here).former_data == here / "data"
    (there / "atelier.toml").write_text('data = "state"\n')
    assert load_config({"ATELIER_CONFIG": str(there / "atelier.toml")}, here).former_data == here / "state"
    config = load_config({"ATELIER_DATA": "kept"}, here)
    assert config.former_data == config.data == here / "kept"


def test_the_line_of_a_key_is_found_among_texts_that_look_like_keys() -> None:
    text = """# url = 1
a = \"\"\"
[[servers]]
url = 2
\"\"\"
[[servers]] # url
url = 3
[servers.headers]
"url" = 4
[[ "servers" ]]
x = [
  { url = 5 },
]
url = 6
d.url = 7
"""
    assert line_of(text, ("servers", 0, "url")) == 7
    assert line_of(text, ("servers", 0, "headers", "url")) == 9
    assert line_of(text, ("servers", 1, "url")) == 14
    assert line_of(text, ("servers", 1, "d", "url")) == 15
    assert line_of(text, ("servers", 1, "x", 0, "url")) == 11
    assert line_of(text, ("servers", 2)) == 0


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ATELIER_CONFIG names nowhere"):
        load_config({"ATELIER_CONFIG": "nowhere.toml"}, tmp_path)


def test_the_token_is_never_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(load_config({"DISCORD_TOKEN": "secret"}, tmp_path))


def test_alerts_go_nowhere_unless_a_target_is_named(tmp_path: Path) -> None:
    assert load_config({}, tmp_path).alerts == AlertTargets(owner=False, channel=0, webhook="")
    webhook = "https://discord.com/api/webhooks/1/secret?thread_id=2"
    for channel in ("123", "' 123 '"):
        toml = f'[alerts]\nowner = true\nchannel = {channel}\nwebhook = " {webhook} "\n'
        (tmp_path / "atelier.toml").write_text(toml)
        assert load_config({}, tmp_path).alerts == AlertTargets(owner=True, channel=123, webhook=webhook)


def test_the_address_of_a_webhook_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text('[alerts]\nwebhook = "https://x/secret"\n')
    config = load_config({}, tmp_path)
    assert "secret" not in f"{config!r} {config.alerts!r} {config.alerts}"


def test_the_example_names_every_key_and_is_valid(tmp_path: Path) -> None:
    example = (ROOT / "atelier.example.toml").read_text()
    content = tomllib.loads(example)
    assert content.keys() == set(KEYS)
    assert content["servers"][0].keys() == {*Server.__struct_fields__, *Power.__struct_fields__} - {"power"}
    assert content["discord"].keys() == set(Discord.__struct_fields__)
    assert content["alerts"].keys() == set(AlertTargets.__struct_fields__)
    assert content["limits"].keys() == set(Limits.__struct_fields__)
    assert content["http"].keys() == {"listen"}
    assert content["log"].keys() == set(Log.__struct_fields__)
    assert content["limits"]["roles"][0].keys() == {"id", *RoleLimits.__struct_fields__}
    assert content["paid_nodes"].keys() == set(Budget.__struct_fields__)
    for totals in ("channels", "guilds"):
        assert content["limits"][totals][0].keys() == {"id", *Allowed.__struct_fields__}
    assert content["retention"].keys() == set(Retention.__struct_fields__)
    assert content["backup"].keys() == set(BackupSettings.__struct_fields__)
    (tmp_path / "atelier.toml").write_text(example)
    assert load_config({}, tmp_path).depth == 2


@pytest.mark.parametrize("key", ["secret key", "secret\\key", "secretö"])
def test_a_key_that_is_none_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    sentence = "COMFYUI_API_KEY is not a key of platform.comfy.org: copy it again, without spaces."
    assert refused(tmp_path, COMFYUI_API_KEY=key) == sentence


def test_workflows_may_cost_money_only_with_a_key_a_budget_and_a_server_for_it(tmp_path: Path) -> None:
    studio = '[[servers]]\nname = "studio"\nurl = "http://studio"\npaid_nodes = true\n'
    cellar = '[[servers]]\nname = "cellar"\nurl = "http://cellar"\n'
    budget = "[paid_nodes]\nmonth = 20\nperson_day = 0.5\n"
    (tmp_path / "atelier.toml").write_text(studio + cellar + budget)
    assert load_config({}, tmp_path).paying_servers == frozenset()
    config = load_config({"COMFYUI_API_KEY": " secret "}, tmp_path)
    assert (config.paying_servers, config.api_key) == ({"studio"}, "secret")
    assert config.paid_nodes == Budget(month=20.0, person_day=0.5)
    assert "secret" not in repr(config)
    (tmp_path / "atelier.toml").write_text(studio + cellar)
    assert load_config({"COMFYUI_API_KEY": "secret"}, tmp_path).paying_servers == frozenset()
    (tmp_path / "atelier.toml").write_text(cellar + budget)
    (tmp_path / ".env").write_text("COMFYUI_API_KEY=secret\n")
    config = load_config({}, tmp_path)
    assert (config.pays, config.paying_servers) == (True, frozenset())


def test_without_settings_nothing_is_deleted_and_no_backup_is_made_by_itself(tmp_path: Path) -> None:
    config = load_config({"ATELIER_DATA": "data"}, tmp_path)
    assert config.retention == Retention(jobs=0, files=0, size=0)
    assert config.backup.folder is None
    assert config.backups == tmp_path / "data" / "backups"


def test_the_former_name_of_the_days_of_files_still_counts(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text("[discord]\nkeep_days = 30\n[retention]\njobs = 60\n")
    assert load_config({}, tmp_path).retention == Retention(jobs=60, files=30)


def test_backups_may_be_in_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text('[backup]\nfolder = "copies"\nhour = 0\nkeep = 30\n')
    config = load_config({}, tmp_path)
    assert config.backup == BackupSettings(folder=tmp_path / "copies", hour=0, keep=30)
    assert config.backups == tmp_path / "copies"


def test_without_limits_a_person_may_have_a_hundred_jobs(tmp_path: Path) -> None:
    assert load_config({}, tmp_path).limits == Limits(jobs=100, seconds=0)


def test_a_role_gets_what_everybody_gets_unless_it_says_otherwise(tmp_path: Path) -> None:
    roles = '[[limits.roles]]\nid = "11"\nweight = 2\n[[limits.roles]]\nid = 12\njobs = 0\nseconds = 9\n'
    totals = "[[limits.channels]]\nid = 13\njobs = 4\n[[limits.guilds]]\nid = 14\nseconds = 5\n"
    (tmp_path / "atelier.toml").write_text(f"[limits]\njobs = 3\nseconds = 60\n{roles}{totals}")
    limits = load_config({}, tmp_path).limits
    assert (limits.jobs, limits.seconds) == (3, 60)
    assert limits.roles == {
        "11": RoleLimits(jobs=3, seconds=60, weight=2.0),
        "12": RoleLimits(jobs=0, seconds=9, weight=1.0),
    }
    assert limits.channels == {"13": Allowed(jobs=4)}
    assert limits.guilds == {"14": Allowed(seconds=5)}


def test_a_server_may_have_a_failover_of_its_own(tmp_path: Path) -> None:
    servers = '[[servers]]\nurl = "http://one"\nfailover_after = 300\n[[servers]]\nurl = "http://two"\n'
    (tmp_path / "atelier.toml").write_text(f"failover_after = 30\nlargest_result = 5\n{servers}")
    config = load_config({}, tmp_path)
    assert [config.failover_of(server) for server in config.servers] == [300, 30]
    assert config.largest_result == 5
    assert load_config({}, tmp_path / "elsewhere").failover_of(Server(url="http://one")) == 60


def test_a_server_may_have_a_weight_and_run_only_some_workflows(tmp_path: Path) -> None:
    servers = [
        'url = "http://one"\nweight = 3\nworkflows = ["txt2img", " upscale", "txt2img"]\n',
        'url = "http://two"\nweight = 0.5\nworkflows = []\n',
        'url = "http://three"\n',
    ]
    (tmp_path / "atelier.toml").write_text("".join(f"[[servers]]\n{server}" for server in servers))
    config = load_config({}, tmp_path)
    assert [server.weight for server in config.servers] == [3, 0.5, 1]
    assert [server.workflows for server in config.servers] == [("txt2img", "upscale"), (), None]


def test_a_server_may_be_started_and_stopped_by_commands(tmp_path: Path) -> None:
    commands = ('start_command = ["./on", "a b"]', 'stop_command = ["ssh", "cloud"]')
    (tmp_path / "atelier.toml").write_text("\n".join([SERVER, *commands, "idle_minutes = 3", "most_hours_per_day = 8"]))
    (server,) = load_config({}, tmp_path).servers
    start, stop = (str(tmp_path / "on"), "a b"), ("ssh", "cloud")
    assert server.power == Power(start_command=start, stop_command=stop, idle_minutes=3, most_hours_per_day=8)
    (tmp_path / "atelier.toml").write_text(SERVER)
    assert load_config({}, tmp_path).servers[0].power is None


def test_a_server_may_have_previews_of_another_kind(tmp_path: Path) -> None:
    servers = ['url = "http://one"\npreviews = "off"\n', 'url = "http://two"\n']
    (tmp_path / "atelier.toml").write_text("".join(f"[[servers]]\n{server}" for server in servers))
    assert [server.previews for server in load_config({}, tmp_path).servers] == ["off", "latent2rgb"]


@pytest.mark.parametrize("seconds", ["4", "86401", "1.5", '"60"', "true"])
def test_a_failover_is_a_number_of_seconds(seconds: str, tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(f"failover_after = {seconds}\n")
    with pytest.raises(ConfigError, match=r"line 1.*“failover_after” must be a whole number between 5 and 86400"):
        load_config({}, tmp_path)


COMMENTED = re.compile(r"# (?P<setting>(?P<key>\w+) = .+)")


def alternatives() -> list[tuple[int, str]]:
    """The settings that the example shows in comments, each with its line."""
    lines = (ROOT / "atelier.example.toml").read_text().splitlines()
    return [(number, match["setting"]) for number, line in enumerate(lines) if (match := COMMENTED.fullmatch(line))]


@pytest.mark.parametrize(("number", "setting"), alternatives(), ids=[setting for _, setting in alternatives()])
def test_every_value_that_the_example_shows_is_accepted(
    number: int, setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trustme.CA().cert_pem.write_to_path("authority.pem")
    key = setting.partition(" ")[0]
    lines = (ROOT / "atelier.example.toml").read_text().splitlines()
    before = max(index for index in range(number) if lines[index].startswith(f"{key} = "))
    lines[before], lines[number] = "", setting
    (tmp_path / "atelier.toml").write_text("\n".join(lines))
    config = load_config({}, tmp_path)
    if key == "guarded":
        assert list(config.discord.guarded) == tomllib.loads(setting)["guarded"]


def test_every_button_that_somebody_may_press_can_be_guarded() -> None:
    from app.discord.requests import job_actions, job_buttons

    source = inspect.getsource(job_actions) + inspect.getsource(job_buttons)
    verbs = set(re.findall(r'case "(\w+)":', source))
    # These only show buttons that are guarded themselves.
    assert {job_actions.SAME_GUARD.get(verb, verb) for verb in verbs} - {"more", "picture"} == set(BUTTONS)


DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


def test_every_setting_that_the_documents_show_is_accepted(tmp_path: Path) -> None:
    examples = [
        block.replace("\n    ", "\n").strip()
        for path in DOCUMENTS
        for block in re.findall(r"(?:^    .*\n)+", path.read_text(), re.MULTILINE)
        if re.search(r"^ *\[+(discord|servers|limits)\b", block, re.MULTILINE)
    ]
    assert examples
    for block in examples:
        (tmp_path / "atelier.toml").write_text(block)
        load_config({}, tmp_path)


@pytest.mark.parametrize(
    ("listen", "http"),
    [
        ("127.0.0.1:8899", Http(host="127.0.0.1", port=8899)),
        (" [::1]:0 ", Http(host="::1", port=0)),
        ("bot.example:65535", Http(host="bot.example", port=65535)),
        ("", Http()),
    ],
)
def test_the_bot_answers_where_the_file_or_the_environment_says(listen: str, http: Http, tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(f'[http]\nlisten = "{listen}"\n')
    assert load_config({}, tmp_path).http == http
    assert load_config({"ATELIER_HTTP": "127.0.0.1:1"}, tmp_path).http == Http(host="127.0.0.1", port=1)


@pytest.mark.parametrize(
    "listen", ['"8899"', "8899", '"host"', '"host:"', '"host:65536"', '"http://host:80"', '"a b:1"', "[]"]
)
def test_a_wrong_address_is_a_sentence_and_the_bot_starts(listen: str, tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(f"[http]\nlisten = {listen}\n")
    http = load_config({}, tmp_path).http
    assert http.host == ""
    assert http.problem.startswith("“listen” in [http] is “")
    assert http.problem.endswith("write a host and a port, such as 127.0.0.1:8899.")
    assert load_config({"ATELIER_HTTP": "x"}, tmp_path).http.problem.startswith("ATELIER_HTTP is “x”: ")


def test_the_log_has_two_formats(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text('[log]\nformat = "json"\n')
    assert load_config({}, tmp_path).log == Log(format="json")
    assert load_config({"ATELIER_LOG": "console"}, tmp_path).log == Log(format="console")
    with pytest.raises(ConfigError, match="ATELIER_LOG is “xml”: write one of console, json"):
        load_config({"ATELIER_LOG": "xml"}, tmp_path)
    (tmp_path / "atelier.toml").write_text('[log]\nformat = "xml"\n')
    with pytest.raises(ConfigError, match=r"line 2.*“xml” is no format of the log: write one of console, json"):
        load_config({}, tmp_path)


def test_tasks_have_models_and_presets_have_names(tmp_path: Path) -> None:
    (tmp_path / "atelier.toml").write_text(
        "[tasks]\nimagine = ' Dreamscape v1 '\n"
        "[presets.ink]\nsuffix = 'ink'\nformat = '16:9'\nvalues = { steps = 9, tile = true }\n[presets.photo]\n"
        "[discord]\nworkflow_commands = ['flux', 'flux']\n"
    )
    config = load_config({}, tmp_path)
    assert (config.tasks.of("imagine"), config.tasks.of("edit"), config.tasks.of("none")) == ("Dreamscape v1", "", "")
    assert config.presets == {
        "ink": Preset(suffix="ink", format="16:9", values={"steps": 9, "tile": True}),
        "photo": Preset(),
    }
    assert config.discord.workflow_commands == ("flux",)
    assert DefaultModels.__struct_fields__ == TASKS
