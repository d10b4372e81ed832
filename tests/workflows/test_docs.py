"""docs/WORKFLOWS.md explains every key, and its examples are valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from app.workflows.load import load
from app.workflows.manifest.schema import FollowUp, Manifest, ManifestSlot, ManifestTarget
from app.workflows.model import Kind
from tests.workflows.discovery.test_discover import entry, shipped

TEXT = (Path(__file__).parent.parent.parent / "docs" / "WORKFLOWS.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_together_are_a_manifest(tmp_path: Path) -> None:
    graph = shipped()
    for node, name in {"11": "First pass", "12": "Second pass"}.items():
        graph[node] = entry("Odd", name, seed=1, noise_seed=1)
    (tmp_path / "one.json").write_bytes(msgspec.json.encode(graph))
    (tmp_path / "one.toml").write_text("\n".join(EXAMPLES), encoding="utf-8")
    workflow = load(tmp_path, "one")
    assert {slot.name for slot in workflow.slots} == {"steps", "seed", "sampler", "size", "lora"}
    assert workflow.presets
    assert workflow.follow_ups


def test_every_key_has_an_example() -> None:
    examples = "\n".join(EXAMPLES)
    for shape in (Manifest, ManifestSlot, ManifestTarget, FollowUp):
        for key in shape.__struct_fields__:
            assert re.search(rf"(^|[{{ ]){key} = |^\[+{key}[.\]]", examples, re.MULTILINE), key


def test_every_kind_is_explained() -> None:
    kinds: list[str] = json.loads(json.dumps(msgspec.json.schema(Kind)))["enum"]
    table = TEXT[TEXT.index("| kind |") :]
    assert all(f"`{kind}`" in table for kind in kinds)
