"""Text files that people write: read whole, with a limit; what is wrong is one sentence, with the line."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Way: TypeAlias = tuple[str | int, ...]
"""The way to a key through the tables of a file; a number stands for one of several tables of the same name."""

LARGEST = 2**20
"""Bytes. Nobody writes that much by hand."""

SENTENCES = (
    (r"Cannot|twice", "this key or table is here twice: keep one of them."),
    (r"Illegal character '\\n'|Unterminated|Expected \"['\"]", "a text does not end here: close its quotes."),
    (
        r"Unescaped|Invalid hex|Escaped",
        r"double each backslash in double quotes, or use single quotes.",
    ),
    (r"Illegal|invalid character", "there is a control character in this line: remove it."),
    (r"Unclosed|Expected .*array", "a list or table does not end here: close its bracket."),
    (
        r"Invalid value",
        "this value is not valid: put texts in double quotes, and write true or false small.",
    ),
)
"""What the library's messages mean."""

UNKNOWN = "this is not valid TOML: write key = value, and put texts in double quotes."

PLACE = re.compile(r"\(at line (\d+), column \d+\)")

PART = re.compile(
    r'"""(?:\\.|[^\\])*?"""+'
    r"|'''.*?'''+"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\w-]+"
    r"|[\n=\[\]{}]",
    re.DOTALL,
)
"""As much of TOML as tells keys from values."""


OPENING, CLOSING = frozenset("[{"), frozenset("]}")


class TextFileError(Exception):
    """The file cannot be used. `sentence` goes on after the file's name; `line` counts from 1, 0 is the whole file."""

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.sentence, self.line = sentence, line

    def with_file(self, file_name: str) -> str:
        """The whole sentence about the file called `file_name`."""
        return at(file_name, self.line, self.sentence)


def at(file_name: str, line: int, sentence: str) -> str:
    """A sentence that begins with the file and, unless it is 0, the line."""
    return f"{file_name}{f', line {line}' if line else ''}: {sentence}"


def read_bytes(path: Path, *, limit: int = LARGEST) -> bytes | None:
    """Read a regular file; None if it is not there. Raises `TextFileError`, also above `limit` bytes."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise TextFileError("this is a folder: put a file there, or rename it.")
        if not stat.S_ISREG(status.st_mode):
            raise TextFileError("this is not a regular file: put one there.")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise TextFileError("this is a link to a file that does not exist.") from None
        return None
    except OSError as error:
        raise TextFileError(f"it cannot be read: {os.strerror(error.errno or 0)}.") from error
    except ValueError:
        # A name that no file system takes.
        return None
    if len(content) > limit:
        raise TextFileError(f"it is larger than {limit // 1024} kB: make it smaller.")
    return content


def read_text(path: Path, *, limit: int = LARGEST) -> str | None:
    """Read a file in UTF-8, with or without a byte order mark; None if it is not there. Raises `TextFileError`."""
    content = read_bytes(path, limit=limit)
    try:
        return None if content is None else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TextFileError("this line is not UTF-8: save the file with the encoding UTF-8.", line) from error


def parse_toml(text: str) -> dict[str, object]:
    """Parse TOML. Raises `TextFileError`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = PLACE.search(message)
        line = int(place[1]) if place else len(text.splitlines())
        sentence = next((explanation for pattern, explanation in SENTENCES if re.search(pattern, message)), UNKNOWN)
        raise TextFileError(sentence, line) from error
    except RecursionError:
        raise TextFileError("its lists and tables are nested too deeply.") from None
    except ValueError as error:
        # Python reads no number of more than 4,300 digits.
        raise TextFileError("a number in it is too long.", _line_of_long_number(text)) from error


def _line_of_long_number(text: str) -> int:
    match = re.search(r"\d[\d_]{4000}", text)
    return text.count("\n", 0, match.start()) + 1 if match else 0


def line_of(text: str, way: Way) -> int:
    """The line of a key, else of the nearest table around it; 0 if neither is there. The text must be valid TOML.

    A way without numbers leads to the first of several tables of the same name.
    """
    is_plain = not any(isinstance(step, int) for step in way)
    best = (0, 0)
    for line, here in _keys(text):
        path = tuple(step for step in here if isinstance(step, str)) if is_plain else here
        if path == way[: len(path)] and len(path) > best[0]:
            best = (len(path), line)
    return best[1]


def _keys(text: str) -> Iterator[tuple[int, Way]]:
    """Each key and each table of a text with its line; those within a value are left out."""
    line, depth = 1, 0
    table: Way = ()
    counts: dict[tuple[str, ...], int] = {}
    names: list[str] = []
    brackets = 0
    in_value = False
    for match in PART.finditer(text):
        part = match[0]
        if part == "\n":
            line += 1
            if not depth:
                names, brackets, in_value = [], 0, False
        elif in_value:
            depth += (part in OPENING) - (part in CLOSING)
            line += part.count("\n")
        elif part == "=":
            in_value = True
            yield line, (*table, *names)
        elif part == "[":
            brackets += 1
        elif part == "]":
            if not names:
                continue
            if brackets == 2:
                counts[tuple(names)] = counts.get(tuple(names), -1) + 1
            table = _numbered(names, counts)
            yield line, table
            names = []
        elif part[0] not in "#{}":
            names.append(part[1:-1] if part[0] in "\"'" else part)


def _numbered(names: list[str], counts: dict[tuple[str, ...], int]) -> Way:
    way: list[str | int] = []
    for length, name in enumerate(names, 1):
        way.append(name)
        if (number := counts.get(tuple(names[:length]))) is not None:
            way.append(number)
    return tuple(way)
