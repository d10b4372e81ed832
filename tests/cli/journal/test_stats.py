"""`python -m app stats`: how long workflows take, and how right expected starts were."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from app.cli.main import main
from app.core.jobs.cost import Run
from app.journal.opening import open_store
from tests.journal.measured import run


def journal_with(folder: Path, runs: list[Run]) -> None:
    (folder / "data").mkdir()
    (folder / "atelier.toml").write_text('data = "data"\n')
    with open_store(folder / "data" / "atelier.db", clock=time.time) as store:
        store.write([], runs)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")


def test_speeds_and_the_accuracy_of_expected_starts_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close = run("a", workflow="txt2img", seconds=4.0, waited=10.0, expected_wait=11.0)
    wrong = run("b", workflow="txt2img", seconds=6.0, waited=90.0, expected_wait=11.0, loading=True)
    journal_with(tmp_path, [close, wrong])
    assert main(["stats"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split() == ["txt2img", "here", "2", "5.0", "s", "1"]
    assert "Expected starts: 1 of 2 were right" in printed
    assert max(map(len, printed.splitlines())) <= 60


def test_the_figures_are_also_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal_with(tmp_path, [run("a", waited=10.0, expected_wait=90.0, overtaken=True)])
    assert main(["stats", "--json"]) == 0
    facts = msgspec.json.decode(capsys.readouterr().out)
    assert facts["expected_starts"] == {"jobs": 0, "right": 0, "overtaken": 1}
    assert facts["speeds"] == [{"workflow": "w", "server": "here", "runs": 1, "seconds": 5.5, "loads": 0}]


def test_a_journal_without_runs_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal_with(tmp_path, [])
    assert main(["stats"]) == 0
    assert capsys.readouterr().out == "No job has run here yet.\n"
