"""What `check`, or `doctor`, says of Discord, the clock, the disk and the journal: one sentence for each problem."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from app.backup.layout import FORMAT, LIST, Contents, FileEntry
from app.cli.check.doctor import examine
from app.cli.main import main
from app.cli.workflows.commands import Verdict
from app.config.settings import BackupSettings, Config, Discord, Http, Page, Server
from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import JournalError
from app.discord.gateway import account
from app.events import JobId
from app.journal.opening import instance_lock, open_store
from tests.discord.fake import FakeDiscord, Guild, Payload, running, world
from tests.discord.fake.world import ATTACH_FILES, MEMBER, SEND_IN_THREADS


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    with running() as fake:
        yield fake


def config_of(discord: FakeDiscord, folder: Path) -> Config:
    servers = (Server(url="http://127.0.0.1:9"),)
    settings = Discord(rest_url=discord.rest_url)
    return Config(servers=servers, data=folder, workflows=folder, discord_token=discord.token, discord=settings)


async def verdicts(config: Config, journal: Path | JournalError | None = None) -> dict[str, Verdict]:
    """What is said, by name."""
    lines = await examine(config, journal or config.data / "atelier.db")
    return {name: (good, name, details) for good, name, details in lines}


async def test_where_all_is_well_each_thing_has_one_line(discord: FakeDiscord, tmp_path: Path) -> None:
    lines = await verdicts(config_of(discord, tmp_path))
    assert lines["Discord"] == (True, "Discord", f"atelier, in {discord.guild.name}")
    assert lines["clock"] == (True, "clock", "as Discord's")
    assert lines["disk"][2].endswith(f" GB free for {tmp_path}")
    assert lines["journal"] == (None, "journal", "none yet: the bot has not run here")
    assert discord.token not in str(lines)


async def test_a_token_that_is_missing_or_refused_is_one_sentence(discord: FakeDiscord, tmp_path: Path) -> None:
    config = config_of(discord, tmp_path)
    missing = await verdicts(replace(config, discord_token=""))
    assert missing["Discord"][0] is None
    assert "setup" in missing["Discord"][2]
    refused = await verdicts(replace(config, discord_token=discord.token[:-4] + "bbbb"))
    assert refused["Discord"][0] is False
    assert refused["Discord"][2].startswith("Discord does not accept the token")


@pytest.mark.parametrize(
    ("page", "http", "expected"),
    [
        (Page(enabled=True, problem="[page] needs “url”: write it."), Http(), (False, "page", "[page] needs “url”")),
        (Page(enabled=True), Http(host="127.0.0.1", port=8899), (True, "page", "served at http://127.0.0.1:8899")),
        (Page(enabled=True), Http(host="127.0.0.1", port=8899), (None, "", "People log in only by the links of /page")),
        (
            Page(enabled=True, url="http://example.org"),
            Http(host="127.0.0.1", port=1),
            (None, "", "The page is not encrypted"),
        ),
    ],
)
async def test_a_page_that_is_configured_wrongly_is_one_sentence(
    page: Page, http: Http, expected: Verdict, tmp_path: Path
) -> None:
    config = Config(servers=(), data=tmp_path, workflows=tmp_path, page=page, http=http)
    lines = await examine(config, tmp_path / "atelier.db")
    good, name, text = expected
    assert any((line[0], line[1]) == (good, name) and line[2].startswith(text) for line in lines)
    off = await examine(replace(config, page=replace(page, enabled=False)), tmp_path / "atelier.db")
    assert "page" not in {line[1] for line in off}


async def test_missing_permissions_are_named_for_each_server(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe, allowed = world.describe_own, MEMBER & ~ATTACH_FILES & ~SEND_IN_THREADS

    def describe_own(guild: Guild) -> Payload:
        return describe(guild) | {"permissions": str(allowed)}

    monkeypatch.setattr(world, "describe_own", describe_own)
    config = config_of(discord, tmp_path)
    lines = await verdicts(replace(config, discord=replace(config.discord, guilds=(int(discord.guild.id), 123))))
    good, _, details = lines[discord.guild.name]
    assert good is False
    assert details.startswith("The bot lacks Attach Files, Send Messages In Threads: give its role")
    assert "https://discord.com/oauth2/authorize?client_id=" in details
    assert lines["guilds"] == (False, "guilds", "The bot is not in 123: invite it, or correct “guilds”.")


async def test_a_bot_that_nobody_invited_gets_the_link(discord: FakeDiscord, tmp_path: Path) -> None:
    discord.state.do(discord.state.guilds.clear)
    lines = await verdicts(config_of(discord, tmp_path))
    assert lines[""][2].startswith("The bot is in no Discord server yet: invite it with https://")


@pytest.mark.parametrize(("seconds", "direction"), [(300, "ahead"), (-300, "behind")])
async def test_a_wrong_clock_is_one_sentence(
    seconds: float, direction: str, discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls.fromtimestamp((datetime.now(tz) + timedelta(seconds=seconds)).timestamp(), tz)

    monkeypatch.setattr(account, "datetime", Clock)
    good, _, details = (await verdicts(config_of(discord, tmp_path)))["clock"]
    assert good is False
    assert f" s {direction}: let the system set it" in details
    assert Clock.now(UTC) != datetime.now(UTC)


async def test_little_space_is_a_warning_and_none_a_problem(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config_of(discord, tmp_path), discord_token="", data=tmp_path / "not" / "yet")
    usage = shutil.disk_usage(tmp_path)
    left: list[int] = []

    def disk_usage(_: Path) -> object:
        return usage._replace(free=left[-1])

    monkeypatch.setattr("app.cli.check.doctor.shutil.disk_usage", disk_usage)
    for free, good in ((2**32, True), (2**29, None), (2**20, False)):
        left.append(free)
        assert (await verdicts(config))["disk"][0] is good


async def test_the_journal_is_looked_at_and_left_as_it_is(discord: FakeDiscord, tmp_path: Path) -> None:
    config = replace(config_of(discord, tmp_path), discord_token="")
    path = tmp_path / "atelier.db"
    jobs = [Job(request=JobRequest(job=JobId(name), workflow="txt2img", graph={}, folder="out")) for name in "ab"]
    with instance_lock(path), open_store(path, clock=lambda: 1.0) as store:
        store.write([(jobs, [])])
        assert (await verdicts(config))["journal"] == (True, "journal", "2 jobs, of which 2 are unfinished")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    good, _, details = (await verdicts(config))["journal"]
    assert good is False
    assert "newer version" in details
    path.write_bytes(b"no journal" * 1000)
    assert "is damaged" in (await verdicts(config))["journal"][2]
    elsewhere = await verdicts(config, JournalError("the journal is elsewhere."))
    assert elsewhere["journal"] == (False, "journal", "the journal is elsewhere.")
    assert path.read_bytes() == b"no journal" * 1000


def test_doctor_is_another_name_of_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISCORD_TOKEN", raising=False)
    monkeypatch.setenv("COMFYUI_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ATELIER_DATA", str(tmp_path / "data"))
    outputs: list[set[str]] = []
    for command in ("check", "doctor"):
        assert main([command]) == 1
        outputs.append({line[:24] for line in capsys.readouterr().out.splitlines()})
    assert outputs[0] == outputs[1]
    assert list(tmp_path.iterdir()) == []


async def test_a_wrong_address_for_health_and_metrics_is_named(discord: FakeDiscord, tmp_path: Path) -> None:
    config = config_of(discord, tmp_path)
    problem = "ATELIER_HTTP is “x”: write a host and a port, such as 127.0.0.1:8899."
    assert (await verdicts(replace(config, http=Http(problem=problem))))["http"] == (False, "http", problem)
    assert "http" not in await verdicts(config)


def made_backup(folder: Path, name: str, made: float) -> None:
    """A backup of which only the list is there, which is all that is read."""
    entry = FileEntry("atelier.db", 0, "")
    contents = Contents(format=FORMAT, made=made, data="data", version=7, jobs=0, journal=entry, files=())
    (folder / name).mkdir(parents=True)
    (folder / name / LIST).write_bytes(msgspec.json.encode(contents))


async def test_the_age_of_the_newest_backup_is_said_if_the_bot_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, now = tmp_path / "backups", 1_700_000_000.0
    monkeypatch.setattr("app.cli.check.doctor.time.time", lambda: now)
    config = Config(servers=(), data=tmp_path, workflows=tmp_path)
    assert "backup" not in await verdicts(config)
    config = replace(config, backup=BackupSettings(folder=folder))
    good, _, details = (await verdicts(config))["backup"]
    assert (good, details.startswith(f"There is none in {folder}: look for the reason")) == (None, True)
    made_backup(folder, "atelier-20230101-040000", now - 49 * 3600)
    good, _, details = (await verdicts(config))["backup"]
    assert good is None
    assert details.startswith("The newest is 2 days old, and one is due each day: look for the reason in the bot's log")
    assert details.endswith(f"backup --to {folder}”.")
    made_backup(folder, "atelier-20230102-040000", now - 5 * 3600)
    assert (await verdicts(config))["backup"] == (True, "backup", "the newest is 5 h old")
    # What cannot be read is not the newest: it could not be restored.
    (folder / "atelier-20230103-040000").mkdir()
    (folder / "atelier-20230103-040000" / LIST).write_text("damaged")
    assert (await verdicts(config))["backup"] == (True, "backup", "the newest is 5 h old")


async def test_a_folder_of_backups_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> object:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "iterdir", refused)
    config = Config(servers=(), data=tmp_path, workflows=tmp_path, backup=BackupSettings(folder=tmp_path))
    good, _, details = (await verdicts(config))["backup"]
    assert good is False
    assert details.startswith(f"The backup folder {tmp_path} cannot be")
