"""What is kept, and what goes."""

from __future__ import annotations

import os
from pathlib import Path

from app.discord.files.retention import delete_older, delete_unfinished


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


def test_only_unfinished_files_of_our_own_folders_go(tmp_path: Path) -> None:
    kept = ["elsewhere/a.png.part", "results/a.png", "results/txt2img-0123abcd-01.part", "atelier.db", "b.png.part"]
    gone = ["results/a.png.part", "results/deep/er/c.webm.part", "inputs/d.png.part"]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    delete_unfinished(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)


def test_an_unfinished_file_that_cannot_be_deleted_is_left(tmp_path: Path) -> None:
    (tmp_path / "results" / "a.png.part").mkdir(parents=True)
    (tmp_path / "results" / "b.png.part").touch()
    delete_unfinished(tmp_path)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["a.png.part"]
