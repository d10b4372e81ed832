"""Damaged workflows and manifests are a sentence; and the fuzzer that says so finds planted bugs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.ports import Graph, Json
from app.workflows import load
from app.workflows.binding import bind
from tests.workflows.fuzz import attempt

COUNT = 400


def attempts(folder: Path) -> int:
    return sum(attempt(number, folder) for number in range(COUNT))


def test_damaged_workflows_are_workflows_or_a_sentence(tmp_path: Path) -> None:
    assert COUNT * 0.1 < attempts(tmp_path) < COUNT * 0.9


def test_the_fuzzer_finds_a_bug_in_reading_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(content: Json, _: str) -> Graph:
        assert isinstance(content, dict)
        return {node: entry for node, entry in content.items() if isinstance(entry, dict) and entry["class_type"]}

    monkeypatch.setattr(load, "check_graph", careless)
    with pytest.raises((AssertionError, KeyError)):
        attempts(tmp_path)


def test_the_fuzzer_finds_a_bug_in_filling_a_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(workflow: load.Workflow, preset: str) -> Mapping[str, Json]:
        return workflow.presets[preset] if preset else {}

    monkeypatch.setattr(bind, "_preset", careless)
    with pytest.raises(KeyError):
        attempts(tmp_path)
