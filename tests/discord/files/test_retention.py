"""What is kept, and what goes."""

from __future__ import annotations

import os
from pathlib import Path

from app.discord.files.retention import delete_older


def test_only_what_is_older_goes(tmp_path: Path) -> None:
    for folder in ("results", "inputs", "elsewhere"):
        (tmp_path / folder).mkdir()
        for name, changed in (("old.png", 100.0), ("new.png", 300.0)):
            (tmp_path / folder / name).touch()
            os.utime(tmp_path / folder / name, (changed, changed))
    assert delete_older(tmp_path, 200.0) == 2
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert left == ["elsewhere/new.png", "elsewhere/old.png", "inputs/new.png", "results/new.png"]


def test_there_may_be_nothing_yet(tmp_path: Path) -> None:
    assert delete_older(tmp_path, 200.0) == 0
