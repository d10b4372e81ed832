"""What a command line means, and what somebody who mistypes one reads."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import pytest
from rich.console import Console

from app import __version__
from app.cli.arguments.commands import (
    AddWorker,
    CancelJob,
    Check,
    CheckWorkflows,
    Command,
    Demo,
    FillWorkflow,
    Generate,
    ListJobs,
    ListStuckJobs,
    ListWorkers,
    ListWorkflows,
    MakeBackup,
    NewWorkflow,
    PrintSchema,
    RestoreBackup,
    RetryJob,
    RevokeWorker,
    Run,
    ShowJob,
    ShowWorkflow,
    Simulate,
    Stats,
)
from app.cli.arguments.program import app
from app.cli.arguments.values import TaskName
from app.cli.parser import Invocation
from app.cli.parser import parse as parse_with
from app.core.jobs.job import State
from app.system.signals import command_of
from app.workflows.task import TASKS

ROOT = Path(__file__).parent.parent.parent


def parse(line: str) -> Invocation:
    return parse_with(shlex.split(line), Console())


def output_of(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command line that runs no command prints."""
    with pytest.raises(SystemExit) as stopped:
        parse(line)
    output, errors = capsys.readouterr()
    assert (stopped.value.code, errors) == (0, "")
    return output


def error_of(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence for a wrong command line."""
    with pytest.raises(SystemExit) as stopped:
        parse(line)
    output, errors = capsys.readouterr()
    assert (stopped.value.code, output, errors.count("\n")) == (2, "", 1)
    return errors.removeprefix("atelier: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Run()),
        ("--drain", Run(drain=True)),
        ("run --drain", Run(drain=True)),
        ("demo --out pictures", Demo(out=Path("pictures"))),
        ("demo --page", Demo(page=0)),
        ("demo --page 8899", Demo(page=8899)),
        ("demo --page --out pictures", Demo(out=Path("pictures"), page=0)),
        ("simulate --port 0 --seed -3", Simulate(port=0, seed=-3)),
        (
            "simulate --steps=4 --step-time=0 --previews --any-node",
            Simulate(steps=4, step_time=0, previews=True, any_node=True),
        ),
        ("check --server a --server b", Check(server=("a", "b"))),
        ("check --live 123456789012345678", Check(live=123456789012345678)),
        (
            "check --live 123456789012345678 --channel 223456789012345678 --wait 5",
            Check(live=123456789012345678, channel=223456789012345678, wait=5),
        ),
        ("jobs", ListJobs()),
        ("jobs --state running --limit 3", ListJobs(state="running", limit=3)),
        ("jobs list --json", ListJobs(json=True)),
        ("jobs --state lost list", ListJobs(state="lost")),
        ("stats", Stats()),
        ("stats --json", Stats(json=True)),
        ("backup", MakeBackup()),
        ("backup --to copies", MakeBackup(to=Path("copies"))),
        ("restore copies/a", RestoreBackup(Path("copies/a"))),
        (
            "restore --to data copies/a --skip-damaged",
            RestoreBackup(Path("copies/a"), to=Path("data"), skip_damaged=True),
        ),
        ("workers", ListWorkers()),
        ("workers list --json", ListWorkers(json=True)),
        ("workers add attic", AddWorker("attic")),
        ("workers --engine valkey://a add attic", AddWorker("attic", engine="valkey://a")),
        ("workers revoke attic", RevokeWorker("attic")),
        ("jobs stuck", ListStuckJobs()),
        ("jobs --json stuck", ListStuckJobs(json=True)),
        ("jobs --stuck", ListStuckJobs()),
        ("jobs --json --stuck", ListStuckJobs(json=True)),
        ("jobs show 3f", ShowJob("3f")),
        ("jobs --json show 3f", ShowJob("3f", json=True)),
        ("jobs retry 3f", RetryJob("3f")),
        ("jobs cancel 3f", CancelJob("3f")),
        ("workflows", ListWorkflows()),
        ("workflows list", ListWorkflows()),
        ("workflows show a --server b", ShowWorkflow("a", server=("b",))),
        ("workflows --server show show a", ShowWorkflow("a", server=("show",))),
        ("workflows new a.json", NewWorkflow(Path("a.json"))),
        ("workflows check", CheckWorkflows()),
        ("workflows check a", CheckWorkflows("a")),
        ("workflows fill a x=1 --set 3.b=c y=2", FillWorkflow("a", ("x=1", "y=2"), sets=("3.b=c",))),
        ("workflows schema", PrintSchema()),
        ("generate a --count 2 --count 3", Generate("a", count=3)),
        (
            "generate --task edit a=1 b=2 --model M --format 1:1",
            Generate("a=1", ("b=2",), task="edit", model="M", format="1:1"),
        ),
        ("generate a --timeout 1.5 --out b --json", Generate("a", timeout=1.5, out=Path("b"), json=True)),
    ],
)
def test_every_command_is_a_record_of_what_it_needs(line: str, command: Command) -> None:
    assert parse(line) == (command, "trio", False)


@pytest.mark.parametrize(
    "line",
    [
        "generate a x=1 y=-2 z=3 --count 4 --json",
        "generate --count 4 --json a x=1 y=-2 z=3",
        "generate a x=1 --count 4 y=-2 --json z=3",
        "generate a --count 4 x=1 y=-2 --json z=3",
        "generate --json a x=1 y=-2 z=3 --count=4",
    ],
)
def test_slots_may_stand_before_between_and_after_options(line: str) -> None:
    assert parse(line).command == Generate("a", ("x=1", "y=-2", "z=3"), count=4, json=True)


@pytest.mark.parametrize(
    "slot",
    ["prompt=--debug", "prompt=-x", "prompt=", 'prompt=["a"]', '{"a":1}=b', "null=null", "a b=c  d", "=", "prompt"],
)
def test_a_slot_keeps_its_value_as_it_is(slot: str) -> None:
    assert parse(f"generate a {shlex.quote(slot)} --preset null").command == Generate("a", (slot,), preset="null")


@pytest.mark.parametrize(
    ("line", "backend", "debug"),
    [
        ("--backend asyncio generate a", "asyncio", False),
        ("--backend=asyncio generate a", "asyncio", False),
        ("generate a --backend asyncio", "asyncio", False),
        ("generate --backend asyncio a", "asyncio", False),
        ("--debug generate a", "trio", True),
        ("generate a --debug", "trio", True),
        ("--debug --backend asyncio generate a", "asyncio", True),
        ("--debug generate --backend asyncio a", "asyncio", True),
    ],
)
def test_general_options_work_before_and_after_the_command(
    line: str, backend: Literal["trio", "asyncio"], *, debug: bool
) -> None:
    assert parse(line) == (Generate("a"), backend, debug)
    assert command_of(shlex.split(line)) == "generate"


@pytest.mark.parametrize("line", ["", "--debug", "--backend asyncio", "--backend=asyncio --debug", "--drain"])
def test_without_a_command_the_bot_runs(line: str) -> None:
    assert replace(parse(line).command, drain=False) == Run()  # pyright: ignore[reportCallIssue]
    assert command_of(shlex.split(line)) == "run"


def test_general_options_work_before_a_command_with_verbs() -> None:
    assert parse("--debug jobs --json --backend asyncio show 3f") == (ShowJob("3f", json=True), "asyncio", True)


def test_the_version_is_printed_with_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert output_of("--version", capsys) == f"atelier {__version__}\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


COMMANDS = [name for name in app if not name.startswith("-")]
VERBS = [
    f"{group} {name}"
    for group in ("jobs", "servers", "workers", "workflows")
    for name in app[group]
    if not name.startswith("-")
]


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = output_of("--help", capsys)
    names = (
        "run front setup demo generate simulate work workers jobs servers workflows check doctor backup restore forget"
        " stats completion"
    )
    assert set(names.split()) == set(COMMANDS)
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert text == output_of("-h", capsys)


@pytest.mark.parametrize("command", [*COMMANDS, *VERBS])
def test_every_command_has_its_own_help_without_boxes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = output_of(f"{command} --help", capsys)
    assert text.startswith(f"Usage: python -m app {command} ")
    assert "--backend" in text
    assert "--debug" in text
    assert "\n\n\n" not in text
    assert text.isascii() or set("".join(text.split())) <= {*map(chr, range(128)), "“", "”"}
    if command not in {"jobs", "servers", "workers", "workflows"}:
        assert f"\nExamples:\n  python -m app {command.removesuffix(' list')}" in text


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("genrate a", "there is no command “genrate”; did you mean “generate”?"),
        ("--debug genrate a", "there is no command “genrate”; did you mean “generate”?"),
        (
            "xyz",
            (
                "there is no command “xyz”; choose run, front, setup, demo, generate, simulate, work, workers, jobs,"
                " servers, workflows, check, doctor, backup, restore, forget, stats, completion."
            ),
        ),
        ("jobs shwo", "there is no command “jobs shwo”; did you mean “show”?"),
        ("jobs xyz", "there is no command “jobs xyz”; choose list, stuck, show, retry, cancel."),
        ("jobs show", "jobs show needs ID; see python -m app jobs show --help."),
        ("jobs list 3f", "“3f” is one argument too many; see python -m app jobs list --help."),
        ("jobs show 3f 4a", "“4a” is one argument too many; see python -m app jobs show --help."),
        ("jobs --state runing", "--state cannot be “runing”; did you mean “running”?"),
        ("workflows list --server a", "there is no option “--server”; see python -m app workflows list --help."),
        ("generate a --coutn 3", "there is no option “--coutn”; did you mean “--count”?"),
        ("generate a --debgu", "there is no option “--debgu”; did you mean “--debug”?"),
        ("generate a --workflow=b", "there is no option “--workflow”; see python -m app generate --help."),
        ("generate a --no-json", "there is no option “--no-json”; did you mean “--json”?"),
        ("generate a --count", "--count needs a value; see python -m app generate --help."),
        ("generate a --set --json", "--set needs a value; see python -m app generate --help."),
        ("generate a --backend", "--backend needs a value; see python -m app --help."),
        ("--backend gevent run", "--backend cannot be “gevent”; choose trio, asyncio."),
        ("--xyz", "there is no option “--xyz”; see python -m app run --help."),
        ("completion bsh", "SHELL cannot be “bsh”; did you mean “bash”?"),
        ("simulate --seed a", "--seed cannot be “a”; see python -m app simulate --help."),
    ],
)
def test_a_wrong_command_line_is_one_sentence_with_a_hint(
    line: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert error_of(line, capsys) == sentence


@pytest.mark.parametrize("value", ["0", "1001", "-1", "x", "1.5", "", "²", "9" * 5000])
def test_a_count_is_a_whole_number_from_1_to_1000(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = error_of(f"generate a --count={value}", capsys)
    assert sentence.startswith(f"--count: “{value}” is not a whole number between 1 and 1000;")


@pytest.mark.parametrize("value", ["65536", "-1", "http"])
def test_a_port_has_16_bits(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"--port: “{value}” is not a whole number between 0 and 65535;" in error_of(
        f"simulate --port={value}", capsys
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon"])
def test_a_timeout_is_a_number_of_seconds(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"--timeout: “{value}” is not a number of seconds;" in error_of(f"generate a --timeout={value}", capsys)


@pytest.mark.parametrize("value", ["0", "studio", "1234", "-123456789012345678", "1" * 30, "١" * 18])
@pytest.mark.parametrize("option", ["live", "channel"])
def test_a_server_is_an_id_of_discord(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = f"--{option}: “{value}” is not an id of Discord, such as 123456789012345678;"
    assert sentence in error_of(f"check --{option}={value}", capsys)


@pytest.mark.parametrize("state", State)
def test_jobs_can_be_listed_by_every_state(state: State) -> None:
    assert parse(f"jobs --state {state.name.lower()}").command == ListJobs(state=state.name.lower())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_completes_commands_and_options(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = output_of(f"completion {shell}", capsys)
    assert all(name in script for name in (*COMMANDS, "schema", "retry", "any-node", "backend", "delivered"))
    assert "__complete" in script


@pytest.mark.parametrize("command", ["generate", "workflows show", "workflows check", "workflows fill"])
def test_the_names_of_workflows_are_completed(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATELIER_WORKFLOWS", str(ROOT / "workflows"))
    assert {"txt2img", "img2img"} <= set(output_of(f"__complete {command} ''", capsys).splitlines())
    assert "txt2img" not in output_of(f"__complete {command} txt2img ''", capsys)


def test_every_task_can_be_asked_for() -> None:
    assert get_args(TaskName) == TASKS
