"""The server's three folders, and the rules for names in them. Measured: T03, T12."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

FOLDERS = ("input", "output", "temp")
_ANNOTATED = re.compile(r"^(?P<name>.*) \[(?P<folder>input|output|temp)\]$")


class Forbidden(Exception):
    """A path leads out of its folder."""


class Files:
    """Owns `folder` with input, output and temp; every method blocks, but only briefly."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.wipe_temp()

    def wipe_temp(self) -> None:
        """Delete the temporary files, as ComfyUI does at each start (T18)."""
        shutil.rmtree(self._root / "temp", ignore_errors=True)
        (self._root / "temp").mkdir()

    def names(self, folder: str) -> list[str]:
        """Return the names of the files at the top level of a folder, sorted."""
        return sorted(path.name for path in (self._root / folder).iterdir() if path.is_file())

    def inputs(self) -> list[str]:
        """Return the names of the uploads."""
        return self.names("input")

    def save(
        self, prefix: str, suffix: str, content: bytes, folder: str = "output", *, tail: str = "_"
    ) -> dict[str, str]:
        """Write a result file, and return the entry that names it in `executed` and in the history.

        ComfyUI's rule for the name: the prefix with its subfolders, then the next free number and `tail`. Raises
        `Forbidden` if the prefix leads out of the folder.
        """
        base = self._inside(folder, prefix)
        place = base.parent
        place.mkdir(parents=True, exist_ok=True)
        taken = re.compile(re.escape(base.name) + rf"_(\d+){tail}")
        numbers = [int(match[1]) for path in place.iterdir() if (match := taken.match(path.name))]
        path = place / f"{base.name}_{max(numbers, default=0) + 1:05}{tail}{suffix}"
        path.write_bytes(content)
        subfolder = place.relative_to(self._root / folder).as_posix()
        return {"filename": path.name, "subfolder": "" if subfolder == "." else subfolder, "type": folder}

    def annotated(self, value: str) -> Path | None:
        """Return the file that "name", "sub/name" or "name [temp]" means to LoadImage; None if there is none."""
        match = _ANNOTATED.match(value)
        name, folder = (match["name"], match["folder"]) if match else (value, "input")
        try:
            path = self._inside(folder, name)
        except Forbidden:
            return None
        return path if path.is_file() else None

    def view(self, filename: str, subfolder: str, folder: str) -> Path | None:
        """Return the file for GET /view; None if there is none. Raises `Forbidden` if the subfolder leads out."""
        match = _ANNOTATED.match(filename)
        if match:
            filename, folder = match["name"], match["folder"]
        path = self._inside(folder, subfolder) / Path(filename).name
        return path if path.is_file() else None

    def upload(self, content: bytes, name: str, subfolder: str, folder: str, *, overwrite: bool) -> Path:
        """Store an upload; the same name with other content becomes "x (1).png". Raises `Forbidden`."""
        place = self._inside(folder, subfolder)
        path = self._inside(folder, f"{subfolder}/{name}" if subfolder else name)
        if path.parent != place:
            raise Forbidden(name)
        place.mkdir(parents=True, exist_ok=True)
        number, first_choice = 0, path
        while not overwrite and path.exists():
            if path.read_bytes() == content:
                return path
            number += 1
            path = first_choice.with_name(f"{first_choice.stem} ({number}){first_choice.suffix}")
        path.write_bytes(content)
        return path

    def _inside(self, folder: str, name: str) -> Path:
        top = (self._root / folder).resolve()
        path = (top / name).resolve()
        if not path.is_relative_to(top):
            raise Forbidden(name)
        return path
