"""Puts the workflows that come with the program into what hatchling builds.

A wheel has them in `app/included_workflows`, where `app/config/installation.py` looks for them; a source archive has
them in `workflows`, as the repository has. From a repository only tracked files are taken, so that no workflow of
whoever builds is published. Where git cannot tell, as in an unpacked source archive, all files are taken.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WORKFLOWS = "workflows"


class IncludedWorkflows(BuildHookInterface[Any]):
    """Adds the files of the included workflows."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files, except to an editable install, which finds them in the repository."""
        if version == "editable":
            return
        root = Path(self.root)
        target = "app/included_workflows" if self.target_name == "wheel" else WORKFLOWS
        for path in included_files(root):
            place = path.relative_to(root / WORKFLOWS).as_posix()
            build_data["force_include"][str(path)] = f"{target}/{place}"


def included_files(root: Path) -> list[Path]:
    """The files of the workflows in a repository, or in an unpacked source archive."""
    if (root / ".git").exists():
        try:
            listed = subprocess.run(  # noqa: S603  a fixed command
                ["git", "ls-files", "-z", "--", WORKFLOWS],  # noqa: S607  wherever git is
                cwd=root,
                capture_output=True,
                check=True,
            ).stdout.decode()
        except (OSError, subprocess.CalledProcessError):
            pass
        else:
            # A file that was deleted is tracked until the deletion is committed.
            return [path for name in sorted(listed.split("\0")) if name and (path := root / name).is_file()]
    return sorted(path for path in (root / WORKFLOWS).rglob("*") if path.is_file() and not path.name.startswith("."))
