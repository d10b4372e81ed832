"""The variables of the environment and of a .env file."""

from __future__ import annotations

import base64
import difflib
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from app.config.toml_table import ConfigError, short, unprintable
from app.text_file import TextFileError, at, read_text

VARIABLES = frozenset(
    {
        *("ATELIER_CONFIG", "ATELIER_DATA", "ATELIER_WORKFLOWS", "ATELIER_HTTP", "ATELIER_LOG", "ATELIER_CRASH"),
        *("ATELIER_CLIENT_SECRET", "ATELIER_ENGINE", "ATELIER_ENGINE_PASSWORD"),
    }
)
"""All variables of Atelier, so that a typing error in a .env file is noticed."""


class Variables:
    """The variables of the environment and, for those that it does not set, of a .env file."""

    def __init__(self, environ: Mapping[str, str], path: Path) -> None:
        self._environ = environ
        self._dotenv = _dotenv(path)
        self._file_name = path.name

    def text(self, name: str) -> str:
        """A variable stripped of surrounding spaces, "" if it is not set. Raises `ConfigError`."""
        value = (self._environ[name] if name in self._environ else self._dotenv.get(name, ("", 0))[0]).strip()
        if problem := unprintable(value):
            raise self.error(name)(f"{name} {problem}.")
        return value

    def error(self, name: str) -> Callable[[str], ConfigError]:
        """Return a function that makes an error out of a sentence beginning with the variable's name."""

        def make(sentence: str) -> ConfigError:
            is_ours = name in self._environ or name not in self._dotenv
            return ConfigError(sentence if is_ours else at(self._file_name, self._dotenv[name][1], sentence))

        return make


def _dotenv(path: Path) -> dict[str, tuple[str, int]]:
    """The variables of a .env file, each with its line. Raises `ConfigError`."""
    try:
        text = read_text(path)
    except TextFileError as error:
        raise ConfigError(error.with_file(path.name)) from error
    values: dict[str, tuple[str, int]] = {}
    # The library's own reader only logs the lines that it could not parse.
    for binding in parse_stream(io.StringIO(text or "", newline="")):
        written = binding.original.string
        line = binding.original.line + len(re.findall(r"\r\n|\n|\r", written[: len(written) - len(written.lstrip())]))
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(at(path.name, line, "write NAME=value, and close every quote."))
        if binding.key is None or binding.value is None:
            continue
        if binding.key.startswith("ATELIER_") and binding.key not in VARIABLES:
            close = difflib.get_close_matches(binding.key, VARIABLES, 1)
            hint = f"did you mean {close[0]}?" if close else "remove it."
            raise ConfigError(at(path.name, line, f"there is no variable {short(binding.key)}: {hint}"))
        values[binding.key] = (binding.value, line)
    return values


def token_of(variables: Variables) -> str:
    """The token of the Discord bot, "" if there is none. Raises `ConfigError`."""
    token = variables.text("DISCORD_TOKEN")
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise variables.error("DISCORD_TOKEN")("DISCORD_TOKEN is not a bot's token: copy it again, without spaces.")
    return token


def application_of(token: str) -> str:
    """The id of the Discord application that a token belongs to: its first part, in base64. "" if it is no token."""
    first = token.partition(".")[0]
    try:
        text = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except ValueError:
        return ""
    return text if text.isdecimal() else ""
