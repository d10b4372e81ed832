"""What is installed is what was tested."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPILED = (ROOT / "constraints.txt").read_text().split("\n")[:-1]


def test_uv_is_told_the_compiled_constraints() -> None:
    assert PROJECT["tool"]["uv"]["constraint-dependencies"] == COMPILED


def test_direct_dependencies_are_pinned_exactly_and_as_compiled() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    direct = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"], *chain.from_iterable(extras)]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in direct)
    assert set(direct) <= {line.partition(" ;")[0] for line in COMPILED}


def test_no_address_of_a_registry_is_committed() -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        assert "://" not in (ROOT / name).read_text()
