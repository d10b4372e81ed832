"""The simulated server's folders: output and input stay, temp is wiped at each start (measured, T18)."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from PIL import Image

KINDS = ("output", "input", "temp")


class Files:
    """Owns a folder with one subfolder for each kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for kind in KINDS:
            (folder / kind).mkdir(parents=True, exist_ok=True)

    def forget_temp(self) -> None:
        """What a restart does."""
        shutil.rmtree(self._folder / "temp")
        (self._folder / "temp").mkdir()

    def find(self, filename: str, subfolder: str = "", kind: str = "output") -> Path | None:
        """An existing file, or None. Raises `ValueError` for a name or kind that is not allowed (400)."""
        if kind not in KINDS or not filename or filename.startswith("/") or ".." in f"{subfolder}/{filename}":
            raise ValueError(filename)
        path = self._folder / kind / subfolder / Path(filename).name
        return path if path.is_file() else None

    def find_input(self, value: str) -> Path | None:
        """What a LoadImage node names: "name", "subfolder/name", "name [temp]" or "name [output]"."""
        found = re.fullmatch(r"(.*) \[(input|output|temp)\]", value)
        name, kind = found.groups() if found else (value, "input")
        subfolder, _, filename = name.rpartition("/")
        try:
            return self.find(filename, subfolder, kind)
        except ValueError:
            return None

    def inputs(self) -> list[str]:
        """The names of the uploads, for /object_info."""
        return sorted(path.name for path in (self._folder / "input").iterdir() if path.is_file())

    def open_input(self, value: str) -> Image.Image:
        """Open what a LoadImage node names. Raises `OSError` (also for what is no picture)."""
        path = self.find_input(value)
        if path is None:
            raise FileNotFoundError(value)
        with Image.open(path) as picture:
            picture.load()
            return picture

    def save(self, prefix: str, suffix: str, content: bytes, kind: str = "output") -> dict[str, str]:
        """Write a result under the next free number; the entry as `executed` shows it."""
        subfolder, _, name = prefix.strip("/").rpartition("/")
        place = self._folder / kind / subfolder
        if ".." in prefix:
            raise ValueError(prefix)
        place.mkdir(parents=True, exist_ok=True)
        numbers = [
            int(found.group(1))
            for path in place.glob(f"{glob_safe(name)}_*_*")
            if (found := re.match(rf"{re.escape(name)}_(\d+)_", path.name))
        ]
        filename = f"{name}_{max(numbers, default=0) + 1:05}_{suffix}"
        (place / filename).write_bytes(content)
        return {"filename": filename, "subfolder": subfolder, "type": kind}

    def upload(self, filename: str, content: bytes, subfolder: str, kind: str, *, overwrite: bool) -> dict[str, str]:
        """Take an upload; the same name with another content is renamed. Raises `ValueError` (400)."""
        if kind not in KINDS or ".." in f"{subfolder}/{filename}" or not filename:
            raise ValueError(filename)
        place = self._folder / kind / subfolder
        place.mkdir(parents=True, exist_ok=True)
        wanted = Path(Path(filename).name)
        path, number = place / wanted, 0
        while not overwrite and path.exists() and _hash(path.read_bytes()) != _hash(content):
            number += 1
            path = place / f"{wanted.stem} ({number}){wanted.suffix}"
        path.write_bytes(content)
        return {"name": path.name, "subfolder": subfolder, "type": kind}


def glob_safe(name: str) -> str:
    """A name for a glob pattern, literally."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
