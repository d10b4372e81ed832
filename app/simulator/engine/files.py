"""The server's three folders, and who may name what in them. Measured: T03, T12."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

FOLDERS = ("input", "output", "temp")
_ANNOTATED = re.compile(r"^(?P<name>.*) \[(?P<folder>input|output|temp)\]$")


class Forbidden(Exception):
    """A path that leads out of its folder."""


class Files:
    """Owns `folder` with input, output and temp; every verb is blocking and short."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.wipe_temp()

    def wipe_temp(self) -> None:
        """Forget temporary files: ComfyUI does so at each start (T18)."""
        shutil.rmtree(self._root / "temp", ignore_errors=True)
        (self._root / "temp").mkdir()

    def names(self, folder: str) -> list[str]:
        """The files on the top level of a folder, sorted."""
        return sorted(path.name for path in (self._root / folder).iterdir() if path.is_file())

    def inputs(self) -> list[str]:
        """The names of the uploads."""
        return self.names("input")

    def save(
        self, prefix: str, suffix: str, content: bytes, folder: str = "output", *, tail: str = "_"
    ) -> dict[str, str]:
        """Write a result; the entry by which `executed` and history name it.

        ComfyUI's rule: the prefix with its subfolders, then the next free number and `tail`. Raises `Forbidden` for
        a prefix that leads out.
        """
        base = self._inside(folder, prefix)
        place = base.parent
        place.mkdir(parents=True, exist_ok=True)
        taken = re.compile(re.escape(base.name) + rf"_(\d+){tail}")
        numbers = [int(found[1]) for path in place.iterdir() if (found := taken.match(path.name))]
        path = place / f"{base.name}_{max(numbers, default=0) + 1:05}{tail}{suffix}"
        path.write_bytes(content)
        subfolder = place.relative_to(self._root / folder).as_posix()
        return {"filename": path.name, "subfolder": "" if subfolder == "." else subfolder, "type": folder}

    def annotated(self, value: str) -> Path | None:
        """The file that LoadImage means by "name", "sub/name" or "name [temp]"; None if there is none."""
        found = _ANNOTATED.match(value)
        name, folder = (found["name"], found["folder"]) if found else (value, "input")
        try:
            path = self._inside(folder, name)
        except Forbidden:
            return None
        return path if path.is_file() else None

    def view(self, filename: str, subfolder: str, folder: str) -> Path | None:
        """The file that GET /view means; raises `Forbidden` for a subfolder that leads out."""
        found = _ANNOTATED.match(filename)
        if found:
            filename, folder = found["name"], found["folder"]
        path = self._inside(folder, subfolder) / Path(filename).name
        return path if path.is_file() else None

    def upload(self, content: bytes, name: str, subfolder: str, folder: str, *, overwrite: bool) -> Path:
        """Keep an upload: the same name with other content becomes "x (1).png". Raises `Forbidden`."""
        place = self._inside(folder, subfolder)
        path = self._inside(folder, f"{subfolder}/{name}" if subfolder else name)
        if path.parent != place:
            raise Forbidden(name)
        place.mkdir(parents=True, exist_ok=True)
        number, wanted = 0, path
        while not overwrite and path.exists():
            if path.read_bytes() == content:
                return path
            number += 1
            path = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
        path.write_bytes(content)
        return path

    def _inside(self, folder: str, name: str) -> Path:
        top = (self._root / folder).resolve()
        path = (top / name).resolve()
        if not path.is_relative_to(top):
            raise Forbidden(name)
        return path
