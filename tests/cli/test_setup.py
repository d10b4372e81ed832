"""`python -m app setup`: asks, checks with Discord and the servers, and writes two files."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from app.cli import setup
from app.cli.main import main
from app.cli.setup import Terminal
from app.config.load import load_config
from tests.comfy.peers import closed_port
from tests.discord.fake import APPLICATION, FakeDiscord, running
from tests.process.bot import comfyui

PERMISSIONS = 274878008320
"""The number in the README's link."""


@pytest.fixture
def discord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDiscord]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMFYUI_URL", raising=False)
    monkeypatch.setattr(setup, "USUAL", (f"http://127.0.0.1:{closed_port()}",))
    with running() as fake:
        monkeypatch.setenv("DISCORD_TOKEN", fake.token)
        monkeypatch.setenv("DISCORD_REST_URL", fake.rest_url)
        yield fake


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let a person answer so at the terminal; the questions that they were asked."""
    questions: list[str] = []
    left = list(answers)

    def ask(question: str) -> str:
        questions.append(question)
        return left.pop(0)

    monkeypatch.setattr(setup, "this_terminal", lambda: Terminal(ask, ask))
    return questions


def test_without_a_terminal_options_are_enough(
    discord: FakeDiscord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = f"http://127.0.0.1:{closed_port()}"
    assert main(["setup", "--server", nobody, "--server", "https://studio.example/comfy/"]) == 0
    output = capsys.readouterr().out
    link = f"client_id={APPLICATION}&scope=bot+applications.commands&permissions={PERMISSIONS}"
    assert f"  https://discord.com/oauth2/authorize?{link}\n" in output
    assert f"It was invited to {discord.guild.name}." in output
    assert f"{nobody}: no ComfyUI answers yet" in output
    assert discord.token not in output
    config = load_config({}, tmp_path)
    assert [server.url for server in config.servers] == [nobody, "https://studio.example/comfy"]
    assert config.discord_token == discord.token
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (".env", "atelier.toml")}
    assert modes == {0o600}


def test_a_comfyui_on_this_machine_is_looked_for(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play() -> str:
        async with comfyui(tmp_path) as (_, address):
            monkeypatch.setattr(setup, "USUAL", (f"http://127.0.0.1:{closed_port()}", address))
            assert await to_thread.run_sync(main, ["setup", "--backend", "asyncio"]) == 0
            return address

    address = anyio.run(play)
    assert f"{address}: ComfyUI " in capsys.readouterr().out
    assert [server.url for server in load_config({}, tmp_path).servers] == [address]


def test_a_dry_run_writes_nothing_and_hides_the_token(
    discord: FakeDiscord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["setup", "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert 'url = "http://127.0.0.1:8188"' in output
    assert "DISCORD_TOKEN=(the token)" in output
    assert discord.token not in output
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_without_being_asked_for(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("# mine\nexport DISCORD_TOKEN='old'\nATELIER_DATA=kept\n")
    (tmp_path / "atelier.toml").write_text("depth = 3\n")
    assert main(["setup"]) == 2
    assert "atelier.toml and .env would be changed: add --overwrite" in capsys.readouterr().err
    questions = answering(monkeypatch, "", "n", "yes")
    assert main(["setup"]) == 0
    assert [question.split()[0] for question in questions] == ["Addresses", "Change", "Change"]
    assert (tmp_path / "atelier.toml").read_text() == "depth = 3\n"
    assert (tmp_path / ".env").read_text() == f"# mine\nDISCORD_TOKEN={discord.token}\nATELIER_DATA=kept\n"
    monkeypatch.setattr(setup, "this_terminal", lambda: None)
    assert main(["setup", "--overwrite"]) == 0
    assert "stays as it is" in capsys.readouterr().out
    assert "[[servers]]" in (tmp_path / "atelier.toml").read_text()


def test_a_person_is_asked_again_until_the_answers_are_right(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISCORD_TOKEN")
    wrong = discord.token[:-4] + "bbbb"
    address = f"http://127.0.0.1:{closed_port()}"
    questions = answering(monkeypatch, wrong, "nonsense", discord.token, "ftp://x", f"{address}, {address}/")
    assert main(["setup"]) == 0
    captured = capsys.readouterr()
    refused, malformed = captured.err.splitlines()
    assert refused.startswith("atelier: Discord does not accept the token: copy it")
    assert malformed.startswith("atelier: DISCORD_TOKEN is not a bot's token: copy it")
    assert "“ftp://x” is not the address of a server" in captured.out
    assert len(questions) == 5
    assert [server.url for server in load_config({}, tmp_path).servers] == [address]


def test_a_token_that_discord_refuses_is_one_sentence(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", discord.token[:-4] + "bbbb")
    assert main(["setup"]) == 1
    assert capsys.readouterr().err.startswith("atelier: Discord does not accept the token")
    monkeypatch.delenv("DISCORD_TOKEN")
    assert main(["setup"]) == 2
    assert "there is no token: set DISCORD_TOKEN" in capsys.readouterr().err
    discord.fail("GET", "/applications/@me", status=400, times=None)
    assert main(["setup", "--token", discord.token]) == 1
    assert capsys.readouterr().err == "atelier: Discord answered with status 400.\n"
    assert list(tmp_path.iterdir()) == []
