"""`python -m tests.mutants.draw --seed N [--count K] FILE…`: changes of these files that cosmic-ray could make, by lot.

The same seed, files and source give the same draw. What is printed becomes an entry of `tests/mutants/table.py` once it
has the tests that notice it. Needs `uvx`, which fetches cosmic-ray; the table and its runner do not.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import random
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

TOOL = "cosmic-ray==8.7.0"
PYTHON = "3.11"

CONFIGURATION = """
[cosmic-ray]
module-path = {modules}
timeout = 10.0
excluded-modules = []
test-command = "true"
[cosmic-ray.distributor]
name = "local"
"""


class Mutation(Struct, order=True):
    """One change that cosmic-ray knows. The order of the fields is the order before the draw."""

    module_path: str
    operator_name: str
    occurrence: int


class Item(Struct):
    """A line of `cosmic-ray dump`: the change, of one mutation each."""

    mutations: list[Mutation]


def cosmic_ray(folder: Path, *arguments: str) -> str:
    """Run the tool in a folder; what it prints."""
    command = ["uvx", "--python", PYTHON, "--from", TOOL, "cosmic-ray", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def draw(files: list[str], seed: int, count: int) -> Iterator[tuple[Mutation, str]]:
    """Draw so many changes of these files, and show each as the lines that differ.

    What would tell nothing is passed over: changes that do not compile, and changes of annotations, which this program
    never evaluates.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / file)
        (folder / "cosmic-ray.toml").write_text(CONFIGURATION.format(modules=files))
        cosmic_ray(folder, "init", "cosmic-ray.toml", "session.sqlite")
        dumped = cosmic_ray(folder, "dump", "session.sqlite").splitlines()
        known = sorted(msgspec.json.decode(line, type=tuple[Item, object])[0].mutations[0] for line in dumped)
        random.Random(seed).shuffle(known)
        for mutation in known:
            before = (folder / mutation.module_path).read_text()
            after = _applied(folder, mutation)
            if _shape(after) not in {None, _shape(before)}:
                lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
                yield mutation, "\n".join(line for line in lines if not line.startswith(("---", "+++")))
                count -= 1
            if count == 0:
                return


def _applied(folder: Path, mutation: Mutation) -> str:
    """The file as a mutation makes it. The one in the folder stays as it was."""
    path = folder / mutation.module_path
    before = path.read_text()
    cosmic_ray(folder, "apply", mutation.module_path, mutation.operator_name, str(mutation.occurrence))
    after = path.read_text()
    path.write_text(before)
    return after


def _shape(source: str) -> str | None:
    """What the source says but for annotations; None where it does not compile without a warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(source, "a change", "exec")
    except (SyntaxError, SyntaxWarning):
        return None
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.draw")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("files", nargs="+", metavar="FILE")
    given = parser.parse_args()
    for number, (mutation, difference) in enumerate(draw(given.files, given.seed, given.count), 1):
        print(
            f"{number}. {mutation.module_path} {mutation.operator_name} {mutation.occurrence}\n{difference}\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
