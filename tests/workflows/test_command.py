"""From an exported file to a picture, as a person does it: real processes, a simulated server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_parser import BACKENDS, atelier, simulator
from tests.workflows.editor_graphs import DATA


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exported_file_becomes_a_command_and_a_picture(backend: str, tmp_path: Path) -> None:
    shutil.copy(DATA / "harbour.ui.json", tmp_path / "harbour.json")
    here = {"ATELIER_WORKFLOWS": str(tmp_path / "workflows"), "cwd": tmp_path}
    with simulator("--step-time", "0.01", "--steps", "3") as url:

        def run(*arguments: str) -> str:
            done = atelier(*arguments, "--server", url, "--backend", backend, **here)  # pyright: ignore[reportArgumentType]
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout

        run("workflows", "new", "harbour.json")
        graph = json.loads(run("workflows", "fill", "harbour", 'prompt="]}', "seed=0"))
        assert graph["2"]["inputs"]["text"] == '"]}'
        run("generate", "harbour", "prompt=a mill", "--out", "out")
        run("generate", "harbour.json", "--out", "out")
        assert "✔  workflow harbour" in run("check")
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_a_file_of_the_editor_without_a_server_is_one_sentence(tmp_path: Path) -> None:
    shutil.copy(DATA / "harbour.ui.json", tmp_path / "harbour.json")
    for arguments in (["generate"], ["workflows", "new"], ["workflows", "fill"], ["workflows", "show"]):
        done = atelier(*arguments, "harbour.json", "--server", "http://127.0.0.1:1", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "in the editor's own format" in done.stderr
        assert "Export (API)" in done.stderr
        assert done.stderr.count("\n") == 1
