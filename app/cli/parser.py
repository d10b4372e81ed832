"""The command line: commands, options, and their help texts."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from app.cli.jobs import STATES
from app.signals import command_of
from app.standard_streams import complain

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

EXAMPLES = {
    "run": "python -m app run\npython -m app run --drain       (Ctrl-C once waits, twice does not)",
    "demo": "python -m app demo\npython -m app demo --out pictures --backend asyncio",
    "generate": (
        'python -m app generate txt2img prompt="a lighthouse at dusk" --count 4\n'
        'python -m app generate img2img prompt="as an oil painting" image=photo.jpg denoise=0.5\n'
        "python -m app generate my-workflow-api.json --set Sampler.steps=30 --set 10:2.cfg=4 --json"
    ),
    "simulate": "python -m app simulate --port 8188 --previews\npython -m app simulate --step-time 0.01 --any-node",
    "jobs": (
        "python -m app jobs --state running\n"
        "python -m app jobs show 3f2a\n"
        "python -m app jobs retry 3f2a      (also while the bot runs)"
    ),
    "workflows": (
        "python -m app workflows new my-export.json\n"
        "python -m app workflows show txt2img\n"
        'python -m app workflows fill txt2img prompt="a mill" steps=8'
    ),
    "check": "python -m app check\npython -m app check --server https://studio.example/comfy",
}

TAKING_SLOTS = frozenset({"generate", "workflows"})
"""Commands that take slot=value arguments."""

VERBS = ("list", "show", "new", "check", "fill", "schema")
"""What `workflows` can do."""


class Arguments(argparse.Namespace):
    """Everything that the command line can set."""

    command: str
    backend: str
    debug: bool
    out: Path
    workflow: str
    slots: list[str]
    sets: list[str]
    preset: str
    server: list[str]
    count: int
    json: bool
    timeout: float | None
    host: str
    port: int
    steps: int | None
    step_time: float
    previews: bool
    any_node: bool
    seed: int
    verb: str
    job: str
    state: str
    limit: int
    drain: bool


class _Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one sentence."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; see {self.prog} --help.")
        self.exit(2)

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help. Raises `OSError`, which argparse itself would hide."""
        (file or sys.stdout).write(self.format_help())


def parse(argv: Sequence[str]) -> Arguments:
    """Parse a command line. Raises `SystemExit`: 2 for an error, 0 after --help."""
    shared = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    shared.add_argument("--backend", choices=("trio", "asyncio"), help="event loop (default: trio)")
    shared.add_argument("--debug", action="store_true", help="show logs and tracebacks")
    parser = _Parser("python -m app", description="Pictures and videos from ComfyUI.", parents=[shared])
    parser.set_defaults(backend="trio", debug=False, command="run", server=[], drain=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def command(name: str, explanation: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=explanation,
            description=explanation,
            epilog=f"examples:\n{EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[shared],
        )

    bot = command("run", "the Discord bot (this is what happens without a COMMAND)")
    bot.add_argument("--drain", action="store_true", help="when stopped, finish what the servers have first")
    demo = command("demo", "twelve pictures for four people, on an embedded simulator")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="where to put them (default: out/demo)")
    _generate(command("generate", "make pictures with a workflow, without Discord"))
    _simulate(command("simulate", "an embedded ComfyUI, as a server that any client can use"))
    _jobs(command("jobs", "what the bot's journal says: every job, and what happened to it"))
    _workflows(command("workflows", "the workflows: list, show, make, check and fill them"))
    check = command("check", "look at the configuration, the workflows and each server")
    _servers(check)
    if (name := command_of(argv)) not in EXAMPLES:
        parser.error(f"there is no command “{name}”: choose {', '.join(EXAMPLES)}")
    told, rest = parser.parse_known_args(argv, Arguments())
    # argparse takes positional arguments in one piece; slots may also follow options.
    if rest and (told.command not in TAKING_SLOTS or not all("=" in word and word[0] != "-" for word in rest)):
        parser.error(f"unknown: {' '.join(rest)}")
    if told.command in TAKING_SLOTS:
        told.slots += rest
    if told.command == "workflows" and (refusal := _misused(told)):
        parser.error(refusal)
    if told.command == "jobs" and (told.verb == "list") == bool(told.job):
        parser.error(f"jobs {told.verb} takes {'no job' if told.job else 'the id of a job'}")
    return told


def _generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", metavar="WORKFLOW", help="a name in workflows/, or an exported JSON")
    _filling(parser)
    _servers(parser)
    parser.add_argument("--count", type=_count, default=1, metavar="N", help="jobs at once, each with its own seed")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where to put the files (default: out)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--timeout", type=_seconds, metavar="S", help="cancel what is unfinished after S seconds")


def _workflows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", nargs="?", default="list", choices=VERBS, help="what to do (default: list)")
    parser.add_argument("workflow", nargs="?", default="", metavar="NAME|FILE", help="a workflow, or a file for new")
    _filling(parser)
    _servers(parser)


def _misused(told: Arguments) -> str:
    """What is wrong with the arguments of `workflows`, "" for nothing."""
    if bool(told.workflow) != (told.verb in {"show", "new", "fill"}) and not (told.verb == "check" and told.workflow):
        wanted = {"show": "a name", "fill": "a name", "new": "a file"}.get(told.verb, "no name")
        return f"workflows {told.verb} takes {wanted}"
    if told.verb != "fill" and (told.slots or told.sets or told.preset):
        return f"workflows {told.verb} fills nothing in"
    return ""


def _filling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "slots", nargs="*", default=[], metavar="slot=value", help="what to put into the workflow's slots"
    )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="put a value into any input; NODE is an id or a title",
    )
    parser.add_argument("--preset", default="", metavar="NAME", help="one of the workflow's named sets of values")


def _simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8188, help="0 for a free one (default: 8188)")
    parser.add_argument("--steps", type=_count, metavar="N", help="override every sampler's own steps")
    parser.add_argument("--step-time", type=_seconds, default=0.05, metavar="S", help="seconds a step (default: 0.05)")
    parser.add_argument("--previews", action="store_true", help="send a preview with each step")
    parser.add_argument("--any-node", action="store_true", help="run nodes that it does not know, too")
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="paint otherwise")


def _jobs(parser: argparse.ArgumentParser) -> None:
    verbs = ("list", "show", "retry", "cancel")
    parser.add_argument("verb", nargs="?", default="list", choices=verbs, help="what to do (default: list)")
    parser.add_argument("job", nargs="?", default="", metavar="ID", help="a job's id, or the beginning of it")
    parser.add_argument("--state", default="", choices=STATES, help="list only those")
    parser.add_argument("--limit", type=_count, default=50, metavar="N", help="list so many (default: 50)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _servers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="URL",
        help="a ComfyUI, by address or name; repeatable",
    )


def _count(told: str) -> int:
    if not told.isdigit() or not 1 <= int(told) <= 1000:
        raise argparse.ArgumentTypeError(f"“{told}” is no whole number from 1 to 1000")
    return int(told)


def _port(told: str) -> int:
    if not told.isdigit() or int(told) > 65535:
        raise argparse.ArgumentTypeError(f"“{told}” is no port")
    return int(told)


def _seconds(told: str) -> float:
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"“{told}” is no number of seconds")
    return seconds
