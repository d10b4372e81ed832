"""The image. Docker is not needed: the steps of its file are done in a folder and an environment of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest
import yaml
from msgspec import Struct
from rich.console import Console

from app import __version__
from app.cli.parser import parse
from app.config.variables import VARIABLES
from tests.test_package import Environment

ROOT = Path(__file__).parent.parent


class Instruction(Struct, frozen=True):
    """One instruction of a Dockerfile."""

    name: str
    text: str


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """What deploy/compose.yaml says of one service; a key that is not here is a typing mistake, or new."""

    build: str
    image: str
    restart: str
    read_only: bool
    tmpfs: list[str]
    cap_drop: list[str]
    security_opt: list[str]
    command: list[str] = []
    profiles: list[str] = []
    env_file: str = ""
    environment: dict[str, str] = {}
    extra_hosts: list[str] = []
    volumes: list[str] = []
    stop_grace_period: str = ""
    healthcheck: dict[str, bool] = {}


class Compose(Struct, frozen=True, forbid_unknown_fields=True):
    """All of deploy/compose.yaml."""

    name: str
    services: dict[str, Service]
    volumes: dict[str, None]


def instructions() -> list[Instruction]:
    """The instructions of the file, each on one line."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line]


def texts(name: str) -> list[str]:
    return [instruction.text for instruction in instructions() if instruction.name == name]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a file or folder at the top into the image."""
    patterns = (ROOT / ".dockerignore").read_text("utf-8").split()
    return any(fnmatch(path, pattern[1:]) for pattern in patterns if pattern.startswith("!"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the image copies from the repository, and nothing else."""
    folder = tmp_path_factory.mktemp("source")
    for text in texts("COPY"):
        *names, target = text.split()
        if names[0].startswith("--from"):
            continue
        for name in names:
            assert is_sent(name), f".dockerignore leaves out {name}"
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder / target)
    return folder


def test_the_program_can_be_installed_from_what_the_image_copies(source: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install(source)
    entry_point = tomllib.loads(f"value = {texts('ENTRYPOINT')[0]}")["value"]
    assert environment.run(*entry_point, "--version").strip() == f"atelier {__version__}"
    assert "txt2img" in environment.run(*entry_point, "workflows", "list")


def test_the_image_installs_the_pinned_versions(source: Path) -> None:
    (install,) = [text for text in texts("RUN") if "uv pip install" in text]
    constraints = re.findall(r"-c (\S+)", install)
    assert constraints == ["constraints-runtime.txt"]
    assert (source / constraints[0]).read_text() == (ROOT / constraints[0]).read_text()


def test_every_setting_of_the_image_is_one_that_the_program_knows() -> None:
    named = {name for text in texts("ENV") for name in re.findall(r"\b(ATELIER_\w+)=", text)}
    assert named
    assert named <= VARIABLES


def test_the_bot_runs_as_a_user_without_rights() -> None:
    (user,) = texts("USER")
    assert user not in ("root", "0")
    names = [instruction.name for instruction in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert any(f"--uid 10001 --no-create-home --home-dir /data {user}" in text for text in texts("RUN"))


def test_no_image_is_named_with_a_host() -> None:
    images = [text.split()[0] for text in texts("FROM")]
    assert images
    assert all(re.fullmatch(r"[a-z]+:[\w.${}-]+", image) for image in images)


@pytest.fixture(scope="module")
def compose() -> Compose:
    text = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), Compose)


def test_every_command_of_the_compose_file_is_one_that_the_program_has(compose: Compose) -> None:
    commands = {name: service.command for name, service in compose.services.items() if service.command}
    assert commands.keys() == {"simulator"}
    for words in commands.values():
        parse(words, Console())


def test_every_service_is_built_from_this_repository_and_has_no_rights(compose: Compose) -> None:
    assert compose.services.keys() == {"atelier", "simulator"}
    for service in compose.services.values():
        assert ((ROOT / "deploy" / service.build).resolve(), service.image) == (ROOT, "atelier")
        assert service.read_only
        # Files that the program writes outside of its data: the media workers' and SQLite's own.
        assert service.tmpfs == ["/tmp"]
        assert (service.cap_drop, service.security_opt) == (["ALL"], ["no-new-privileges:true"])
        assert service.restart == "unless-stopped"


def test_the_data_of_the_bot_is_in_a_volume_and_nothing_else_can_be_written(compose: Compose) -> None:
    mounts = [volume.split(":") for volume in compose.services["atelier"].volumes]
    writable = {target: source for source, target, *flags in mounts if flags != ["ro"]}
    assert set(writable) == set(texts("VOLUME"))
    assert set(writable.values()) == set(compose.volumes)
    # The folders that people fill are those that the image reads.
    read = {target for _, target, *flags in mounts if flags == ["ro"]}
    settings = dict(re.findall(r"\b(\w+)=(\S+)", texts("ENV")[-1]))
    assert read == {*texts("WORKDIR")[-1:], settings["ATELIER_WORKFLOWS"]}
    assert writable.keys() == {settings["ATELIER_DATA"]}


def test_the_compose_file_sets_what_the_program_reads(compose: Compose) -> None:
    bot, simulator = compose.services["atelier"], compose.services["simulator"]
    assert bot.environment.keys() <= VARIABLES | {"COMFYUI_URL"}
    assert bot.env_file == ".env"
    # Only the bot is started unless the profile is named.
    assert (bot.profiles, simulator.profiles) == ([], ["simulator"])


def test_the_health_check_asks_the_port_that_the_image_opens(compose: Compose) -> None:
    (check,) = texts("HEALTHCHECK")
    settings = dict(re.findall(r"\b(\w+)=(\S+)", texts("ENV")[-1]))
    assert f"http://{settings['ATELIER_HTTP']}/healthz" in check
    # The simulator has no such port.
    assert compose.services["simulator"].healthcheck == {"disable": True}
    assert compose.services["atelier"].healthcheck == {}


def test_docker_builds_and_runs_the_image() -> None:
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no Docker daemon answers")
    subprocess.run(["docker", "build", "-t", "atelier-test", str(ROOT)], check=True, timeout=250)
    run = ["docker", "run", "--rm", "--read-only", "atelier-test"]
    shown = subprocess.run([*run, "--version"], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == f"atelier {__version__}"
    listed = subprocess.run([*run, "workflows", "list"], check=True, capture_output=True, text=True).stdout
    assert "txt2img" in listed
