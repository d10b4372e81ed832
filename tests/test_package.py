"""The program as a package: what a wheel has, and that it works in an environment of its own, from any folder.

Nothing is downloaded: an environment finds the dependencies, and what builds the wheel, where these tests have them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import anyio
import pytest

from app import __version__
from app.config.installation import PACKAGED, included_workflows
from tests.discord.fake import running

ROOT = Path(__file__).parent.parent

WHEEL = f"atelier_bot-{__version__}-py3-none-any.whl"
ARCHIVE = f"atelier_bot-{__version__}.tar.gz"

NEEDS_GIT = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

UV = os.environ.get("UV") or shutil.which("uv")
"""Where uv is, None if it is not installed: then pip installs the program, which takes ten times as long."""

PATIENCE = 60.0
"""Seconds for anything that a test waits for."""


def build(kind: str, source: Path, target: Path) -> Path:
    """Build a "wheel" or an "sdist" of a folder, as pip and uv do; the file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return target / (WHEEL if kind == "wheel" else ARCHIVE)


def files_of(wheel: Path) -> dict[str, bytes]:
    """What a wheel installs, without what describes the package itself."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.startswith("atelier_bot-")}


@NEEDS_GIT
def test_a_wheel_has_the_program_and_the_workflows_that_git_tracks(tmp_path: Path) -> None:
    content = files_of(build("wheel", ROOT, tmp_path))
    listed = subprocess.run(["git", "ls-files", "-z", "app", "workflows"], cwd=ROOT, capture_output=True, check=True)
    tracked = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    expected = {name.replace("workflows/", f"app/{PACKAGED}/", 1) if name[:3] != "app" else name for name in tracked}
    assert expected <= content.keys()
    workflows = {name for name in content if name.startswith(f"app/{PACKAGED}/")}
    assert workflows <= expected
    assert f"app/{PACKAGED}/txt2img/manifest.toml" in workflows
    assert {name for name in content if not name.startswith("app/")} == set()
    with zipfile.ZipFile(tmp_path / WHEEL) as archive:
        entry_points = archive.read(f"atelier_bot-{__version__}.dist-info/entry_points.txt").decode()
    assert "atelier = app.__main__:main" in entry_points


def test_a_source_archive_builds_the_same_wheel(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / ARCHIVE.removesuffix(".tar.gz"), tmp_path / "again")
    assert files_of(again) == files_of(build("wheel", ROOT, tmp_path))


@NEEDS_GIT
@pytest.mark.parametrize("has_git", [True, False])
def test_only_tracked_workflows_are_taken_where_git_can_tell(
    has_git: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("ours.json", "mine.json", "deleted.json", ".hidden.json"):
        (tmp_path / "workflows").mkdir(exist_ok=True)
        (tmp_path / "workflows" / name).write_text("{}")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "workflows/ours.json", "workflows/deleted.json"], cwd=tmp_path, check=True)
    (tmp_path / "workflows" / "deleted.json").unlink()
    if not has_git:
        monkeypatch.setenv("PATH", "")
    names = [path.name for path in module.included_files(tmp_path)]
    assert names == (["ours.json"] if has_git else ["mine.json", "ours.json"])


def test_the_included_workflows_are_beside_the_program_or_in_its_package(tmp_path: Path) -> None:
    assert included_workflows() == ROOT / "workflows"
    assert included_workflows(tmp_path / "app") == tmp_path / "workflows"
    (tmp_path / "app" / PACKAGED).mkdir(parents=True)
    assert included_workflows(tmp_path / "app") == tmp_path / "app" / PACKAGED


class Environment:
    """An empty environment, in which the program is installed, and an empty folder to start it from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        self.bin = folder / "env" / "bin"
        options = ["--without-pip"] if UV else []
        subprocess.run([sys.executable, "-m", "venv", *options, str(folder / "env")], check=True)
        (packages,) = (folder / "env" / "lib").glob("*/site-packages")
        ours = next(path for path in sys.path if path.endswith("site-packages"))
        (packages / "dependencies.pth").write_text(f"{ours}\n")
        self._variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "UV"))}
        self._variables["XDG_DATA_HOME"] = str(folder / "share")

    def install(self, what: Path) -> None:
        """Install the program from its folder or from a wheel."""
        pip = [UV, "pip", "install", "--offline", "--python", self.bin / "python"]
        if UV is None:
            pip = [self.bin / "python", "-m", "pip", "install", "--no-index", "--disable-pip-version-check"]
        subprocess.run([*map(str, pip), "--quiet", "--no-deps", "--no-build-isolation", str(what)], check=True)

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a program of the environment."""
        return subprocess.Popen(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder,
            env=self._variables | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str) -> str:
        """Run a program of the environment; what it prints."""
        process = self.start(*command)
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        return output


def test_the_installed_program_works_in_any_folder(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install(ROOT)
    assert environment.run("atelier", "--help").startswith("Usage: atelier ")
    (environment.folder / "workflows").mkdir()
    shutil.copytree(ROOT / "workflows" / "upscale", environment.folder / "workflows" / "mine")
    names = [line.split()[0] for line in environment.run("atelier", "workflows", "list").splitlines()[1:]]
    assert names == ["mine", *sorted(path.name for path in (ROOT / "workflows").iterdir() if path.is_dir())]
    simulator = environment.start("atelier", "simulate", "--port", "0", "--step-time", "0")
    assert simulator.stdout is not None
    address = simulator.stdout.readline().split()[-1]
    environment.run("atelier", "generate", "txt2img", "prompt=a fox", "steps=1", "--server", address)
    assert [path.suffix for path in (environment.folder / "out").iterdir()] == [".png"]
    simulator.terminate()
    simulator.communicate(timeout=PATIENCE)


def test_the_bot_runs_from_a_wheel_and_keeps_its_data_where_the_system_wants_it(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install(build("wheel", ROOT, tmp_path))
    with running() as discord:
        places = {"DISCORD_TOKEN": discord.token, "DISCORD_REST_URL": discord.rest_url}
        bot = environment.start("atelier", COMFYUI_URL="http://127.0.0.1:9", **places)
        anyio.run(discord.until, lambda: bool(discord.state.commands.of[None]), PATIENCE)
        commands = {str(command["name"]) for command in discord.state.commands.of[None]}
        assert {"txt2img", "remix", "film"} <= commands
        bot.send_signal(signal.SIGTERM)
        _, errors = bot.communicate(timeout=PATIENCE)
    assert bot.returncode == 0, errors
    data = tmp_path / "share" / "atelier"
    assert [path.name for path in data.glob("*.db")] == ["atelier.db"]
    modes = {path.name: path.stat().st_mode & 0o077 for path in data.rglob("*")}
    assert set(modes.values()) == {0}, "nobody else may read what people asked for"
