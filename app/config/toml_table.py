"""A table of atelier.toml: returns its values, or raises an error that names the line of a wrong one."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

from msgspec import Struct

from app.text_file import TextFileError, Way, at, line_of, parse_toml, read_text

LONGEST_TEXT = 128
"""Maximum number of characters of a name or a presence; Discord shows no longer ones."""

LARGEST_ID = 2**63 - 1
"""Discord's ids have 64 bits, and the highest bit stays 0 for the next decades."""


class ConfigError(Exception):
    """A setting is wrong; the text is a sentence that says which one and what to do."""


class TomlFile(Struct, frozen=True):
    """A file that was read. `name` is its name in messages."""

    name: str
    text: str


class Table:
    """A table of a file: returns its values, or raises an error that names the line of a wrong one."""

    def __init__(self, file: TomlFile, way: Way, content: Mapping[str, object]) -> None:
        self._file = file
        self._way = way
        self._content = content

    def error(self, key: str, sentence: str, *more: str | int) -> ConfigError:
        """An error about the value of a key; its text is the sentence with the file and line."""
        return ConfigError(at(self._file.name, self.line(key, *more), sentence))

    def line(self, key: str = "", *more: str | int) -> int:
        """The line of a key, or of the table itself."""
        return line_of(self._file.text, (*self._way, *([key] if key else []), *more))

    def check_keys(self, known: Collection[str]) -> None:
        """Reject unknown keys. Raises `ConfigError`."""
        for key in self._content:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean “{close[0]}”?" if close else f"remove it, or write one of {', '.join(known)}."
                raise self.error(key, f"there is no key “{short(key)}”: {hint}")

    def text(self, key: str, default: str) -> str:
        """A text of one line, stripped of surrounding spaces."""
        value = self._content.get(key, default)
        if not isinstance(value, str):
            raise self.error(key, f"“{key}” must be a text in double quotes.")
        if problem := unprintable(value.strip()):
            raise self.error(key, f"“{key}” {problem}.")
        return value.strip()

    def name(self, key: str, default: str) -> str:
        """A text of one line that is not empty."""
        if not (value := self.text(key, default)):
            raise self.error(key, f"“{key}” must not be empty: remove the line, or name a folder.")
        return value

    def shown_text(self, key: str, default: str) -> str:
        """A text that is displayed, of at most `LONGEST_TEXT` characters."""
        if len(value := self.text(key, default)) > LONGEST_TEXT:
            raise self.error(key, f"“{key}” must have at most {LONGEST_TEXT} characters.")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._content.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, f"“{key}” must be a whole number between {low} and {high}.")
        return value

    def positive(self, key: str, default: float) -> float:
        """A finite number greater than 0."""
        value = self._content.get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self.error(key, f"“{key}” must be a number greater than 0.")
        try:
            return float(value)
        except OverflowError:
            raise self.error(key, f"“{key}” must be a smaller number.") from None

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean."""
        value = self._content.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"“{key}” must be true or false, without quotes.")
        return value

    def items(self, key: str, default: Sequence[object]) -> Sequence[object]:
        """A list of any values."""
        value = self._content.get(key, default)
        if not isinstance(value, (list, tuple)):
            raise self.error(key, f"“{key}” must be a list in square brackets.")
        return cast("Sequence[object]", value)

    def table(self, key: str) -> Table:
        """A table under a key, empty if it is not there."""
        value = self._content.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"“{key}” must be a table: write [{self._full_name(key)}] above its keys.")
        return Table(self._file, (*self._way, key), cast("dict[str, object]", value))

    def tables(self, key: str) -> list[Table]:
        """All tables under a key; `[key]` instead of `[[key]]` counts as one."""
        value = self._content.get(key, [])
        if isinstance(value, dict):
            return [self.table(key)]
        tables: list[Table] = []
        for number, table in enumerate(cast("list[object]", value) if isinstance(value, list) else [None]):
            if not isinstance(table, dict):
                header = f"[[{self._full_name(key)}]]"
                raise self.error(key, f"“{key}” must be tables: write {header} above the keys of each.")
            tables.append(Table(self._file, (*self._way, key, number), cast("dict[str, object]", table)))
        return tables

    def _full_name(self, key: str) -> str:
        """A key with those of the tables around it, as it stands in a header."""
        return ".".join([part for part in self._way if isinstance(part, str)] + [key])

    def values(self) -> Mapping[str, object]:
        """All values of the table, unchecked."""
        return self._content


def read_table(path: Path, file_name: str) -> Table | None:
    """A whole file as a table; None if the file does not exist. Raises `ConfigError`."""
    try:
        text = read_text(path)
        return None if text is None else Table(TomlFile(file_name, text), (), parse_toml(text))
    except TextFileError as error:
        raise ConfigError(error.with_file(file_name)) from error


def discord_id(value: object) -> int:
    """One of Discord's ids, as a number or a text; 0 if the value is none."""
    digits = value if isinstance(value, str) else str(value) if type(value) is int else ""
    valid = re.fullmatch(r"\s*[0-9]{1,20}\s*", digits) and int(digits) <= LARGEST_ID
    return int(digits) if valid else 0


def path_from(path: str, base: Path) -> Path:
    """A path that starts at `base` if it is relative, with ~ expanded to the home folder, if there is one."""
    try:
        return base / Path(path).expanduser()
    except RuntimeError:
        return base / path


def unprintable(value: str) -> str:
    """Why a text cannot be shown on one line; "" if it can."""
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        return "must be on one line, without control characters"
    return ""


def short(text: str) -> str:
    """Shorten a text to 60 characters for a sentence, and replace unprintable characters with a marker."""
    printable = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return f"{printable[:59]}…" if len(printable) > 60 else printable
